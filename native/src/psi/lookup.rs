//! Which of the receiver's values occur among the sender's.
//!
//! Both are partitioned by their lowest bits into buckets that fit a core's second-level cache; in a bucket the sender's
//! are looked up in a small table. Values are pseudorandom, so that buckets are even and runs in a table short; what a
//! sender makes up cannot change that of the receiver's own.

use std::sync::atomic::{AtomicU8, Ordering};

use rayon::prelude::*;

use crate::block::{BYTES, Block};
use crate::matching::partition;

/// Own values of a bucket, about.
const BUCKET: usize = 1 << 12;
const MAX_BUCKETS: usize = 1 << 12;
/// Values that one thread partitions at a time.
const SEGMENT: usize = 1 << 17;
/// Low bits of an own value's item that hold its index; the others hold as much of the value as there is room for.
const INDEX_BITS: u32 = u32::BITS;

/// For each own value 1 if it occurs in `answer` (little-endian, `width` bytes each), else 0. There are at most 2^32 own
/// values.
pub fn matches(own: &[Block], answer: &[u8], width: usize) -> Vec<u8> {
    let mask = Block::MAX >> (8 * (BYTES - width));
    let buckets = (own.len() / BUCKET + 1)
        .next_power_of_two()
        .min(MAX_BUCKETS);
    let own_value = |place: usize| own[place] & mask;
    let their_value = |place: usize| value_at(answer, place * width, width) & mask;
    let numbered = |value: Block, place: usize| value << INDEX_BITS | place as Block;
    let mut ours = Buckets::new(own.len(), buckets, own_value, numbered);
    let mut theirs = Buckets::new(answer.len() / width, buckets, their_value, |value, _| value);
    let found: Vec<AtomicU8> = own.iter().map(|_| AtomicU8::new(0)).collect();
    ours.stretches()
        .into_par_iter()
        .zip(theirs.stretches())
        .for_each_init(Table::default, |table, (ours, theirs)| {
            table.fill(ours, buckets);
            for &value in theirs.iter() {
                let same = |index: usize| own_value(index) == value;
                if let Some(index) = table.find(ours, value, same) {
                    found[index].store(1, Ordering::Relaxed);
                }
            }
        });
    found.into_iter().map(AtomicU8::into_inner).collect()
}

/// The block that starts with the `width` bytes from `at` on; what follows them is whatever lies there.
fn value_at(bytes: &[u8], at: usize, width: usize) -> Block {
    let mut block = [0; BYTES];
    match bytes[at..].first_chunk() {
        Some(chunk) => block = *chunk,
        None => block[..width].copy_from_slice(&bytes[at..at + width]),
    }
    Block::from_le_bytes(block)
}

/// Items by the lowest bits of their values, bucket after bucket.
struct Buckets {
    items: Vec<Block>,
    sizes: Vec<usize>,
}

impl Buckets {
    /// The items of `count` places: `item` of the value at a place and of the place.
    fn new(
        count: usize,
        buckets: usize,
        value: impl Fn(usize) -> Block + Sync,
        item: impl Fn(Block, usize) -> Block + Sync,
    ) -> Self {
        let segments: Vec<_> = (0..count)
            .step_by(SEGMENT)
            .map(|first| first..count.min(first + SEGMENT))
            .collect();
        let label = |value: Block| value as usize & (buckets - 1);
        let counts: Vec<Vec<usize>> = segments
            .par_iter()
            .map(|places| partition::count(places.clone().map(|at| label(value(at))), buckets))
            .collect();
        let sizes = partition::bucket_sizes(&counts, buckets);
        let mut items = vec![0; count];
        partition::split(&mut items, &counts, buckets)
            .into_par_iter()
            .zip(segments)
            .for_each(|(mut rooms, places)| {
                for place in places {
                    let value = value(place);
                    rooms[label(value)].put(item(value, place));
                }
            });
        Self { items, sizes }
    }

    fn stretches(&mut self) -> Vec<&mut [Block]> {
        partition::cut(&mut self.items, &self.sizes)
    }
}

/// An open-addressing table of a bucket's own items: 1 + an item's number, 0 for free.
#[derive(Default)]
struct Table {
    entries: Vec<u32>,
    shift: u32,
}

impl Table {
    fn fill(&mut self, items: &[Block], buckets: usize) {
        self.entries.clear();
        self.entries
            .resize((2 * items.len()).next_power_of_two().max(2), 0);
        self.shift = buckets.trailing_zeros();
        for (number, item) in items.iter().enumerate() {
            let mut place = self.first(item >> INDEX_BITS);
            while self.entries[place] != 0 {
                place = self.next(place);
            }
            self.entries[place] = number as u32 + 1;
        }
    }

    /// The index of the item of a value. `same`: whether all of the own value of an index, not only what is in its item,
    /// is the one sought.
    fn find(&self, items: &[Block], value: Block, same: impl Fn(usize) -> bool) -> Option<usize> {
        let sought = value << INDEX_BITS;
        let mut place = self.first(value);
        while self.entries[place] != 0 {
            let item = items[self.entries[place] as usize - 1];
            let index = item as u32 as usize;
            if (item ^ sought) >> INDEX_BITS == 0 && (sought >> INDEX_BITS == value || same(index))
            {
                return Some(index);
            }
            place = self.next(place);
        }
        None
    }

    fn first(&self, value: Block) -> usize {
        (value >> self.shift) as usize & (self.entries.len() - 1)
    }

    fn next(&self, place: usize) -> usize {
        (place + 1) & (self.entries.len() - 1)
    }
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
        let found = matches(&own, &answer, 16);
        let matched = found.iter().zip(0..).filter(|(found, _)| **found == 1);
        assert!(matched.map(|(_, index)| index).eq([7, 4000]));
    }
}
