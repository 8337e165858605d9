//! Masks from seeds: a stream of words that is never in memory as a whole.

use zeroize::Zeroizing;

use crate::block::Block;
use crate::prg::Prg;

/// What a party's seed stands for.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// U or V, the mask of the party's factor.
    Factor = 0,
    /// W_A, the mask of A's share of the product.
    Product = 1,
}

/// A stream of uniform words under a sub-seed.
pub struct Mask(Zeroizing<Block>);

impl Mask {
    /// The sub-seed is the block number `purpose` of the seed's own stream.
    pub fn new(seed: Block, purpose: Purpose) -> Self {
        let mut stream = Prg::new(seed);
        stream.skip(purpose as u128);
        Self(Zeroizing::new(stream.block()))
    }

    /// Overwrites `out` with the words `first..`; `first` is even.
    pub fn words(&self, first: usize, out: &mut [u64]) {
        debug_assert!(first.is_multiple_of(2));
        let mut stream = Prg::new(*self.0);
        stream.skip((first / 2) as u128);
        let mut blocks = Zeroizing::new([0; 64]);
        for part in out.chunks_mut(128) {
            stream.fill(&mut blocks[..part.len().div_ceil(2)]);
            let words: &[u64; 128] = bytemuck::must_cast_ref(&*blocks);
            part.copy_from_slice(&words[..part.len()]);
        }
    }

    /// Overwrites `out` with the wide words `first..`, a block each.
    pub fn blocks(&self, first: usize, out: &mut [Block]) {
        let mut stream = Prg::new(*self.0);
        stream.skip(first as u128);
        stream.fill(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_does_not_depend_on_where_it_is_read() {
        let mask = Mask::new(5, Purpose::Factor);
        let mut whole = vec![0; 1001];
        mask.words(0, &mut whole);
        let mut part = vec![0; 301];
        mask.words(700, &mut part);
        assert_eq!(part, whole[700..]);
        let mut other = vec![0; 1001];
        Mask::new(5, Purpose::Product).words(0, &mut other);
        assert!(whole.iter().zip(&other).all(|(a, b)| a != b));
    }
}
