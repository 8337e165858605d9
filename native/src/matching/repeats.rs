//! Whether any key occurs twice: a side whose keys do not needs no grouping.

use rayon::prelude::*;

use super::partition;

/// Values that share a bucket, about: they fit a core's first-level cache.
const BUCKET: usize = 1 << 11;
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
        .any(|bucket| {
            bucket.sort_unstable();
            bucket.windows(2).any(|pair| pair[0] == pair[1])
        })
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
