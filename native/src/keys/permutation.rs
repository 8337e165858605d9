//! A uniformly random order from a 32-byte seed.
//!
//! Each item draws a bucket uniformly and independently, then each bucket is shuffled (Rao 1961, Sandelius 1962: the
//! order by independent uniform keys whose leading digits are the buckets; given the buckets' sizes, the item sets are
//! uniform, and so are the orders within, hence every permutation has probability 1/n!). A bucket fits a core's
//! cache, which a Fisher–Yates shuffle over all items does not.

use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use crate::block::{self, Block};
use crate::error::{Error, Result};
use crate::matching::partition;
use crate::prg::Prg;

/// Buckets are chosen so that a bucket holds about this many items (of 4 bytes).
const BUCKET_ITEMS: usize = 1 << 14;
const MAX_BUCKETS: usize = 1 << 12;
/// Items whose buckets come from one stream, so that the result depends on the seed alone, not on threads.
const SEGMENT: usize = 1 << 16;

/// The streams that a seed stands for.
enum Stream {
    /// Buckets of a segment's items.
    Segment(usize),
    /// Swaps within a bucket.
    Bucket(usize),
}

/// A uniform permutation of `0..items`; at most 2^32 items.
pub fn permutation(seed: &[u8; 32], items: usize) -> Result<Vec<u32>> {
    permuted(seed, items, |item| item as u32)
}

/// What `item` returns for each of `0..items`, in the order of the permutation of that seed: to move items along costs less
/// than to look them up in an order that is random over all of them.
pub fn permuted<T>(
    seed: &[u8; 32],
    items: usize,
    item: impl Fn(usize) -> T + Sync,
) -> Result<Vec<T>>
where
    T: Copy + Default + Send,
{
    if u32::try_from(items.saturating_sub(1)).is_err() {
        return Err(Error::Parameters("a permutation has at most 2^32 items"));
    }
    let buckets = (items / BUCKET_ITEMS + 1)
        .next_power_of_two()
        .min(MAX_BUCKETS);
    let labels = Zeroizing::new(draw_buckets(seed, items, buckets));
    let counts: Vec<Vec<usize>> = labels
        .par_chunks(SEGMENT)
        .map(|segment| partition::count(segment.iter().map(|&label| label as usize), buckets))
        .collect();
    let sizes = partition::bucket_sizes(&counts, buckets);
    let mut permuted = vec![T::default(); items];
    partition::split(&mut permuted, &counts, buckets)
        .into_par_iter()
        .zip(labels.par_chunks(SEGMENT))
        .enumerate()
        .for_each(|(segment, (mut rooms, labels))| {
            let first = segment * SEGMENT;
            for (i, &label) in labels.iter().enumerate() {
                rooms[usize::from(label)].put(item(first + i));
            }
        });
    partition::cut(&mut permuted, &sizes)
        .into_par_iter()
        .enumerate()
        .for_each(|(bucket, items)| shuffle(items, sub_seed(seed, Stream::Bucket(bucket))));
    Ok(permuted)
}

/// A uniform bucket for each item; `buckets` is a power of two, at most 2^16.
fn draw_buckets(seed: &[u8; 32], items: usize, buckets: usize) -> Vec<u16> {
    let mut labels = vec![0u16; items];
    if buckets == 1 {
        return labels;
    }
    let mask = (buckets - 1) as u16;
    labels
        .par_chunks_mut(SEGMENT)
        .enumerate()
        .for_each(|(segment, labels)| {
            let mut stream = Prg::new(sub_seed(seed, Stream::Segment(segment)));
            let mut drawn = Zeroizing::new([0; 64]);
            for part in labels.chunks_mut(512) {
                stream.fill(&mut drawn[..part.len().div_ceil(8)]);
                let values: &[u16; 512] = bytemuck::must_cast_ref(&*drawn);
                for (label, value) in part.iter_mut().zip(values) {
                    *label = value & mask;
                }
            }
        });
    labels
}

/// Fisher–Yates (Durstenfeld 1964) with unbiased indices.
fn shuffle<T>(items: &mut [T], seed: Block) {
    let mut uniform = Uniform::new(seed);
    for last in (1..items.len()).rev() {
        items.swap(last, uniform.below(last as u32 + 1) as usize);
    }
}

/// Uniform integers from a stream.
struct Uniform {
    stream: Prg,
    drawn: [Block; 64],
    next: usize,
}

impl Uniform {
    const WORDS: usize = 256;

    fn new(seed: Block) -> Self {
        Self {
            stream: Prg::new(seed),
            drawn: [0; 64],
            next: Self::WORDS,
        }
    }

    fn word(&mut self) -> u32 {
        if self.next == Self::WORDS {
            self.stream.fill(&mut self.drawn);
            self.next = 0;
        }
        let words: &[u32; Self::WORDS] = bytemuck::must_cast_ref(&self.drawn);
        let word = words[self.next];
        self.next += 1;
        word
    }

    /// Uniform below `bound` (> 0): Lemire 2019, alg. 5, which rejects what would bias.
    fn below(&mut self, bound: u32) -> u32 {
        let mut product = u64::from(self.word()) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u32) < threshold {
                product = u64::from(self.word()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }
}

impl Drop for Uniform {
    fn drop(&mut self) {
        self.drawn.zeroize();
    }
}

fn sub_seed(seed: &[u8; 32], stream: Stream) -> Block {
    let (purpose, number) = match stream {
        Stream::Segment(number) => (b"fedsandbox permutation v1 segment", number),
        Stream::Bucket(number) => (b"fedsandbox permutation v1 buckets", number),
    };
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(purpose);
    hasher.update(&(number as u64).to_le_bytes());
    let mut bytes = [0; block::BYTES];
    hasher.finalize_xof().fill(&mut bytes);
    Block::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered_seed(number: u64) -> [u8; 32] {
        *blake3::hash(&number.to_le_bytes()).as_bytes()
    }

    #[test]
    fn every_item_appears_once() {
        for items in [0, 1, 2, 1000, BUCKET_ITEMS, 3 * SEGMENT + 5] {
            let mut order = permutation(&numbered_seed(1), items).unwrap();
            order.sort_unstable();
            assert!(
                order
                    .iter()
                    .enumerate()
                    .all(|(i, &item)| i == item as usize)
            );
            assert_eq!(order.len(), items);
        }
    }

    #[test]
    fn items_are_moved_as_the_permutation_has_it() {
        let (seed, items) = (numbered_seed(4), 3 * SEGMENT + 5);
        let order = permutation(&seed, items).unwrap();
        let moved = permuted(&seed, items, |item| 7 * item as Block).unwrap();
        assert!(order.iter().map(|&item| 7 * Block::from(item)).eq(moved));
    }

    #[test]
    fn the_order_is_the_seeds_alone() {
        let one = permutation(&numbered_seed(1), 200_000).unwrap();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        assert_eq!(
            pool.install(|| permutation(&numbered_seed(1), 200_000).unwrap()),
            one
        );
        assert_ne!(permutation(&numbered_seed(2), 200_000).unwrap(), one);
    }

    /// χ² over the 120 orders of 5 items, 119 degrees of freedom: P(χ² > 190) < 4·10⁻⁵.
    #[test]
    fn all_orders_of_five_are_equally_likely() {
        const DRAWS: u64 = 60_000;
        let mut seen = std::collections::HashMap::new();
        for number in 0..DRAWS {
            *seen
                .entry(permutation(&numbered_seed(number), 5).unwrap())
                .or_insert(0u64) += 1;
        }
        let expected = DRAWS as f64 / 120.0;
        let chi2: f64 = seen
            .values()
            .map(|&n| (n as f64 - expected).powi(2) / expected)
            .sum();
        assert_eq!(seen.len(), 120);
        assert!(chi2 < 190.0, "{chi2}");
    }

    /// Where items land that all began in one of 16 stretches: χ² with 225 degrees of freedom over several buckets;
    /// P(χ² > 320) < 4·10⁻⁵ (a permutation's counts vary less than independent ones, so less still).
    #[test]
    fn stretches_spread_evenly_over_buckets() {
        const ITEMS: usize = 1 << 17;
        let mut seen = [[0u64; 16]; 16];
        for (at, &item) in permutation(&numbered_seed(3), ITEMS)
            .unwrap()
            .iter()
            .enumerate()
        {
            seen[at * 16 / ITEMS][item as usize * 16 / ITEMS] += 1;
        }
        let expected = ITEMS as f64 / 256.0;
        let chi2: f64 = seen
            .as_flattened()
            .iter()
            .map(|&n| (n as f64 - expected).powi(2) / expected)
            .sum();
        assert!(chi2 < 320.0, "{chi2}");
    }
}
