//! Which of the receiver's values occur among the sender's.
//!
//! Both are partitioned by their lowest bits into buckets that fit a core's first-level cache; in a bucket the sender's
//! are looked up in a small table. Values are pseudorandom, so that buckets are even and runs in a table short; what a
//! sender makes up cannot change that of the receiver's own.

use rayon::prelude::*;

use crate::block::Block;
use crate::matching::partition;

/// Own values of a bucket, about.
const BUCKET: usize = 1 << 10;
const MAX_BUCKETS: usize = 1 << 12;
/// Values that one thread partitions at a time.
const SEGMENT: usize = 1 << 17;
const EMPTY: u32 = u32::MAX;

/// The indices of the own values that occur in `answer` (little-endian, `width` bytes each), each once, however often
/// the sender repeats a value. There are fewer than 2^32 own values.
pub fn indices(own: &[Block], answer: &[u8], width: usize) -> Vec<u32> {
    let mask = Block::MAX >> (8 * (16 - width));
    let buckets = (own.len() / BUCKET + 1)
        .next_power_of_two()
        .min(MAX_BUCKETS);
    let numbered: Vec<_> = own
        .chunks(SEGMENT)
        .zip(0..)
        .map(|(values, segment)| {
            let indices = segment * SEGMENT as u32..;
            values.iter().map(move |value| value & mask).zip(indices)
        })
        .collect();
    let theirs: Vec<_> = answer
        .chunks(SEGMENT * width)
        .map(|part| part.chunks_exact(width).map(block))
        .collect();
    let mut own = Buckets::new(&numbered, |(value, _)| *value, buckets);
    let mut theirs = Buckets::new(&theirs, |value| *value, buckets);
    own.stretches()
        .into_par_iter()
        .zip(theirs.stretches())
        .map_init(Vec::new, |table, (own, theirs)| {
            common(table, own, theirs, buckets)
        })
        .flatten_iter()
        .collect()
}

fn block(bytes: &[u8]) -> Block {
    let mut block = [0; 16];
    block[..bytes.len()].copy_from_slice(bytes);
    Block::from_le_bytes(block)
}

/// Items by the lowest bits of their value, bucket after bucket.
struct Buckets<T> {
    items: Vec<T>,
    sizes: Vec<usize>,
}

impl<T: Copy + Default + Send> Buckets<T> {
    fn new<I>(segments: &[I], value: impl Fn(&T) -> Block + Sync, buckets: usize) -> Self
    where
        I: Iterator<Item = T> + Clone + Sync,
    {
        let label = |item: &T| value(item) as usize & (buckets - 1);
        let counts: Vec<Vec<usize>> = segments
            .par_iter()
            .map(|items| partition::count(items.clone().map(|item| label(&item)), buckets))
            .collect();
        let sizes = partition::bucket_sizes(&counts, buckets);
        let mut items = vec![T::default(); sizes.iter().sum()];
        partition::split(&mut items, &counts, buckets)
            .into_par_iter()
            .zip(segments)
            .for_each(|(mut rooms, items)| {
                let mut filled = vec![0; buckets];
                for item in items.clone() {
                    let bucket = label(&item);
                    rooms[bucket][filled[bucket]] = item;
                    filled[bucket] += 1;
                }
            });
        Self { items, sizes }
    }

    fn stretches(&mut self) -> Vec<&mut [T]> {
        partition::cut(&mut self.items, &self.sizes)
    }
}

/// The indices of the own values of a bucket that are among theirs. `table`: room that is used again.
fn common(
    table: &mut Vec<u32>,
    own: &[(Block, u32)],
    theirs: &[Block],
    buckets: usize,
) -> Vec<u32> {
    let places = (2 * own.len()).next_power_of_two().max(2);
    table.clear();
    table.resize(places, EMPTY);
    let first = |value: Block| (value >> buckets.trailing_zeros()) as usize & (places - 1);
    for (number, (value, _)) in own.iter().enumerate() {
        let mut place = first(*value);
        while table[place] != EMPTY {
            place = (place + 1) & (places - 1);
        }
        table[place] = number as u32;
    }
    let mut found = Vec::with_capacity(theirs.len().min(own.len()));
    let mut taken = vec![false; own.len()];
    for value in theirs {
        let mut place = first(*value);
        while table[place] != EMPTY {
            let number = table[place] as usize;
            let (known, index) = own[number];
            if known == *value {
                if !std::mem::replace(&mut taken[number], true) {
                    found.push(index);
                }
                break;
            }
            place = (place + 1) & (places - 1);
        }
    }
    found
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
