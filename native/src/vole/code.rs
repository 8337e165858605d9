//! The compressing linear code: block-accumulate 3×32, rate 1/2, as libOTe's default names it ("Block-Diagonal Codes:
//! Accelerated Linear Codes for Pseudorandom Correlation Generators", Raghuraman, Rindal and others).
//!
//! n = 2k noisy entries are summed up (prefix sums), permuted, summed up, permuted; then block i of 32 of the first half gains
//! D_i times block i of the second half, D_i a random 32 × 32 matrix over GF(2), and the first half is the result. Permutations (Fisher–Yates)
//! and matrices come from AES-CTR streams with public seeds, digits of π.
//!
//! Distance. A test's codeword is a message through [I | D_i], a permutation, a sum, a permutation, a sum. Over uniform
//! permutations and matrices the expected number of codewords of weight h is Σ A_v·P(v→w)·P(w→h), with A_v the
//! coefficient of z^v in (1 + ((1+z)^32 − 1)·((1+z)/2)^32)^(k/32) and P(w→h) = C(n−h, ⌊w/2⌋)·C(h−1, ⌈w/2⌉−1)/C(n, w) (Divsalar, Jin and McEliece
//! 1998). Summed over h ≤ 0.105·n that is 2^-27.0 at n = 8192 and 2^-27.6 at n = 2^19 (tests/vectors/native/code_distance.py counts it);
//! the Gilbert–Varshamov bound is 0.110. Over GF(2^128) the distance is the same, since the code is defined over GF(2).

use std::ops::BitXorAssign;

use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use crate::block::Block;
use crate::prg::Prg;

/// Rows of a diagonal block, σ.
pub const SIGMA: usize = 32;
/// Inputs of one table: four, so that all eight tables of a block stay in the first cache.
const TABLE: usize = 16;
const TABLES: usize = SIGMA / 4;
/// Entries that one thread sums up at a time, a multiple of SIGMA.
const SEGMENT: usize = 1 << 14;
/// The first digits of π after the point, in hexadecimal: seeds of both permutations and of the matrices.
const SEEDS: [Block; 3] = [
    0x243f_6a88_85a3_08d3_1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0_082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377_be54_66cf_34e9_0c6c,
];

/// The code of one length, fixed for all sessions.
pub struct Code {
    first: Vec<u32>,
    second: Vec<u32>,
    diagonal: Vec<u32>,
}

impl Code {
    /// For `outputs` entries, a positive multiple of 32.
    pub fn new(outputs: usize) -> Self {
        assert!(outputs > 0 && outputs.is_multiple_of(SIGMA));
        let mut words = vec![0; outputs.div_ceil(4)];
        Prg::new(SEEDS[2]).fill(&mut words);
        Self {
            first: permutation(2 * outputs, SEEDS[0]),
            second: permutation(2 * outputs, SEEDS[1]),
            diagonal: bytemuck::cast_slice(&words)[..outputs].to_vec(),
        }
    }

    /// Compresses 2k entries to k in `out`. An entry's prefix sum is `entry` of the block of `sums` in its place and of that
    /// place; `mixed` ends with what is of no use, but secret.
    pub fn compress<T>(
        &self,
        sums: &[Block],
        entry: impl Fn(Block, usize) -> T + Sync,
        mixed: &mut [T],
        out: &mut [T],
    ) where
        T: Copy + Default + BitXorAssign + Send + Sync + Zeroize,
    {
        assert!(sums.len() == self.first.len() && mixed.len() == sums.len());
        assert!(out.len() == self.diagonal.len());
        let before = self.mix(sums, entry, mixed);
        let mixed = &*mixed;
        let at = |place: u32| {
            let mut sum = mixed[place as usize];
            sum ^= before[place as usize / SEGMENT];
            sum
        };
        let (own, other) = self.second.split_at(out.len());
        out.par_chunks_exact_mut(SIGMA)
            .zip(own.par_chunks_exact(SIGMA))
            .zip(other.par_chunks_exact(SIGMA))
            .zip(self.diagonal.par_chunks_exact(SIGMA))
            .with_min_len(64)
            .for_each(|(((out, own), other), matrix)| {
                let input = std::array::from_fn(|i| at(other[i]));
                for (value, &from) in out.iter_mut().zip(own) {
                    *value = at(from);
                }
                add_product(out, matrix, &input);
            });
    }

    /// Permutes and sums up: each segment of `mixed` by itself, and for each the sum of all before it.
    fn mix<T>(
        &self,
        sums: &[Block],
        entry: impl Fn(Block, usize) -> T + Sync,
        mixed: &mut [T],
    ) -> Zeroizing<Vec<T>>
    where
        T: Copy + Default + BitXorAssign + Send + Zeroize,
    {
        let segments = mixed.par_chunks_mut(SEGMENT);
        let totals = segments
            .zip(self.first.par_chunks(SEGMENT))
            .map(|(mixed, places)| {
                let mut sum = T::default();
                let places = places.chunks_exact(SIGMA);
                for (mixed, places) in mixed.chunks_exact_mut(SIGMA).zip(places) {
                    // Blocks first and alone, so that many loads are on their way at once.
                    let blocks: [Block; SIGMA] = std::array::from_fn(|i| sums[places[i] as usize]);
                    for ((value, block), &place) in mixed.iter_mut().zip(blocks).zip(places) {
                        sum ^= entry(block, place as usize);
                        *value = sum;
                    }
                }
                sum
            });
        let mut before = Zeroizing::new(totals.collect::<Vec<T>>());
        let mut sum = T::default();
        for before in before.iter_mut() {
            let total = std::mem::replace(before, sum);
            sum ^= total;
        }
        before
    }
}

/// Replaces every entry by the sum of all up to it.
pub fn accumulate(entries: &mut [Block]) {
    let mut sum = 0;
    for entry in entries {
        sum ^= *entry;
        *entry = sum;
    }
}

/// Where each place of a permuted vector takes its entry from.
fn permutation(length: usize, seed: Block) -> Vec<u32> {
    let mut places: Vec<u32> = (0..length as u32).collect();
    let mut words = vec![0; length.div_ceil(2)];
    Prg::new(seed).fill(&mut words);
    let words: &[u64] = bytemuck::cast_slice(&words);
    for (i, word) in words.iter().enumerate().take(length).skip(1) {
        let j = (u128::from(*word) * (i as u128 + 1)) >> 64;
        places.swap(i, j as usize);
    }
    places
}

/// out += matrix·input, with the sums of every four inputs tabulated (Arlazarov and others 1970); bit j of a row takes input j.
fn add_product<T: Copy + Default + BitXorAssign>(
    out: &mut [T],
    matrix: &[u32],
    input: &[T; SIGMA],
) {
    let mut tables = [[T::default(); TABLE]; TABLES];
    for (table, input) in tables.iter_mut().zip(input.chunks_exact(4)) {
        for (bit, value) in input.iter().enumerate() {
            for subset in 0..1 << bit {
                let mut sum = table[subset];
                sum ^= *value;
                table[subset | (1 << bit)] = sum;
            }
        }
    }
    for (value, row) in out.iter_mut().zip(matrix) {
        let mut sum = *value;
        for (i, table) in tables.iter().enumerate() {
            sum ^= table[(row >> (4 * i)) as usize % TABLE];
        }
        *value = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(length: usize, seed: Block) -> Vec<Block> {
        let mut out = vec![0; length];
        Prg::new(seed).fill(&mut out);
        out
    }

    fn compress(mut noise: Vec<Block>) -> Vec<Block> {
        let mut mixed = vec![0; noise.len()];
        let mut out = vec![0; noise.len() / 2];
        accumulate(&mut noise);
        Code::new(out.len()).compress(&noise, |sum, _| sum, &mut mixed, &mut out);
        out
    }

    #[test]
    fn compression_is_linear() {
        let (a, b) = (random(640, 1), random(640, 2));
        let sum = a.iter().zip(&b).map(|(a, b)| a ^ b).collect();
        let separate = compress(a).into_iter().zip(compress(b));
        assert_eq!(
            compress(sum),
            separate.map(|(a, b)| a ^ b).collect::<Vec<_>>()
        );
    }

    /// An independent slow model wrote these: tests/vectors/native/code.py.
    #[test]
    fn compression_agrees_with_the_model() {
        let vectors = include_str!("../../../tests/vectors/native/code.json");
        let values = vectors.split('"').filter(|word| word.len() == 32);
        let expected: Vec<Block> = values
            .map(|word| Block::from_str_radix(word, 16).unwrap())
            .collect();
        let sizes = [32, 96, 800].map(|outputs| compress(random(2 * outputs, 7)));
        assert_eq!(sizes.concat(), expected);
    }

    #[test]
    fn permutations_are_permutations() {
        for length in [1, 2, 640, 9600] {
            let mut places = permutation(length, 5);
            places.sort_unstable();
            assert!(
                places
                    .iter()
                    .enumerate()
                    .all(|(i, place)| i == *place as usize)
            );
        }
    }
}
