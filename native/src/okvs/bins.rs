//! Keys by the bins that they fall into under a seed: what encoding and decoding begin with.

use std::ops::Range;

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::hashing::Hasher;
use super::parameters::Parameters;
use crate::block::Block;
use crate::matching::partition;

/// Keys that one thread puts into bins at a time.
const SEGMENT: usize = 1 << 16;

/// Keys that are hashed together.
const BATCH: usize = 64;

/// Which key falls into which bin, and where it lies among all that are put bin after bin.
pub struct Bins {
    pub(super) hasher: Hasher,
    pub(super) loads: Vec<usize>,
    /// Each key's bin, in the order in which keys were given.
    labels: Zeroizing<Vec<u32>>,
    /// How many keys of each segment fall into each bin.
    counts: Vec<Vec<usize>>,
}

impl Bins {
    /// The bins of keys, and the keys bin after bin; within a bin in the order in which they are given.
    pub fn new(
        parameters: &Parameters,
        seed: Block,
        keys: &[Block],
    ) -> (Self, Zeroizing<Vec<Block>>) {
        let hasher = Hasher::new(parameters, seed);
        let mut labels = Zeroizing::new(vec![0; keys.len()]);
        let counts: Vec<Vec<usize>> = keys
            .par_chunks(SEGMENT)
            .zip(labels.par_chunks_mut(SEGMENT))
            .map(|(keys, labels)| {
                label(&hasher, keys, labels);
                partition::count(labels.iter().map(|&bin| bin as usize), parameters.bins())
            })
            .collect();
        let bins = Self {
            hasher,
            loads: partition::bucket_sizes(&counts, parameters.bins()),
            labels,
            counts,
        };
        let grouped = bins.grouped(keys);
        (bins, grouped)
    }

    /// Where the keys of a bin begin.
    pub(super) fn first(&self, bin: usize) -> usize {
        self.loads[..bin].iter().sum()
    }

    /// For each bin where its keys lie.
    pub(super) fn places(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let loads = self.loads.iter();
        loads
            .map(|load| {
                end += load;
                end - load..end
            })
            .collect()
    }

    /// Items that were given one for each key, bin after bin.
    pub fn grouped(&self, items: &[Block]) -> Zeroizing<Vec<Block>> {
        let mut grouped = Zeroizing::new(vec![0; items.len()]);
        partition::split(&mut grouped, &self.counts, self.loads.len())
            .into_par_iter()
            .zip(self.labels.par_chunks(SEGMENT))
            .zip(items.par_chunks(SEGMENT))
            .for_each(|((mut rooms, labels), items)| {
                for (&bin, &item) in labels.iter().zip(items) {
                    rooms[bin as usize].put(item);
                }
            });
        grouped
    }

    /// Items that lie bin after bin, in the order in which keys were given.
    pub fn in_order(&self, grouped: &[Block]) -> Zeroizing<Vec<Block>> {
        let mut items = Zeroizing::new(vec![0; grouped.len()]);
        self.starts()
            .into_par_iter()
            .zip(self.labels.par_chunks(SEGMENT))
            .zip(items.par_chunks_mut(SEGMENT))
            .for_each(|((mut next, labels), items)| {
                for (&bin, item) in labels.iter().zip(items) {
                    let next = &mut next[bin as usize];
                    *item = grouped[*next];
                    *next += 1;
                }
            });
        items
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

/// The bin of each key.
fn label(hasher: &Hasher, keys: &[Block], labels: &mut [u32]) {
    let mut hashes = Zeroizing::new([0; BATCH]);
    for (keys, labels) in keys.chunks(BATCH).zip(labels.chunks_mut(BATCH)) {
        let hashes = &mut hashes[..keys.len()];
        hashes.copy_from_slice(keys);
        hasher.hash_blocks(hashes);
        for (label, &hash) in labels.iter_mut().zip(hashes.iter()) {
            *label = hasher.bin(hash) as u32;
        }
    }
}
