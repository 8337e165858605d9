//! Whether any key occurs twice: a side whose keys do not needs no grouping.

use std::mem;

use rayon::prelude::*;

use super::partition;

/// Values that share a bucket, about: their table fits a core's second-level cache, and the buckets' ends its first.
const BUCKET: usize = 1 << 13;
const MAX_BUCKETS: usize = 1 << 12;
const SEGMENT: usize = 1 << 18;

/// Whether two of the pseudorandom hashes whose row is `present` are equal in their first 64 bits: always so if they are
/// equal, and by chance among n rows with probability n²/2^65.
pub fn has_repeats(hashes: &[[u8; 16]], present: &[u8]) -> bool {
    assert_eq!(hashes.len(), present.len());
    let buckets = (hashes.len() / BUCKET + 1)
        .next_power_of_two()
        .min(MAX_BUCKETS);
    let segments: Vec<(&[[u8; 16]], &[u8])> = hashes
        .chunks(SEGMENT)
        .zip(present.chunks(SEGMENT))
        .collect();
    let counts: Vec<Vec<usize>> = segments
        .par_iter()
        .map(|(hashes, present)| {
            partition::count(values(hashes, present).map(|v| label(v, buckets)), buckets)
        })
        .collect();
    let sizes = partition::bucket_sizes(&counts, buckets);
    let mut split = vec![0; sizes.iter().sum()];
    partition::split(&mut split, &counts, buckets)
        .into_par_iter()
        .zip(&segments)
        .for_each(|(mut rooms, (hashes, present))| {
            for value in values(hashes, present) {
                rooms[label(value, buckets)].put(value);
            }
        });
    partition::cut(&mut split, &sizes)
        .into_par_iter()
        .map_init(Vec::new, |table, bucket| any_twice(bucket, table))
        .any(|twice| twice)
}

/// Whether a value occurs twice, by a table of at least twice as many slots with linear probing. Values are pseudorandom, so
/// their leading bits are slots enough. `table`: memory to be used again.
fn any_twice(values: &[u64], table: &mut Vec<u64>) -> bool {
    const FREE: u64 = 0;
    let bits = (2 * values.len())
        .next_power_of_two()
        .trailing_zeros()
        .max(1);
    table.clear();
    table.resize(1 << bits, FREE);
    let mut free_seen = false;
    for &value in values {
        if value == FREE {
            if mem::replace(&mut free_seen, true) {
                return true;
            }
            continue;
        }
        let mut slot = (value >> (u64::BITS - bits)) as usize;
        while table[slot] != FREE {
            if table[slot] == value {
                return true;
            }
            slot = (slot + 1) & (table.len() - 1);
        }
        table[slot] = value;
    }
    false
}

fn values<'a>(hashes: &'a [[u8; 16]], present: &'a [u8]) -> impl Iterator<Item = u64> + 'a {
    let there = hashes.iter().zip(present).filter(|(_, there)| **there != 0);
    there.map(|(hash, _)| u128::from_le_bytes(*hash) as u64)
}

fn label(value: u64, buckets: usize) -> usize {
    value as usize & (buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hashes(keys: &[u16]) -> Vec<[u8; 16]> {
        let hash = |key: &u16| *blake3::hash(&key.to_le_bytes()).as_bytes();
        keys.iter()
            .map(|key| hash(key)[..16].try_into().unwrap())
            .collect()
    }

    proptest! {
        #[test]
        fn a_key_that_occurs_twice_is_found(keys in prop::collection::vec(0u16..500, 0..60)) {
            let mut distinct = keys.clone();
            distinct.sort_unstable();
            distinct.dedup();
            let repeats = has_repeats(&hashes(&keys), &vec![1; keys.len()]);
            prop_assert_eq!(repeats, distinct.len() < keys.len());
        }
    }

    proptest! {
        #[test]
        fn a_value_that_occurs_twice_is_found_wherever_its_slot_is(
            values in prop::collection::vec(prop_oneof![0..9u64, u64::MAX - 9..=u64::MAX, any::<u64>()], 0..20),
        ) {
            let mut distinct = values.clone();
            distinct.sort_unstable();
            distinct.dedup();
            // A table that another bucket has used.
            let mut table = values.clone();
            prop_assert_eq!(any_twice(&values, &mut table), distinct.len() < values.len());
        }
    }

    #[test]
    fn many_keys_once_do_not_repeat_and_absent_rows_do_not_count() {
        let mut keys: Vec<u16> = (0..=u16::MAX).collect();
        assert!(!has_repeats(&hashes(&keys), &vec![1; keys.len()]));
        keys.push(77);
        let mut present = vec![1; keys.len()];
        assert!(has_repeats(&hashes(&keys), &present));
        present[77] = 0;
        assert!(!has_repeats(&hashes(&keys), &present));
    }
}
