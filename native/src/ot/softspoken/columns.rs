//! Streams of seeds summed to columns, columns turned into rows, and the polynomial hash that checks columns.

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::{BITS, GROUPS, SEEDS, TILE};
use crate::block::{BYTES, Block};
use crate::field;
use crate::ot::Session;
use crate::ot::base::COUNT;
use crate::ot::transpose::transpose;
use crate::prg::Prg;

/// Blocks of a stream that are summed at a time: 16 streams of 64 blocks stay in the first cache.
const BATCH: usize = 64;

/// Of every group, the streams summed with the bits of their seeds' numbers (128 columns), and summed plainly; seeds before `first` count as 0.
pub fn expand(
    seeds: &[[Block; SEEDS]],
    first: usize,
    length: usize,
) -> (Zeroizing<Vec<Block>>, Zeroizing<Vec<Block>>) {
    let mut columns = Zeroizing::new(vec![0; COUNT * length]);
    let mut sums = Zeroizing::new(vec![0; GROUPS * length]);
    columns
        .par_chunks_mut(BITS * length)
        .zip(sums.par_chunks_mut(length))
        .zip(seeds)
        .for_each(|((columns, sums), seeds)| {
            let mut streams: Vec<Prg> = seeds[first..].iter().map(|seed| Prg::new(*seed)).collect();
            let mut buffers = Zeroizing::new([[0; BATCH]; SEEDS]);
            for start in (0..length).step_by(BATCH) {
                let count = BATCH.min(length - start);
                for (stream, buffer) in streams.iter_mut().zip(&mut buffers[first..]) {
                    stream.fill(&mut buffer[..count]);
                }
                buffers[..first].fill([0; BATCH]);
                fold(&mut buffers, |bit, values| {
                    columns[bit * length + start..][..count].copy_from_slice(&values[..count]);
                });
                sums[start..start + count].copy_from_slice(&buffers[0][..count]);
            }
        });
    (columns, sums)
}

/// Sums 16 buffers into the first by halves; what the upper half of a bit adds up to is that bit's column.
fn fold(buffers: &mut [[Block; BATCH]; SEEDS], mut column: impl FnMut(usize, &[Block])) {
    for bit in (0..BITS).rev() {
        let half = 1 << bit;
        let (lower, upper) = buffers[..2 * half].split_at_mut(half);
        let mut sums = [0; BATCH];
        for (lower, upper) in lower.iter_mut().zip(upper) {
            for ((sum, low), high) in sums.iter_mut().zip(lower).zip(upper) {
                *sum ^= *high;
                *low ^= *high;
            }
        }
        column(bit, &sums);
    }
}

/// The first `tiles` tiles of the columns as rows, one for each OT.
pub fn rows(columns: &[Block], tiles: usize) -> Zeroizing<Vec<Block>> {
    let length = columns.len() / COUNT;
    let mut rows = Zeroizing::new(vec![0; TILE * tiles]);
    rows.par_chunks_exact_mut(TILE)
        .enumerate()
        .for_each(|(tile, rows)| {
            let square: &mut [Block; TILE] = rows.try_into().expect("a tile");
            for (j, row) in square.iter_mut().enumerate() {
                *row = columns[j * length + tile];
            }
            transpose(square);
        });
    rows
}

/// Σ X^(i+1)·c[i] + c[last]: linear, and two different columns collide with probability length/2^128 over X.
pub struct ColumnHash {
    powers: Vec<Block>,
}

impl ColumnHash {
    pub fn new(session: &Session, transcript: &[u8], length: usize) -> Self {
        let mut bytes = [0; BYTES];
        blake3::Hasher::new_keyed(session)
            .update(b"fedsandbox softspoken check v1")
            .update(transcript)
            .finalize_xof()
            .fill(&mut bytes);
        let point = Block::from_le_bytes(bytes);
        let powers = std::iter::successors(Some(point), |power| Some(field::mul(*power, point)));
        Self {
            powers: powers.take(length).collect(),
        }
    }

    pub fn of(&self, column: &[Block]) -> Block {
        let (last, rest) = column.split_last().expect("a masking tile");
        field::inner(&self.powers, rest) ^ last
    }
}
