//! Where a key lies: its bin, its three sparse columns and its dense factor, all from one keyed hash.

use super::parameters::Parameters;
use crate::block::Block;
use crate::prg::FixedKeyHash;

/// Keys to 128-bit hashes under the seed of an encoding, and hashes to places.
pub struct Hasher {
    hash: FixedKeyHash,
    bins: u32,
    sparse: u32,
}

impl Hasher {
    pub fn new(parameters: &Parameters, seed: Block) -> Self {
        Self {
            hash: FixedKeyHash::new(seed),
            bins: parameters.bins() as u32,
            sparse: parameters.sparse() as u32,
        }
    }

    /// Replaces keys by their hashes, which are also their dense factors.
    pub fn hash_blocks(&self, keys: &mut [Block]) {
        self.hash.hash_blocks(keys);
    }

    #[inline]
    pub fn bin(&self, hash: Block) -> usize {
        below((hash >> 96) as u32, self.bins) as usize
    }

    /// Three distinct columns, each triple equally likely up to 2^-16: the second is drawn among those that are not
    /// the first, the third among those that are neither.
    #[inline]
    pub fn columns(&self, hash: Block) -> [u16; 3] {
        let first = below(hash as u32, self.sparse);
        let mut second = below((hash >> 32) as u32, self.sparse - 1);
        second += u32::from(second >= first);
        let mut third = below((hash >> 64) as u32, self.sparse - 2);
        third += u32::from(third >= first.min(second));
        third += u32::from(third >= first.max(second));
        [first as u16, second as u16, third as u16]
    }
}

/// A number below `bound` from 32 random bits (Lemire 2019, without the rejection).
#[inline]
fn below(random: u32, bound: u32) -> u32 {
    ((u64::from(random) * u64::from(bound)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn columns_are_distinct_and_within_the_bin(hash: u128, items in 1usize..100) {
            let parameters = Parameters::new(items, 1).unwrap();
            let [a, b, c] = Hasher::new(&parameters, 0).columns(hash);
            prop_assert!(a != b && b != c && a != c);
            prop_assert!([a, b, c].iter().all(|&column| usize::from(column) < parameters.sparse()));
        }
    }

    /// χ² over the 10 · 9 · 8 triples of n = 1; 719 degrees of freedom, so 950 is exceeded with probability 1e-8.
    #[test]
    fn every_triple_is_as_likely_as_another() {
        let hasher = Hasher::new(&Parameters::new(1, 1).unwrap(), 5);
        let mut keys: Vec<Block> = (0..720_000).collect();
        hasher.hash_blocks(&mut keys);
        let mut counts = vec![0i64; 1000];
        for key in keys {
            let [a, b, c] = hasher.columns(key).map(usize::from);
            counts[100 * a + 10 * b + c] += 1;
        }
        let drawn = counts.iter().filter(|&&count| count > 0);
        assert_eq!(drawn.clone().count(), 720);
        let chi: f64 = drawn
            .map(|&count| ((count - 1000) as f64).powi(2) / 1000.0)
            .sum();
        assert!(chi < 950.0, "{chi}");
    }
}
