//! Chunks out and chunks in: what every product has in common.

use rayon::prelude::*;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::CHUNK;
use super::columns::{Columns, chunk_slots};
use super::mask::Mask;
use crate::error::{Error, Result};

/// The chunks of a stream of `columns` columns that passed so far.
pub struct Progress {
    slots: usize,
    columns: usize,
    next: usize,
}

impl Progress {
    pub fn new(slots: usize, columns: usize) -> Self {
        Self {
            slots,
            columns,
            next: 0,
        }
    }

    pub fn is_done(&self) -> bool {
        self.next >= self.slots.div_ceil(CHUNK)
    }

    /// The next `chunks` chunks, or fewer at the end: the first one's number and the words of them all.
    pub fn advance(&mut self, chunks: usize) -> (usize, usize) {
        let first = self.next;
        let end = first.saturating_add(chunks).min(self.slots.div_ceil(CHUNK));
        self.next = end;
        let slots = (end * CHUNK).min(self.slots) - (first * CHUNK).min(self.slots);
        (first, slots * self.columns)
    }

    /// How many chunks a message of this many words holds: at least one, all whole, none past the end.
    pub fn chunks_of(&self, words: usize) -> Result<usize> {
        let chunks = words.div_ceil(CHUNK * self.columns);
        let rest = self.slots.saturating_sub(self.next * CHUNK);
        let expected = chunks
            .checked_mul(CHUNK)
            .map_or(rest, |slots| slots.min(rest));
        if chunks == 0 || expected * self.columns != words {
            return Err(Error::Malformed);
        }
        Ok(chunks)
    }
}

/// D or E: a factor less its mask, chunk by chunk.
pub fn masked(columns: &Columns, mask: &Mask, progress: &mut Progress, chunks: usize) -> Vec<u64> {
    let (first, words) = progress.advance(chunks);
    let size = CHUNK * columns.columns();
    let mut out = vec![0; words];
    out.par_chunks_mut(size).enumerate().for_each_init(
        || Zeroizing::new(Vec::new()),
        |scratch, (i, out)| {
            columns.fill(first + i, out);
            scratch.resize(out.len(), 0);
            mask.words((first + i) * size, scratch);
            for (value, mask) in out.iter_mut().zip(scratch.iter()) {
                *value = value.wrapping_sub(*mask);
            }
        },
    );
    out
}

/// Buffers of one thread: two factors of a chunk, masks among them, and a sum.
#[derive(Default, ZeroizeOnDrop)]
pub struct Scratch {
    pub x: Vec<u64>,
    pub y: Vec<u64>,
    pub mask: Vec<u64>,
    pub sum: Vec<u64>,
}

impl Scratch {
    fn of(words: usize) -> Self {
        Self {
            x: Vec::new(),
            y: Vec::new(),
            mask: Vec::new(),
            sum: vec![0; words],
        }
    }
}

/// Σ over chunks `first..first + chunks` of a p × q product that `add` accumulates.
pub fn sum_chunks(
    chunks: std::ops::Range<usize>,
    size: usize,
    add: impl Fn(usize, &mut Scratch) + Sync,
) -> Vec<u64> {
    chunks
        .into_par_iter()
        .fold(
            || Scratch::of(size),
            |mut scratch, chunk| {
                add(chunk, &mut scratch);
                scratch
            },
        )
        .map(|mut scratch| std::mem::take(&mut scratch.sum))
        .reduce(|| vec![0; size], added)
}

/// Fills `out` chunk by chunk of `size` bytes by `add`, which also accumulates a sum of `words` words; returns the sums' total.
pub fn sum_over(
    out: &mut [u8],
    size: usize,
    words: usize,
    add: impl Fn(usize, &mut [u8], &mut Scratch) + Sync,
) -> Vec<u64> {
    out.par_chunks_mut(size)
        .enumerate()
        .fold(
            || Scratch::of(words),
            |mut scratch, (i, out)| {
                add(i, out, &mut scratch);
                scratch
            },
        )
        .map(|mut scratch| std::mem::take(&mut scratch.sum))
        .reduce(|| vec![0; words], added)
}

fn added(mut left: Vec<u64>, right: Vec<u64>) -> Vec<u64> {
    add_words(&mut left, &right);
    left
}

pub fn add_words(out: &mut [u64], by: &[u64]) {
    for (value, by) in out.iter_mut().zip(by) {
        *value = value.wrapping_add(*by);
    }
}

/// Overwrites `out` with a chunk of a factor.
pub fn load_columns(columns: &Columns, chunk: usize, out: &mut Vec<u64>) {
    let height = chunk_slots(chunk, columns.slots()).len();
    out.resize(height * columns.columns(), 0);
    columns.fill(chunk, out);
}

/// Overwrites `out` with a chunk of a mask of `columns` columns.
pub fn load_mask(mask: &Mask, chunk: usize, slots: usize, columns: usize, out: &mut Vec<u64>) {
    out.resize(chunk_slots(chunk, slots).len() * columns, 0);
    mask.words(chunk * CHUNK * columns, out);
}

/// Overwrites `out` with the chunk number `i` of a message.
pub fn load_message(message: &[[u8; 8]], i: usize, columns: usize, out: &mut Vec<u64>) {
    let size = CHUNK * columns;
    let chunk = &message[i * size..message.len().min((i + 1) * size)];
    out.clear();
    out.extend(chunk.iter().map(|word| u64::from_le_bytes(*word)));
}

/// A message's words.
pub fn words(message: &[u8]) -> Result<&[[u8; 8]]> {
    let (words, rest) = message.as_chunks();
    if rest.is_empty() {
        Ok(words)
    } else {
        Err(Error::Malformed)
    }
}
