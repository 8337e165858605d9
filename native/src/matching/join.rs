//! Radix join of the parties' tags: equal tags share a slot, every other row has one of its own.
//!
//! Rows are partitioned by a hash of their tags into buckets that fit a core's cache (Manegold, Boncz, Kersten 2002), rows of
//! a bucket meet in a small table. The hash is keyed, since a party may choose its tags: it cannot aim at one bucket.
//!
//! Row number r in the partitioned order stands for slot π(r), π a uniform permutation of 0..M that no tag
//! influences; a tag's slot is that of its first row. Distinct tags thus take distinct values of π, and what one
//! party receives, whose tags are distinct, is a uniformly random injective map whatever matched.

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::partition;
use crate::block::Block;
use crate::error::{Error, Result};
use crate::keys::permutation::permutation;

/// Parties of one join.
pub const PARTIES: std::ops::RangeInclusive<usize> = 2..=5;

/// Rows that a bucket holds about: tags, rows and table stay in a core's second-level cache.
const BUCKET_ROWS: usize = 1 << 12;
const MAX_BUCKETS: usize = 1 << 11;
/// Rows that one thread partitions at a time.
const SEGMENT: usize = 1 << 18;

/// For each party the slot, in 0..M, of each of its rows in its order; M is the number of all parties' rows.
/// `Malformed` if a party states a tag twice.
pub fn match_tags(parties: &[&[[u8; 16]]], seed: &[u8; 32]) -> Result<Vec<Vec<u32>>> {
    if !PARTIES.contains(&parties.len()) {
        return Err(Error::Parameters("a join has two to five parties"));
    }
    let rows: usize = parties.iter().map(|tags| tags.len()).sum();
    let pi = permutation(&sub_key(seed, b"slots"), rows)?;
    let hash = TagHash::new(seed);
    let buckets = (rows / BUCKET_ROWS + 1)
        .next_power_of_two()
        .min(MAX_BUCKETS);
    let partitioned = Partitioned::new(parties, &hash, buckets);
    let slots: Vec<Vec<AtomicU32>> = parties
        .iter()
        .map(|tags| tags.iter().map(|_| AtomicU32::new(0)).collect())
        .collect();
    partitioned
        .buckets(&pi)
        .into_par_iter()
        .try_for_each_init(Table::default, |table, bucket| {
            match_bucket(&bucket, &hash, table, &slots)
        })?;
    Ok(slots
        .into_iter()
        .map(|slots| slots.into_iter().map(AtomicU32::into_inner).collect())
        .collect())
}

/// A row of a party: which one, and its place in the party's order.
#[derive(Clone, Copy, Default)]
struct Row {
    party: u32,
    place: u32,
}

/// All rows, bucket after bucket; within a bucket, party after party.
struct Partitioned {
    tags: Vec<Block>,
    rows: Vec<Row>,
    sizes: Vec<usize>,
}

/// One bucket's rows and the slots that stand for them.
struct Bucket<'a> {
    tags: &'a [Block],
    rows: &'a [Row],
    slots: &'a [u32],
}

impl Partitioned {
    fn new(parties: &[&[[u8; 16]]], hash: &TagHash, buckets: usize) -> Self {
        let segments: Vec<(Row, &[[u8; 16]])> = parties
            .iter()
            .zip(0..)
            .flat_map(|(tags, party)| {
                let places = (0..).step_by(SEGMENT);
                let row = places.map(move |place| Row { party, place });
                row.zip(tags.chunks(SEGMENT))
            })
            .collect();
        let shift = 64 - buckets.trailing_zeros();
        let bucket = |tag: &[u8; 16]| top_bits(hash.of(Block::from_le_bytes(*tag)), shift);
        let counts: Vec<Vec<usize>> = segments
            .par_iter()
            .map(|(_, tags)| partition::count(tags.iter().map(bucket), buckets))
            .collect();
        let total = parties.iter().map(|tags| tags.len()).sum();
        let mut tags = vec![0; total];
        let mut rows = vec![Row::default(); total];
        partition::split(&mut tags, &counts, buckets)
            .into_par_iter()
            .zip(partition::split(&mut rows, &counts, buckets))
            .zip(&segments)
            .for_each(|((mut tag_rooms, mut row_rooms), (first, tags))| {
                for (tag, place) in tags.iter().zip(first.place..) {
                    let bucket = bucket(tag);
                    tag_rooms[bucket].put(Block::from_le_bytes(*tag));
                    row_rooms[bucket].put(Row {
                        party: first.party,
                        place,
                    });
                }
            });
        let sizes = partition::bucket_sizes(&counts, buckets);
        Self { tags, rows, sizes }
    }

    fn buckets<'a>(&'a self, pi: &'a [u32]) -> Vec<Bucket<'a>> {
        let mut first = 0;
        self.sizes
            .iter()
            .map(|size| {
                let range = first..first + size;
                first += size;
                Bucket {
                    tags: &self.tags[range.clone()],
                    rows: &self.rows[range.clone()],
                    slots: &pi[range],
                }
            })
            .collect()
    }
}

/// A bucket's open-addressing table: 1 + the number of the first row with a tag, 0 for free.
#[derive(Default)]
struct Table {
    entries: Vec<u32>,
    /// The last party that was seen with the tag of a first row.
    last: Vec<u32>,
}

fn match_bucket(
    bucket: &Bucket<'_>,
    hash: &TagHash,
    table: &mut Table,
    slots: &[Vec<AtomicU32>],
) -> Result<()> {
    let size = (2 * bucket.tags.len()).next_power_of_two().max(2);
    table.entries.clear();
    table.entries.resize(size, 0);
    table.last.clear();
    table.last.extend(bucket.rows.iter().map(|row| row.party));
    for (number, (&tag, row)) in bucket.tags.iter().zip(bucket.rows).enumerate() {
        // The low half of the hash: its top bits chose the bucket.
        let mut at = (hash.of(tag) as u32 as usize) & (size - 1);
        let first = loop {
            match table.entries[at] as usize {
                0 => {
                    table.entries[at] = number as u32 + 1;
                    break number;
                }
                entry if bucket.tags[entry - 1] == tag => {
                    if table.last[entry - 1] == row.party {
                        return Err(Error::Malformed);
                    }
                    table.last[entry - 1] = row.party;
                    break entry - 1;
                }
                _ => at = (at + 1) & (size - 1),
            }
        };
        slots[row.party as usize][row.place as usize].store(bucket.slots[first], Ordering::Relaxed);
    }
    Ok(())
}

/// A keyed hash of tags whose top bits choose buckets and whose low bits places in a table.
struct TagHash {
    low: u64,
    high: u64,
}

impl TagHash {
    fn new(seed: &[u8; 32]) -> Self {
        let key = sub_key(seed, b"hash");
        let word = |at: usize| std::array::from_fn(|i| key[at + i]);
        Self {
            low: u64::from_le_bytes(word(0)),
            high: u64::from_le_bytes(word(8)),
        }
    }

    /// The two halves, each masked, multiplied and folded.
    fn of(&self, tag: Block) -> u64 {
        let product =
            u128::from(tag as u64 ^ self.low) * u128::from((tag >> 64) as u64 ^ self.high);
        product as u64 ^ (product >> 64) as u64
    }
}

/// `hash >> shift`, 0 for a shift by all bits.
fn top_bits(hash: u64, shift: u32) -> usize {
    hash.checked_shr(shift).unwrap_or(0) as usize
}

fn sub_key(seed: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(b"fedsandbox matching v1 ");
    hasher.update(purpose);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, HashMap, HashSet};

    const SEED: [u8; 32] = [7; 32];

    fn matched(parties: &[Vec<Block>]) -> Result<Vec<Vec<u32>>> {
        let bytes: Vec<Vec<[u8; 16]>> = parties
            .iter()
            .map(|tags| tags.iter().map(|tag| tag.to_le_bytes()).collect())
            .collect();
        let views: Vec<&[[u8; 16]]> = bytes.iter().map(Vec::as_slice).collect();
        match_tags(&views, &SEED)
    }

    /// One slot per tag, one tag per slot, all below M.
    fn check(parties: &[Vec<Block>]) {
        let slots = matched(parties).unwrap();
        let total: usize = parties.iter().map(Vec::len).sum();
        let mut of_tag = HashMap::new();
        for (tags, slots) in parties.iter().zip(&slots) {
            assert_eq!(tags.len(), slots.len());
            for (tag, slot) in tags.iter().zip(slots) {
                assert!((*slot as usize) < total);
                assert_eq!(of_tag.entry(tag).or_insert(slot), &slot);
            }
        }
        let taken: HashSet<_> = of_tag.values().collect();
        assert_eq!(taken.len(), of_tag.len());
    }

    proptest! {
        #[test]
        fn equal_tags_and_only_they_share_a_slot(
            parties in prop::collection::vec(prop::collection::btree_set(0u128..60, 0..40), 2..=5),
        ) {
            let tags: Vec<Vec<Block>> = parties.iter().map(|set: &BTreeSet<u128>| set.iter().copied().collect()).collect();
            check(&tags);
        }
    }

    #[test]
    fn many_rows_meet_across_buckets() {
        let tags = |from: u64, to: u64| -> Vec<Block> {
            (from..to)
                .map(|i| {
                    let mut bytes = [0; 16];
                    bytes.copy_from_slice(&blake3::hash(&i.to_le_bytes()).as_bytes()[..16]);
                    Block::from_le_bytes(bytes)
                })
                .collect()
        };
        check(&[
            tags(0, 300_000),
            tags(150_000, 450_000),
            tags(299_999, 300_010),
        ]);
    }

    #[test]
    fn tags_that_a_party_chose_alike_do_not_slow_the_join() {
        check(&[
            (0..50_000).collect(),
            (25_000..75_000).map(|i| i << 64).collect(),
        ]);
    }

    #[test]
    fn a_tag_stated_twice_is_malformed() {
        assert_eq!(matched(&[vec![1, 2, 1], vec![3]]), Err(Error::Malformed));
        assert_eq!(matched(&[vec![1], vec![1, 1]]), Err(Error::Malformed));
        assert!(matched(&[vec![1], vec![1], vec![1]]).is_ok());
    }

    #[test]
    fn one_party_or_six_are_refused() {
        assert!(matched(&[vec![1]]).is_err());
        assert!(matched(&vec![vec![]; 6]).is_err());
    }

    #[test]
    fn parties_without_rows_have_no_slots() {
        assert_eq!(matched(&[vec![], vec![]]), Ok(vec![vec![], vec![]]));
    }
}
