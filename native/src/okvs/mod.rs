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
    let mut bins = Bins::fill(parameters, &hasher, keys, values)?;
    let mut encoding = vec![0; parameters.length()];
    encoding
        .par_chunks_exact_mut(parameters.stride())
        .zip(bins.hashes.par_chunks_exact(parameters.capacity()))
        .zip(bins.values.par_chunks_exact_mut(parameters.capacity()))
        .zip(&bins.loads)
        .try_for_each_init(
            Scratch::default,
            |scratch, (((bin, hashes), values), &load)| {
                scratch.solve(
                    &hasher,
                    &hashes[..load],
                    &mut values[..load],
                    bin,
                    parameters.dense(),
                )
            },
        )?;
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
    let loads = hash_into(parameters, &hasher, keys, out);
    if parameters.bins() == 1 {
        decode_bin(parameters, &hasher, encoding, out);
        return Ok(());
    }
    // Bin by bin, so that the bin's columns are read from a near cache.
    let mut next = starts(&loads);
    let mut grouped = vec![0; out.len()];
    for &hash in out.iter() {
        let next = &mut next[hasher.bin(hash)];
        grouped[*next] = hash;
        *next += 1;
    }
    split(&mut grouped, &loads)
        .into_par_iter()
        .zip(encoding.par_chunks_exact(parameters.stride()))
        .for_each(|(hashes, bin)| decode_bin(parameters, &hasher, bin, hashes));
    next = starts(&loads);
    for value in out {
        let next = &mut next[hasher.bin(*value)];
        *value = grouped[*next];
        *next += 1;
    }
    Ok(())
}

/// Overwrites `hashes` with those of the keys and counts how many fall into each bin.
fn hash_into(
    parameters: &Parameters,
    hasher: &Hasher,
    keys: &[Block],
    hashes: &mut [Block],
) -> Vec<usize> {
    let none = || vec![0; parameters.bins()];
    let count = |mut loads: Vec<usize>, (keys, hashes): (&[Block], &mut [Block])| {
        hashes.copy_from_slice(keys);
        hasher.hash_blocks(hashes);
        hashes.iter().for_each(|&hash| loads[hasher.bin(hash)] += 1);
        loads
    };
    let add = |mut loads: Vec<usize>, more: Vec<usize>| {
        loads
            .iter_mut()
            .zip(more)
            .for_each(|(load, more)| *load += more);
        loads
    };
    keys.par_chunks(TASK)
        .zip(hashes.par_chunks_mut(TASK))
        .fold(none, count)
        .reduce(none, add)
}

/// Where each bin starts when they lie one after another.
fn starts(loads: &[usize]) -> Vec<usize> {
    let mut total = 0;
    loads
        .iter()
        .map(|load| {
            total += load;
            total - load
        })
        .collect()
}

/// Consecutive parts of the given lengths.
fn split<'a>(mut blocks: &'a mut [Block], lengths: &[usize]) -> Vec<&'a mut [Block]> {
    let mut parts = Vec::with_capacity(lengths.len());
    for &length in lengths {
        let (part, rest) = blocks.split_at_mut(length);
        parts.push(part);
        blocks = rest;
    }
    parts
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

/// Hashes and values by bin, `capacity` places a bin.
struct Bins {
    hashes: Vec<Block>,
    values: Vec<Block>,
    loads: Vec<usize>,
}

impl Bins {
    fn fill(
        parameters: &Parameters,
        hasher: &Hasher,
        keys: &[Block],
        values: &[Block],
    ) -> Result<Self> {
        let capacity = parameters.capacity();
        let places = parameters.bins() * capacity;
        let mut bins = Self {
            hashes: vec![0; places],
            values: vec![0; places],
            loads: vec![0; parameters.bins()],
        };
        let mut batch = [0; BATCH];
        for (keys, values) in keys.chunks(BATCH).zip(values.chunks(BATCH)) {
            let hashes = &mut batch[..keys.len()];
            hashes.copy_from_slice(keys);
            hasher.hash_blocks(hashes);
            for (&hash, &value) in hashes.iter().zip(values) {
                let bin = hasher.bin(hash);
                let load = bins.loads[bin];
                if load == capacity {
                    return Err(Error::Exhausted);
                }
                bins.hashes[bin * capacity + load] = hash;
                bins.values[bin * capacity + load] = value;
                bins.loads[bin] = load + 1;
            }
        }
        Ok(bins)
    }
}

#[cfg(test)]
mod tests;
