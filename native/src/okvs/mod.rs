//! Oblivious key-value store: a vector whose linear decoding gives each encoded key its value and hides the keys.
//!
//! The clustered construction of Raghuraman and Rindal, "Blazing Fast PSI from Improved OKVS and Subfield VOLE" (CCS
//! 2022, eprint 2022/320), §3–4: keys fall into bins; in a bin each reads three sparse columns, and a few dense columns
//! over GF(2^128). Free columns are zero, so an encoding must be masked before it leaves (RR22 fig. 4 does), or its
//! zeros would tell which columns no key reads.

mod bin;
mod bins;
mod hashing;
mod parameters;

use std::ops::Range;

use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::block::Block;
use crate::error::{Error, Result};
use crate::field;
use crate::matching::partition;
use crate::prg::Prg;
use bin::Scratch;
pub use bins::Bins;
use hashing::Hasher;
pub use parameters::{Parameters, fullest};

/// Seeds that are tried before `Exhausted`. One fails with probability 2^-40; keys that collide fail with every seed.
const TRIES: usize = 4;

/// Keys that are decoded together.
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
    let (bins, keys) = Bins::new(parameters, seed, keys);
    let grouped = bins.grouped(values);
    let mut encoding = vec![0; parameters.length()];
    let values = |places: Range<usize>, values: &mut [Block]| {
        values.copy_from_slice(&grouped[places]);
    };
    encode_grouped(parameters, &bins, &keys, values, &mut encoding)?;
    Ok(encoding)
}

/// Fills `encoding` as `encode` does, under the first of a few seeds from `seeds` that succeeds; returns that seed, the bins
/// and the keys bin after bin. `values`: replaces keys by their values.
pub fn encode_with_retries(
    parameters: &Parameters,
    seeds: &mut Prg,
    keys: &[Block],
    values: impl Fn(&mut [Block]) + Sync,
    encoding: &mut [Block],
) -> Result<(Block, Bins, Zeroizing<Vec<Block>>)> {
    for _ in 0..TRIES {
        let seed = seeds.block();
        let (bins, grouped) = Bins::new(parameters, seed, keys);
        let of_places = |places: Range<usize>, targets: &mut [Block]| {
            targets.copy_from_slice(&grouped[places]);
            values(targets);
        };
        match encode_grouped(parameters, &bins, &grouped, of_places, encoding) {
            Err(Error::Exhausted) => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok((seed, bins, grouped)),
        }
    }
    Err(Error::Exhausted)
}

/// `keys`: bin after bin. `values`: fills in the values of the keys at some places.
fn encode_grouped(
    parameters: &Parameters,
    bins: &Bins,
    keys: &[Block],
    values: impl Fn(Range<usize>, &mut [Block]) + Sync,
    encoding: &mut [Block],
) -> Result<()> {
    if keys.len() > parameters.items() {
        return Err(Error::Parameters(
            "more keys than the encoding has room for",
        ));
    }
    if bins.loads.iter().any(|&load| load > parameters.capacity()) {
        return Err(Error::Exhausted);
    }
    let room = || Room::new(parameters.capacity());
    encoding.fill(0);
    encoding
        .par_chunks_exact_mut(parameters.stride())
        .zip(bins.places())
        .try_for_each_init(room, |room, (bin, places)| {
            let Room {
                scratch,
                hashes,
                targets,
            } = room;
            hashes.clear();
            hashes.extend_from_slice(&keys[places.clone()]);
            bins.hasher.hash_blocks(hashes);
            targets.resize(places.len(), 0);
            values(places, targets);
            scratch.solve(&bins.hasher, hashes, targets, bin, parameters.dense())
        })
}

/// Working memory of a thread that encodes one bin after the other.
struct Room {
    scratch: Scratch,
    hashes: Zeroizing<Vec<Block>>,
    targets: Zeroizing<Vec<Block>>,
}

impl Room {
    /// For bins of at most `capacity` keys, at once: growing would leave copies behind that nobody wipes.
    fn new(capacity: usize) -> Self {
        let room = || Zeroizing::new(Vec::with_capacity(capacity));
        Self {
            scratch: Scratch::default(),
            hashes: room(),
            targets: room(),
        }
    }
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
    if encoding.len() != parameters.length() {
        return Err(Error::Malformed);
    }
    let (bins, mut values) = Bins::new(parameters, seed, keys);
    let every = 0..parameters.bins();
    decode_bins(parameters, &bins, every, &mut values, encoding, |_, _| {});
    out.copy_from_slice(&bins.in_order(&values));
    Ok(())
}

/// Replaces the keys of some bins by what they decode to. `keys`: all of them, bin after bin; `encoding`: all of it, of which
/// these bins are read. `finish`: turns values, beside the keys they are of, into what is wanted while both are near.
pub fn decode_bins(
    parameters: &Parameters,
    bins: &Bins,
    which: Range<usize>,
    keys: &mut [Block],
    encoding: &[Block],
    finish: impl Fn(&[Block], &mut [Block]) + Sync,
) {
    let (stride, loads) = (parameters.stride(), &bins.loads[which.clone()]);
    // Bin by bin, so that the bin's columns are read from a near cache.
    partition::cut(&mut keys[bins.first(which.start)..], loads)
        .into_par_iter()
        .zip(encoding[which.start * stride..which.end * stride].par_chunks_exact(stride))
        .for_each(|(keys, bin)| {
            keys.par_chunks_mut(TASK).for_each(|values| {
                let keys = Zeroizing::new(values.to_vec());
                bins.hasher.hash_blocks(values);
                decode_hashes(parameters, &bins.hasher, bin, values);
                finish(&keys, values);
            });
        });
}

/// Replaces hashes of one bin by what they decode to.
fn decode_hashes(parameters: &Parameters, hasher: &Hasher, bin: &[Block], hashes: &mut [Block]) {
    let (sparse, dense) = bin.split_at(parameters.sparse());
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
}

#[cfg(test)]
mod tests;
