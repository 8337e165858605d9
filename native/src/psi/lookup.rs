//! Which of the receiver's values occur among the sender's.

use rayon::prelude::*;

use crate::block::Block;

/// Values that share a bucket, about: they fit a core's first-level cache.
const BUCKET: usize = 1 << 10;

/// The index of the own value that each value of `answer` (little-endian, `width` bytes each) equals.
pub fn indices(own: &[Block], answer: &[u8], width: usize) -> Vec<u32> {
    let mask = Block::MAX >> (8 * (16 - width));
    let buckets = (own.len() / BUCKET + 1).next_power_of_two();
    let theirs = answer.chunks_exact(width).map(|bytes| {
        let mut block = [0; 16];
        block[..width].copy_from_slice(bytes);
        Block::from_le_bytes(block)
    });
    let own = bucketed(own.iter().map(|value| value & mask), buckets);
    let theirs = bucketed(theirs, buckets);
    own.par_iter()
        .zip(&theirs)
        .flat_map_iter(|(own, theirs)| common(own, theirs))
        .collect()
}

type Bucket = Vec<(Block, u32)>;

/// Values with their places, by their lowest bits: they are pseudorandom, so buckets are even.
fn bucketed(values: impl Iterator<Item = Block>, buckets: usize) -> Vec<Bucket> {
    let mut found = vec![Bucket::new(); buckets];
    for (place, value) in values.enumerate() {
        found[value as usize & (buckets - 1)].push((value, place as u32));
    }
    found
}

fn common(own: &[(Block, u32)], theirs: &[(Block, u32)]) -> Vec<u32> {
    let mut sorted = own.to_vec();
    sorted.sort_unstable();
    theirs
        .iter()
        .filter_map(|(value, _)| {
            let found = sorted.binary_search_by_key(value, |(own, _)| *own).ok()?;
            Some(sorted[found].1)
        })
        .collect()
}
