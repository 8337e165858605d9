//! Chunks out and chunks in: what every product has in common.

use rayon::prelude::*;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::CHUNK;
use super::columns::{Columns, chunk_slots};
use super::mask::Mask;
use super::word::Word;
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
    let mut out = vec![0u64; words];
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
pub struct Scratch<W: Word> {
    pub x: Vec<W>,
    pub y: Vec<W>,
    pub mask: Vec<W>,
    pub sum: Vec<W>,
}

impl<W: Word> Scratch<W> {
    fn of(words: usize) -> Self {
        let mut scratch = Self::default();
        scratch.sum.resize(words, W::default());
        scratch
    }

    fn into_sum(mut self) -> Zeroizing<Vec<W>> {
        Zeroizing::new(std::mem::take(&mut self.sum))
    }
}

/// Σ over chunks `first..first + chunks` of a p × q product that `add` accumulates.
pub fn sum_chunks<W: Word>(
    chunks: std::ops::Range<usize>,
    size: usize,
    add: impl Fn(usize, &mut Scratch<W>) + Sync,
) -> Zeroizing<Vec<W>> {
    chunks
        .into_par_iter()
        .fold(
            || Scratch::of(size),
            |mut scratch, chunk| {
                add(chunk, &mut scratch);
                scratch
            },
        )
        .map(Scratch::into_sum)
        .reduce(|| zeros(size), added)
}

/// Fills `out` chunk by chunk of `size` bytes by `add`, which also accumulates a sum of `words` words; returns the sums' total.
pub fn sum_over<W: Word>(
    out: &mut [u8],
    size: usize,
    words: usize,
    add: impl Fn(usize, &mut [u8], &mut Scratch<W>) + Sync,
) -> Zeroizing<Vec<W>> {
    out.par_chunks_mut(size)
        .enumerate()
        .fold(
            || Scratch::of(words),
            |mut scratch, (i, out)| {
                add(i, out, &mut scratch);
                scratch
            },
        )
        .map(Scratch::into_sum)
        .reduce(|| zeros(words), added)
}

/// A sum to begin with.
pub fn zeros<W: Word>(words: usize) -> Zeroizing<Vec<W>> {
    Zeroizing::new(vec![W::default(); words])
}

fn added<W: Word>(mut left: Zeroizing<Vec<W>>, right: Zeroizing<Vec<W>>) -> Zeroizing<Vec<W>> {
    add_words(&mut left, &right);
    left
}

pub fn add_words<W: Word>(out: &mut [W], by: &[W]) {
    for (value, by) in out.iter_mut().zip(by) {
        *value = value.plus(*by);
    }
}

/// Makes `out` hold a chunk of `columns` columns: growing from a shorter one would leave a copy behind that nobody wipes.
pub fn resize<W: Word>(out: &mut Vec<W>, height: usize, columns: usize) {
    out.reserve_exact((CHUNK * columns).saturating_sub(out.len()));
    out.resize(height * columns, W::default());
}

/// Overwrites `out` with a chunk of a factor.
pub fn load_columns(columns: &Columns, chunk: usize, out: &mut Vec<u64>) {
    resize(
        out,
        chunk_slots(chunk, columns.slots()).len(),
        columns.columns(),
    );
    columns.fill(chunk, out);
}

/// Overwrites `out` with a chunk of a mask of `columns` columns.
pub fn load_mask<W: Word>(
    mask: &Mask,
    chunk: usize,
    slots: usize,
    columns: usize,
    out: &mut Vec<W>,
) {
    resize(out, chunk_slots(chunk, slots).len(), columns);
    W::mask(mask, chunk * CHUNK * columns, out);
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
