//! XᵀY of two parties' factors, multiplied by the coordinator on masked columns: nothing is relayed between the parties.
//!
//! Both parties know the masks U and V (from a key of theirs alone); the coordinator never does. A sends it X' = X − U and
//! keeps XᵀV; B sends it Y' = Y − V and keeps UᵀY' − R, with R from a seed that B draws and seals to the coordinator; the
//! coordinator hands A the numbers X'ᵀY' + R. Then
//!   X'ᵀY' + XᵀV + UᵀY' = X'ᵀ(Y' + V) + UᵀV + UᵀY' = X'ᵀY + UᵀY = XᵀY.
//! All of it may run modulo 2^(8w) for w < 8 (over wide words, which `verified` checks, 16): words go on the wire by their w low bytes, and only so many of a share mean anything.
//! To the coordinator X' and Y' are uniform, being one-time pads. Without R, A would hold X'ᵀY', know X' and V, and could read off
//! sums of Y's rows that it chose; with it, what A holds is uniform too. What the coordinator returns can shift a result and choose no mask.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::CHUNK;
use super::columns::{Columns, chunk_slots};
use super::inner::{Role, Shape};
use super::mask::{Mask, Purpose};
use super::packed;
use super::stream::{self, Progress, Scratch, add_words};
use super::word::Word;
use crate::block::Block;
use crate::error::{Error, Result};

/// What a party multiplies.
pub trait Factor: Sync {
    type Word: Word;

    fn slots(&self) -> usize;

    /// How many columns are sent.
    fn columns(&self) -> usize;

    /// Overwrites `out` with a chunk of them, one after the other.
    fn fill(&self, chunk: usize, out: &mut [Self::Word]);
}

impl Factor for Arc<Columns> {
    type Word = u64;

    fn slots(&self) -> usize {
        Columns::slots(self)
    }

    fn columns(&self) -> usize {
        Columns::columns(self)
    }

    fn fill(&self, chunk: usize, out: &mut [u64]) {
        Columns::fill(self, chunk, out);
    }
}

/// One party: it sends its masked factor, and keeps its own part of the product.
pub struct Party<F: Factor> {
    role: Role,
    own: F,
    peer_columns: usize,
    width: usize,
    mask: Mask,
    peer_mask: Mask,
    sent: Progress,
    sum: Zeroizing<Vec<F::Word>>,
}

impl<F: Factor> Party<F> {
    /// `peer_columns`: without what checks them. The seeds of U and V are the parties' common secrets, fresh for this product; a
    /// word goes by its `width` low bytes.
    pub fn new(
        role: Role,
        own: F,
        peer_columns: usize,
        width: usize,
        (seed_u, seed_v): (Block, Block),
    ) -> Result<Self> {
        let (slots, columns) = (own.slots(), own.columns());
        let (p, q) = match role {
            Role::A => (columns - F::Word::CHECKING, peer_columns),
            Role::B => (peer_columns, columns),
        };
        Shape { slots, p, q }.check()?;
        F::Word::check_width(width)?;
        let (seed, peer_seed) = match role {
            Role::A => (seed_u, seed_v),
            Role::B => (seed_v, seed_u),
        };
        Ok(Self {
            role,
            own,
            peer_columns: if role == Role::A {
                q
            } else {
                p + F::Word::CHECKING
            },
            width,
            mask: Mask::new(seed, Purpose::Factor),
            peer_mask: Mask::new(peer_seed, Purpose::Factor),
            sent: Progress::new(slots, columns),
            sum: stream::zeros((p + F::Word::CHECKING) * q),
        })
    }

    /// The next `chunks` chunks of the masked factor for the coordinator; empty when all are sent.
    pub fn next_message(&mut self, chunks: usize) -> Vec<u8> {
        let (first, words) = self.sent.advance(chunks);
        let mut out = vec![0; words * self.width];
        let party = &*self;
        let (slots, columns) = (party.own.slots(), party.own.columns());
        let size = CHUNK * columns * party.width;
        let sum = stream::sum_over(&mut out, size, party.sum.len(), |i, out, scratch| {
            let Scratch { x, y, mask, sum } = scratch;
            let chunk = first + i;
            let height = chunk_slots(chunk, slots).len();
            stream::resize(x, height, columns);
            party.own.fill(chunk, x);
            stream::load_mask(&party.peer_mask, chunk, slots, party.peer_columns, y);
            if party.role == Role::A {
                F::Word::accumulate(x, y, height, sum);
            }
            stream::load_mask(&party.mask, chunk, slots, columns, mask);
            for (value, mask) in x.iter_mut().zip(mask) {
                *value = value.minus(*mask);
            }
            if party.role == Role::B {
                F::Word::accumulate(y, x, height, sum);
            }
            F::Word::pack(x, party.width, out);
        });
        add_words(&mut self.sum, &sum);
        out
    }

    /// A's share, from what the coordinator handed it.
    pub fn finish_a(mut self, dealt: &[u8]) -> Result<Zeroizing<Vec<F::Word>>> {
        self.check_end(Role::A)?;
        if dealt.len() != self.sum.len() * F::Word::BYTES {
            return Err(Error::Malformed);
        }
        for (sum, dealt) in self.sum.iter_mut().zip(dealt.chunks_exact(F::Word::BYTES)) {
            *sum = sum.plus(F::Word::of(dealt));
        }
        Ok(self.sum)
    }

    /// B's share, less the numbers that it had the coordinator add for A; `seed_r` as sealed to the coordinator.
    pub fn finish_b(mut self, seed_r: Block) -> Result<Zeroizing<Vec<F::Word>>> {
        self.check_end(Role::B)?;
        let blind = blinding(seed_r, self.sum.len());
        for (sum, blind) in self.sum.iter_mut().zip(blind.iter()) {
            *sum = F::Word::minus(*sum, *blind);
        }
        Ok(self.sum)
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

/// R.
fn blinding<W: Word>(seed_r: Block, words: usize) -> Zeroizing<Vec<W>> {
    let mut blind = stream::zeros(words);
    W::mask(&Mask::new(seed_r, Purpose::Product), 0, &mut blind);
    blind
}

/// The coordinator: it multiplies what it cannot read.
pub struct Evaluator<W: Word> {
    columns: [usize; 2],
    width: usize,
    received: [Progress; 2],
    sum: Vec<W>,
}

impl<W: Word> Evaluator<W> {
    /// `shape.p` is without the column that checks X.
    pub fn new(shape: Shape, width: usize) -> Result<Self> {
        let Shape { slots, p, q } = shape.check()?;
        W::check_width(width)?;
        let columns = [p + W::CHECKING, q];
        Ok(Self {
            columns,
            width,
            received: columns.map(|columns| Progress::new(slots, columns)),
            sum: vec![W::default(); (p + W::CHECKING) * q],
        })
    }

    /// Takes the next chunks of both parties, the same ones.
    pub fn absorb(&mut self, a: &[u8], b: &[u8]) -> Result<()> {
        let mut counts = [Ok(0), Ok(0)];
        for ((count, message), progress) in counts.iter_mut().zip([a, b]).zip(&self.received) {
            *count = progress.chunks_of(packed::words_in(message, self.width)?);
        }
        let [a_chunks, b_chunks] = counts;
        let chunks = a_chunks?;
        if b_chunks? != chunks {
            return Err(Error::Malformed);
        }
        for progress in &mut self.received {
            progress.advance(chunks);
        }
        let ([p, q], width) = (self.columns, self.width);
        let sum = stream::sum_chunks(0..chunks, p * q, |chunk, scratch| {
            let Scratch { x, y, sum, .. } = scratch;
            W::unpack(a, chunk, p, width, x);
            W::unpack(b, chunk, q, width, y);
            W::accumulate(x, y, x.len() / p, sum);
        });
        add_words(&mut self.sum, &sum);
        Ok(())
    }

    /// What A is handed: X'ᵀY' + R.
    pub fn finish(mut self, seed_r: Block) -> Result<Vec<W>> {
        if !self.received.iter().all(Progress::is_done) {
            return Err(Error::Parameters("a product ends when all chunks came"));
        }
        let blind = blinding(seed_r, self.sum.len());
        add_words(&mut self.sum, &blind);
        Ok(self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::inner::local;
    use super::*;
    use crate::prg::Prg;

    fn factor(slots: usize, columns: usize, seed: Block) -> Arc<Columns> {
        let mut words = vec![[0; 8]; slots * columns];
        let mut stream = Prg::new(seed);
        for word in &mut words {
            *word = (stream.block() as u64).to_le_bytes();
        }
        Arc::new(Columns::dense(slots, columns, &words).unwrap())
    }

    fn run(slots: usize, p: usize, q: usize, step: usize, width: usize) {
        let (x, y) = (factor(slots, p, 1), factor(slots, q, 2));
        let mut a = Party::new(Role::A, Arc::clone(&x), q, width, (21, 22)).unwrap();
        let mut b = Party::new(Role::B, Arc::clone(&y), p, width, (21, 22)).unwrap();
        let mut coordinator = Evaluator::<u64>::new(Shape { slots, p, q }, width).unwrap();
        loop {
            let (left, right) = (a.next_message(step), b.next_message(step));
            if left.is_empty() {
                break;
            }
            coordinator.absorb(&left, &right).unwrap();
        }
        let dealt = coordinator.finish(33).unwrap();
        let mut sum = a.finish_a(bytemuck::must_cast_slice(&dealt)).unwrap();
        add_words(&mut sum, &b.finish_b(33).unwrap());
        let ring = u64::MAX >> (64 - 8 * width);
        let low = |words: &[u64]| words.iter().map(|word| word & ring).collect::<Vec<_>>();
        assert_eq!(low(&sum), low(&local(&x, &y).unwrap()));
    }

    #[test]
    fn shares_add_to_the_product_however_the_streams_are_cut() {
        for width in 1..=8 {
            run(1, 1, 1, 1, width);
            run(CHUNK, 2, 3, 1, width);
            run(3 * CHUNK + 17, 3, 5, 2, width);
            run(9 * CHUNK + 1, 1, 2, 100, width);
        }
    }

    #[test]
    fn what_a_party_sends_is_its_factor_less_its_own_mask() {
        let x = factor(CHUNK + 3, 2, 1);
        let send = |role| {
            let mut party = Party::new(role, Arc::clone(&x), 1, 8, (21, 22)).unwrap();
            bytemuck::pod_collect_to_vec::<u8, u64>(&party.next_message(9))
        };
        let (a, b) = (send(Role::A), send(Role::B));
        let mut mask = vec![0; a.len()];
        for (sent, seed) in [(a, 21), (b, 22)] {
            Mask::new(seed, Purpose::Factor).words(0, &mut mask);
            let mut plain = vec![0; sent.len()];
            x.fill(0, &mut plain[..2 * CHUNK]);
            x.fill(1, &mut plain[2 * CHUNK..]);
            let unmasked = sent.iter().zip(&mask).map(|(s, m)| s.wrapping_add(*m));
            assert!(unmasked.eq(plain));
        }
    }

    #[test]
    fn messages_of_other_lengths_are_malformed() {
        let shape = Shape {
            slots: 3 * CHUNK + 1,
            p: 2,
            q: 1,
        };
        let mut coordinator = Evaluator::<u64>::new(shape, 8).unwrap();
        let chunk = |columns: usize, slots: usize| vec![0; 8 * columns * slots];
        for (a, b) in [
            (vec![], vec![]),
            (chunk(2, CHUNK), chunk(1, CHUNK - 1)),
            (chunk(2, CHUNK), chunk(1, 2 * CHUNK)),
            (chunk(1, CHUNK), chunk(1, CHUNK)),
            (vec![0; 8 * 2 * CHUNK + 1], chunk(1, CHUNK)),
            (chunk(2, 4 * CHUNK), chunk(1, 4 * CHUNK)),
        ] {
            assert_eq!(coordinator.absorb(&a, &b), Err(Error::Malformed));
        }
        let (a, b) = (chunk(2, 3 * CHUNK + 1), chunk(1, 3 * CHUNK + 1));
        assert_eq!(coordinator.absorb(&a, &b), Ok(()));
        assert_eq!(coordinator.absorb(&a, &b), Err(Error::Malformed));
    }

    #[test]
    fn no_side_ends_early() {
        let shape = Shape {
            slots: CHUNK,
            p: 1,
            q: 1,
        };
        assert!(Evaluator::<u64>::new(shape, 8).unwrap().finish(1).is_err());
        let party = |role| Party::new(role, factor(CHUNK, 1, 1), 1, 8, (1, 2)).unwrap();
        assert!(party(Role::A).finish_a(&[0; 8]).is_err());
        assert!(party(Role::B).finish_b(1).is_err());
        let mut a = party(Role::A);
        a.next_message(1);
        assert_eq!(a.finish_a(&[0; 16]), Err(Error::Malformed));
    }
}
