//! Oblivious key-value store: a vector whose linear decoding gives each encoded key its value and hides the keys.
//!
//! The clustered construction of Raghuraman and Rindal, "Blazing Fast PSI from Improved OKVS and Subfield VOLE" (CCS
//! 2022, eprint 2022/320), §3–4: keys fall into bins; in a bin each reads three sparse columns, and a few dense columns
//! over GF(2^128). Free columns are zero, so an encoding must be masked before it leaves (RR22 fig. 4 does), or its
//! zeros would tell which columns no key reads.

mod bin;
mod hashing;
mod parameters;

use rayon::prelude::*;

use crate::block::Block;
use crate::error::{Error, Result};
use crate::field;
use crate::matching::partition;
use crate::prg::Prg;
use bin::Scratch;
use hashing::Hasher;
pub use parameters::{Parameters, fullest};

/// Seeds that are tried before `Exhausted`. One fails with probability 2^-40; keys that collide fail with every seed.
const TRIES: usize = 4;

/// Keys that are hashed or decoded together.
const BATCH: usize = 64;

/// Decodings that make a task of their own.
const TASK: usize = 1 << 12;

/// Keys that one thread puts into bins at a time.
const SEGMENT: usize = 1 << 16;

/// The vector of `parameters.length()` blocks that decodes every key to its value.
///
/// Keys are distinct and drawn before the seed is known. `Exhausted`: this seed fails, or two keys are equal; try
/// another seed. `Parameters`: there are more keys than the parameters are for.
pub fn encode(
    parameters: &Parameters,
    seed: Block,
    keys: &[Block],
    values: &[Block],
) -> Result<Vec<Block>> {
    assert_eq!(keys.len(), values.len());
    if keys.len() > parameters.items() {
        return Err(Error::Parameters(
            "more keys than the encoding has room for",
        ));
    }
    let hasher = Hasher::new(parameters, seed);
    let mut hashes = vec![0; keys.len()];
    let binned = Binned::new(parameters, &hasher, keys, &mut hashes);
    if binned
        .loads
        .iter()
        .any(|&load| load > parameters.capacity())
    {
        return Err(Error::Exhausted);
    }
    let mut values = binned.grouped(&hasher, &hashes, values);
    let mut hashes = binned.grouped(&hasher, &hashes, &hashes);
    let mut encoding = vec![0; parameters.length()];
    encoding
        .par_chunks_exact_mut(parameters.stride())
        .zip(partition::cut(&mut hashes, &binned.loads))
        .zip(partition::cut(&mut values, &binned.loads))
        .try_for_each_init(Scratch::default, |scratch, ((bin, hashes), values)| {
            scratch.solve(&hasher, hashes, values, bin, parameters.dense())
        })?;
    Ok(encoding)
}

/// `encode` under the first of a few seeds from `seeds` that succeeds, with that seed.
pub fn encode_with_retries(
    parameters: &Parameters,
    seeds: &mut Prg,
    keys: &[Block],
    values: &[Block],
) -> Result<(Block, Vec<Block>)> {
    for _ in 0..TRIES {
        let seed = seeds.block();
        match encode(parameters, seed, keys, values) {
            Err(Error::Exhausted) => {}
            Err(error) => return Err(error),
            Ok(encoding) => return Ok((seed, encoding)),
        }
    }
    Err(Error::Exhausted)
}

/// Overwrites `out` with the values of `keys`: for a key that was encoded its value, for another an unrelated block.
/// Linear in `encoding`. `Malformed` unless the encoding has `parameters.length()` blocks.
pub fn decode(
    parameters: &Parameters,
    seed: Block,
    keys: &[Block],
    encoding: &[Block],
    out: &mut [Block],
) -> Result<()> {
    assert_eq!(keys.len(), out.len());
    if encoding.len() != parameters.length() {
        return Err(Error::Malformed);
    }
    let hasher = Hasher::new(parameters, seed);
    let binned = Binned::new(parameters, &hasher, keys, out);
    // Bin by bin, so that the bin's columns are read from a near cache.
    let mut grouped = binned.grouped(&hasher, out, out);
    partition::cut(&mut grouped, &binned.loads)
        .into_par_iter()
        .zip(encoding.par_chunks_exact(parameters.stride()))
        .for_each(|(hashes, bin)| decode_bin(parameters, &hasher, bin, hashes));
    binned.ungroup(&hasher, &grouped, out);
    Ok(())
}

/// Replaces hashes of one bin by what they decode to.
fn decode_bin(parameters: &Parameters, hasher: &Hasher, bin: &[Block], hashes: &mut [Block]) {
    let (sparse, dense) = bin.split_at(parameters.sparse());
    hashes.par_chunks_mut(TASK).for_each(|hashes| {
        let (mut sums, mut values, mut plus) = ([0; BATCH], [0; BATCH], [0; BATCH]);
        for hashes in hashes.chunks_mut(BATCH) {
            let (sums, values) = (&mut sums[..hashes.len()], &mut values[..hashes.len()]);
            for (sum, &hash) in sums.iter_mut().zip(hashes.iter()) {
                let [a, b, c] = hasher.columns(hash).map(usize::from);
                *sum = sparse[a] ^ sparse[b] ^ sparse[c];
            }
            let plus = &mut plus[..hashes.len()];
            values.fill(0);
            for &coefficient in dense.iter().rev() {
                plus.fill(coefficient);
                field::mul_add(values, hashes, plus);
            }
            field::mul_add(values, hashes, sums);
            hashes.copy_from_slice(values);
        }
    });
}

/// Which keys fall into which bin, by segments that threads handle at a time.
struct Binned {
    counts: Vec<Vec<usize>>,
    loads: Vec<usize>,
}

impl Binned {
    /// Overwrites `hashes` with those of the keys and counts them by bin.
    fn new(parameters: &Parameters, hasher: &Hasher, keys: &[Block], hashes: &mut [Block]) -> Self {
        let bins = parameters.bins();
        let counts: Vec<Vec<usize>> = keys
            .par_chunks(SEGMENT)
            .zip(hashes.par_chunks_mut(SEGMENT))
            .map(|(keys, hashes)| {
                hashes.copy_from_slice(keys);
                hasher.hash_blocks(hashes);
                partition::count(hashes.iter().map(|&hash| hasher.bin(hash)), bins)
            })
            .collect();
        let loads = partition::bucket_sizes(&counts, bins);
        Self { counts, loads }
    }

    /// Items of keys, bin after bin; `hashes` as `new` left them.
    fn grouped(&self, hasher: &Hasher, hashes: &[Block], items: &[Block]) -> Vec<Block> {
        let mut grouped = vec![0; items.len()];
        partition::split(&mut grouped, &self.counts, self.loads.len())
            .into_par_iter()
            .zip(hashes.par_chunks(SEGMENT))
            .zip(items.par_chunks(SEGMENT))
            .for_each(|((mut rooms, hashes), items)| {
                for (&hash, &item) in hashes.iter().zip(items) {
                    rooms[hasher.bin(hash)].put(item);
                }
            });
        grouped
    }

    /// Replaces each key's hash by its item among those that `grouped` put into order.
    fn ungroup(&self, hasher: &Hasher, grouped: &[Block], hashes: &mut [Block]) {
        self.starts()
            .into_par_iter()
            .zip(hashes.par_chunks_mut(SEGMENT))
            .for_each(|(mut next, hashes)| {
                for value in hashes {
                    let next = &mut next[hasher.bin(*value)];
                    *value = grouped[*next];
                    *next += 1;
                }
            });
    }

    /// For each segment where its first key of each bin lies among all that are grouped.
    fn starts(&self) -> Vec<Vec<usize>> {
        let mut total = 0;
        let mut starts = vec![Vec::with_capacity(self.loads.len()); self.counts.len()];
        for bin in 0..self.loads.len() {
            for (counts, starts) in self.counts.iter().zip(&mut starts) {
                starts.push(total);
                total += counts[bin];
            }
        }
        starts
    }
}

#[cfg(test)]
mod tests;
