//! Which of the receiver's values occur among the sender's.

use rayon::prelude::*;

use crate::block::Block;

/// Values that share a bucket, about: they fit a core's first-level cache.
const BUCKET: usize = 1 << 10;

/// The indices of the own values that occur in `answer` (little-endian, `width` bytes each), each once, however often
/// the sender repeats a value.
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
    let mut taken = vec![false; sorted.len()];
    theirs
        .iter()
        .filter_map(|(value, _)| {
            let found = sorted.binary_search_by_key(value, |(own, _)| *own).ok()?;
            let again = std::mem::replace(&mut taken[found], true);
            (!again).then_some(sorted[found].1)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_sent_again_and_again_counts_once() {
        let own: Vec<Block> = (0..5000)
            .map(|i: Block| i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .collect();
        let answer: Vec<u8> = [7, 7, 4000, 7, 9999, 4000]
            .iter()
            .flat_map(|i: &Block| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
            .collect();
        let mut found = indices(&own, &answer, 16);
        found.sort_unstable();
        assert_eq!(found, [7, 4000]);
    }
}
