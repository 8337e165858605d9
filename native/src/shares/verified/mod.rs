//! XᵀY as `evaluated` has it, and a check of the coordinator that multiplied (after SPDZ2k: Cramer and others 2018, eprint
//! 2018/482, §3; docs/decisions/019). All of it runs modulo 2^K, K = 8·width, of which a result means its low k bits.
//!
//! From a seed of theirs alone both parties draw α, a number modulo 2^K for each column of X. A sends one more column, Σ_i α_i X_i,
//! under a mask of its own. For each column j of Y the shares of Σ_i α_i·(X_iᵀY_j) − (Σ_i α_i X_i)ᵀY_j then add to 0: A's is the
//! negative of B's. A coordinator that returns D + d_ij and d_j instead of D makes it Σ_i α_i·d_ij − d_j. Where some d_ij is not 0
//! modulo 2^k, that is 0 for at most one α_i in 2^(K−k+1).

use std::sync::Arc;

use rayon::prelude::*;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::CHUNK;
use super::columns::{Columns, chunk_slots};
use super::inner::{Role, Shape};
use super::mask::{Mask, Purpose};
use super::packed::{pack_wide, unpack_wide, words_in};
use super::stream::Progress;
use crate::block::{self, Block};
use crate::error::{Error, Result};
use crate::prg::Prg;

/// A word modulo 2^128, whose low `width` bytes mean something.
type Wide = u128;

const MOST_BYTES: usize = size_of::<Wide>();

fn check_width(width: usize) -> Result<()> {
    if (1..=MOST_BYTES).contains(&width) {
        Ok(())
    } else {
        Err(Error::Parameters("a wide word goes by one to 16 bytes"))
    }
}

/// One party.
pub struct Party {
    role: Role,
    own: Arc<Columns>,
    shape: Shape,
    width: usize,
    alpha: Zeroizing<Vec<Wide>>,
    mask: Mask,
    peer_mask: Mask,
    sent: Progress,
    sum: Vec<Wide>,
}

/// A party's share of XᵀY modulo 2^64, row by row, and what it compares: equal at both if the coordinator multiplied.
pub struct Verified {
    pub share: Vec<u64>,
    /// A number modulo 2^K for each column of Y, 16 bytes each, little-endian.
    pub check: Vec<u8>,
}

impl Party {
    /// The seeds of U, of V and of α are the parties' common secrets, fresh for this product; words go by their `width` low bytes.
    pub fn new(
        role: Role,
        own: Arc<Columns>,
        peer_columns: usize,
        width: usize,
        (seed_u, seed_v): (Block, Block),
        seed_alpha: Block,
    ) -> Result<Self> {
        let slots = own.slots();
        let (p, q) = match role {
            Role::A => (own.columns(), peer_columns),
            Role::B => (peer_columns, own.columns()),
        };
        let shape = Shape { slots, p, q }.check()?;
        check_width(width)?;
        let (seed, peer_seed, sent) = match role {
            Role::A => (seed_u, seed_v, p + 1),
            Role::B => (seed_v, seed_u, q),
        };
        let mut alpha = Zeroizing::new(vec![0; p]);
        Prg::new(seed_alpha).fill(&mut alpha);
        Ok(Self {
            role,
            own,
            shape,
            width,
            alpha,
            mask: Mask::new(seed, Purpose::Factor),
            peer_mask: Mask::new(peer_seed, Purpose::Factor),
            sent: Progress::new(slots, sent),
            sum: vec![0; (p + 1) * q],
        })
    }

    /// The next `chunks` chunks of the masked factor for the coordinator; empty when all are sent.
    pub fn next_message(&mut self, chunks: usize) -> Vec<u8> {
        let Shape { slots, p, q } = self.shape;
        let (first, words) = self.sent.advance(chunks);
        let mut out = vec![0; words * self.width];
        let (ours, theirs) = match self.role {
            Role::A => (p + 1, q),
            Role::B => (q, p + 1),
        };
        let party = &*self;
        let sum = out
            .par_chunks_mut(CHUNK * ours * self.width)
            .enumerate()
            .fold(
                || Scratch::of(party.sum.len()),
                |mut scratch, (i, out)| {
                    let chunk = first + i;
                    party.load_own(chunk, &mut scratch);
                    let height = chunk_slots(chunk, slots).len();
                    load_mask(&party.peer_mask, chunk, height, theirs, &mut scratch.y);
                    if party.role == Role::A {
                        accumulate(&scratch.x, &scratch.y, height, &mut scratch.sum);
                    }
                    load_mask(&party.mask, chunk, height, ours, &mut scratch.mask);
                    for (value, mask) in scratch.x.iter_mut().zip(&scratch.mask) {
                        *value = value.wrapping_sub(*mask);
                    }
                    if party.role == Role::B {
                        accumulate(&scratch.y, &scratch.x, height, &mut scratch.sum);
                    }
                    pack_wide(&scratch.x, party.width, out);
                    scratch
                },
            )
            .map(|mut scratch| std::mem::take(&mut scratch.sum))
            .reduce(|| vec![0; (p + 1) * q], added);
        add_words(&mut self.sum, &sum);
        out
    }

    /// Overwrites `scratch.x` with a chunk of the own columns, A's with the one that checks them after the last.
    fn load_own(&self, chunk: usize, scratch: &mut Scratch) {
        let height = chunk_slots(chunk, self.shape.slots).len();
        scratch.narrow.resize(height * self.own.columns(), 0);
        self.own.fill(chunk, &mut scratch.narrow);
        scratch.x.clear();
        // For the checking column too: growing later would leave a copy behind that nobody wipes.
        scratch.x.reserve(height * (self.own.columns() + 1));
        scratch
            .x
            .extend(scratch.narrow.iter().map(|&word| Wide::from(word)));
        if self.role == Role::A {
            scratch.x.resize(height * (self.shape.p + 1), 0);
            let (columns, checking) = scratch.x.split_at_mut(height * self.shape.p);
            for (column, alpha) in columns.chunks_exact(height).zip(self.alpha.iter()) {
                for (sum, value) in checking.iter_mut().zip(column) {
                    *sum = sum.wrapping_add(alpha.wrapping_mul(*value));
                }
            }
        }
    }

    /// A's end, from what the coordinator handed it.
    pub fn finish_a(mut self, dealt: &[u8]) -> Result<Verified> {
        self.check_end(Role::A)?;
        let (dealt, rest) = dealt.as_chunks::<MOST_BYTES>();
        if !rest.is_empty() || dealt.len() != self.sum.len() {
            return Err(Error::Malformed);
        }
        for (sum, dealt) in self.sum.iter_mut().zip(dealt) {
            *sum = sum.wrapping_add(Wide::from_le_bytes(*dealt));
        }
        Ok(self.verified())
    }

    /// B's end, less the numbers that it had the coordinator add for A; `seed_r` as sent to the coordinator.
    pub fn finish_b(mut self, seed_r: Block) -> Result<Verified> {
        self.check_end(Role::B)?;
        for (sum, blind) in self.sum.iter_mut().zip(blinding(seed_r, self.shape).iter()) {
            *sum = sum.wrapping_sub(*blind);
        }
        Ok(self.verified())
    }

    fn verified(&self) -> Verified {
        let Shape { p, q, .. } = self.shape;
        let (share, checking) = self.sum.split_at(p * q);
        let mut check = vec![[0; block::BYTES]; q];
        for (j, out) in check.iter_mut().enumerate() {
            let column = share.iter().skip(j).step_by(q);
            let sum = column
                .zip(self.alpha.iter())
                .fold(0, |sum: Wide, (z, alpha)| {
                    sum.wrapping_add(alpha.wrapping_mul(*z))
                });
            let value = match self.role {
                Role::A => sum.wrapping_sub(checking[j]),
                Role::B => checking[j].wrapping_sub(sum),
            };
            *out = (value & (Wide::MAX >> (8 * (MOST_BYTES - self.width)))).to_le_bytes();
        }
        Verified {
            share: share.iter().map(|&word| word as u64).collect(),
            check: check.concat(),
        }
    }

    fn check_end(&self, role: Role) -> Result<()> {
        if self.role != role || !self.sent.is_done() {
            return Err(Error::Parameters(
                "a product ends when all chunks are sent, for each party in its own way",
            ));
        }
        Ok(())
    }
}

/// The coordinator.
pub struct Evaluator {
    shape: Shape,
    width: usize,
    received: [Progress; 2],
    sum: Vec<Wide>,
}

impl Evaluator {
    /// `shape.p` is without the column that checks X.
    pub fn new(shape: Shape, width: usize) -> Result<Self> {
        let Shape { slots, p, q } = shape.check()?;
        check_width(width)?;
        Ok(Self {
            shape,
            width,
            received: [Progress::new(slots, p + 1), Progress::new(slots, q)],
            sum: vec![0; (p + 1) * q],
        })
    }

    /// Takes the next chunks of both parties, the same ones.
    pub fn absorb(&mut self, a: &[u8], b: &[u8]) -> Result<()> {
        let messages = [a, b];
        let mut counts = [Ok(0), Ok(0)];
        for ((count, message), progress) in counts.iter_mut().zip(messages).zip(&self.received) {
            *count = progress.chunks_of(words_in(message, self.width)?);
        }
        let [a_chunks, b_chunks] = counts;
        let chunks = a_chunks?;
        if b_chunks? != chunks {
            return Err(Error::Malformed);
        }
        for progress in &mut self.received {
            progress.advance(chunks);
        }
        let Shape { p, q, .. } = self.shape;
        let (size, width) = ((p + 1) * q, self.width);
        let sum = (0..chunks)
            .into_par_iter()
            .fold(
                || Scratch::of(size),
                |mut scratch, chunk| {
                    unpack_wide(a, chunk, p + 1, width, &mut scratch.x);
                    unpack_wide(b, chunk, q, width, &mut scratch.y);
                    let height = scratch.y.len() / q;
                    accumulate(&scratch.x, &scratch.y, height, &mut scratch.sum);
                    scratch
                },
            )
            .map(|mut scratch| std::mem::take(&mut scratch.sum))
            .reduce(|| vec![0; size], added);
        add_words(&mut self.sum, &sum);
        Ok(())
    }

    /// What A is handed: X'ᵀY' + R, p + 1 rows.
    pub fn finish(mut self, seed_r: Block) -> Result<Vec<Wide>> {
        if !self.received.iter().all(Progress::is_done) {
            return Err(Error::Parameters("a product ends when all chunks came"));
        }
        add_words(&mut self.sum, &blinding(seed_r, self.shape));
        Ok(self.sum)
    }
}

/// R.
fn blinding(seed_r: Block, shape: Shape) -> Zeroizing<Vec<Wide>> {
    let mut blind = Zeroizing::new(vec![0; (shape.p + 1) * shape.q]);
    Mask::new(seed_r, Purpose::Product).blocks(0, &mut blind);
    blind
}

/// Buffers of one thread.
#[derive(ZeroizeOnDrop)]
struct Scratch {
    narrow: Vec<u64>,
    x: Vec<Wide>,
    y: Vec<Wide>,
    mask: Vec<Wide>,
    sum: Vec<Wide>,
}

impl Scratch {
    fn of(words: usize) -> Self {
        Self {
            narrow: Vec::new(),
            x: Vec::new(),
            y: Vec::new(),
            mask: Vec::new(),
            sum: vec![0; words],
        }
    }
}

fn load_mask(mask: &Mask, chunk: usize, height: usize, columns: usize, out: &mut Vec<Wide>) {
    out.resize(height * columns, 0);
    mask.blocks(chunk * CHUNK * columns, out);
}

/// `sum` += XᵀY of a chunk, column after column of either.
fn accumulate(x: &[Wide], y: &[Wide], height: usize, sum: &mut [Wide]) {
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

fn added(mut left: Vec<Wide>, right: Vec<Wide>) -> Vec<Wide> {
    add_words(&mut left, &right);
    left
}

fn add_words(out: &mut [Wide], by: &[Wide]) {
    for (value, by) in out.iter_mut().zip(by) {
        *value = value.wrapping_add(*by);
    }
}

#[cfg(test)]
mod tests;
