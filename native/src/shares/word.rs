//! The two rings that a product of two runs in: words modulo 2^64, and modulo 2^128 where the parties check it (`verified`).

use std::fmt::Debug;

use zeroize::Zeroize;

use super::mask::Mask;
use super::packed;
use super::simd;
use crate::error::{Error, Result};

pub trait Word: Copy + Debug + Default + From<u64> + PartialEq + Send + Sync + Zeroize {
    /// By how many bytes a word goes at most.
    const BYTES: usize;
    /// Columns that A sends after its own: what checks them.
    const CHECKING: usize;

    fn plus(self, by: Self) -> Self;
    fn minus(self, by: Self) -> Self;
    /// A word of all its bytes, little-endian.
    fn of(bytes: &[u8]) -> Self;
    /// Overwrites `out` with a mask's words `first..`; `first` is even.
    fn mask(mask: &Mask, first: usize, out: &mut [Self]);
    /// `sum` += XᵀY of a chunk of `height` slots, column after column of either.
    fn accumulate(x: &[Self], y: &[Self], height: usize, sum: &mut [Self]);
    /// Writes the low bytes of all words, one after the other.
    fn pack(words: &[Self], width: usize, out: &mut [u8]);
    /// Overwrites `out` with the words of the chunk number `i` of a message of `columns` columns.
    fn unpack(message: &[u8], i: usize, columns: usize, width: usize, out: &mut Vec<Self>);

    fn check_width(width: usize) -> Result<()> {
        if (1..=Self::BYTES).contains(&width) {
            Ok(())
        } else {
            Err(Error::Parameters(
                "a word goes by one to eight bytes, a wide one by one to 16",
            ))
        }
    }
}

impl Word for u64 {
    const BYTES: usize = 8;
    const CHECKING: usize = 0;

    fn plus(self, by: Self) -> Self {
        self.wrapping_add(by)
    }

    fn minus(self, by: Self) -> Self {
        self.wrapping_sub(by)
    }

    fn of(bytes: &[u8]) -> Self {
        bytes
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | Self::from(byte))
    }

    fn mask(mask: &Mask, first: usize, out: &mut [Self]) {
        mask.words(first, out);
    }

    fn accumulate(x: &[Self], y: &[Self], height: usize, sum: &mut [Self]) {
        simd::accumulate(x, y, height, sum);
    }

    fn pack(words: &[Self], width: usize, out: &mut [u8]) {
        packed::pack(words, width, out);
    }

    fn unpack(message: &[u8], i: usize, columns: usize, width: usize, out: &mut Vec<Self>) {
        packed::unpack_chunk(message, i, columns, width, out);
    }
}

impl Word for u128 {
    const BYTES: usize = 16;
    const CHECKING: usize = 1;

    fn plus(self, by: Self) -> Self {
        self.wrapping_add(by)
    }

    fn minus(self, by: Self) -> Self {
        self.wrapping_sub(by)
    }

    fn of(bytes: &[u8]) -> Self {
        bytes
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | Self::from(byte))
    }

    fn mask(mask: &Mask, first: usize, out: &mut [Self]) {
        mask.blocks(first, out);
    }

    fn accumulate(x: &[Self], y: &[Self], height: usize, sum: &mut [Self]) {
        let q = y.len() / height;
        for (x, sum) in x.chunks_exact(height).zip(sum.chunks_exact_mut(q)) {
            for (y, sum) in y.chunks_exact(height).zip(sum) {
                *sum = x
                    .iter()
                    .zip(y)
                    .fold(*sum, |sum, (x, y)| sum.wrapping_add(x.wrapping_mul(*y)));
            }
        }
    }

    fn pack(words: &[Self], width: usize, out: &mut [u8]) {
        packed::pack_wide(words, width, out);
    }

    fn unpack(message: &[u8], i: usize, columns: usize, width: usize, out: &mut Vec<Self>) {
        packed::unpack_wide(message, i, columns, width, out);
    }
}
