//! XᵀY of two parties' factors, multiplied by the coordinator on masked columns: nothing is relayed between the parties.
//!
//! Both parties know the masks U and V (from a key of theirs alone); the coordinator never does. A sends it X' = X − U and
//! keeps XᵀV; B sends it Y' = Y − V and keeps UᵀY' − R, with R from a seed that B draws and seals to the coordinator; the
//! coordinator hands A the numbers X'ᵀY' + R. Then
//!   X'ᵀY' + XᵀV + UᵀY' = X'ᵀ(Y' + V) + UᵀV + UᵀY' = X'ᵀY + UᵀY = XᵀY.
//! All of it may run modulo 2^(8w) for w < 8: words go on the wire by their w low bytes, and only so many of a share mean anything.
//! To the coordinator X' and Y' are uniform, being one-time pads. Without R, A would hold X'ᵀY', know X' and V, and could read off
//! sums of Y's rows that it chose; with it, what A holds is uniform too. What the coordinator returns can shift a result and choose no mask.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::CHUNK;
use super::columns::Columns;
use super::inner::{Role, Shape};
use super::mask::{Mask, Purpose};
use super::packed;
use super::simd::accumulate;
use super::stream::{self, Progress, add_words};
use crate::block::Block;
use crate::error::{Error, Result};

/// One party: it sends its masked factor, and keeps its own part of the product.
pub struct Party {
    role: Role,
    own: Arc<Columns>,
    peer_columns: usize,
    width: usize,
    mask: Mask,
    peer_mask: Mask,
    sent: Progress,
    sum: Vec<u64>,
}

impl Party {
    /// The seeds of U and V are the parties' common secrets, fresh for this product; a word goes by its `width` low bytes.
    pub fn new(
        role: Role,
        own: Arc<Columns>,
        peer_columns: usize,
        width: usize,
        seed_u: Block,
        seed_v: Block,
    ) -> Result<Self> {
        let (slots, columns) = (own.slots(), own.columns());
        let shape = Shape {
            slots,
            p: columns,
            q: peer_columns,
        };
        shape.check()?;
        packed::check_width(width)?;
        let (seed, peer_seed) = match role {
            Role::A => (seed_u, seed_v),
            Role::B => (seed_v, seed_u),
        };
        Ok(Self {
            role,
            own,
            peer_columns,
            width,
            mask: Mask::new(seed, Purpose::Factor),
            peer_mask: Mask::new(peer_seed, Purpose::Factor),
            sent: Progress::new(slots, columns),
            sum: vec![0; columns * peer_columns],
        })
    }

    /// The next `chunks` chunks of the masked factor for the coordinator; empty when all are sent.
    pub fn next_message(&mut self, chunks: usize) -> Vec<u8> {
        let (first, words) = self.sent.advance(chunks);
        let mut out = vec![0; words * self.width];
        let (own, peer, slots) = (&self.own, self.peer_columns, self.own.slots());
        let size = CHUNK * own.columns() * self.width;
        let sum = stream::sum_over(&mut out, size, self.sum.len(), |i, out, scratch| {
            let chunk = first + i;
            stream::load_columns(own, chunk, &mut scratch.x);
            stream::load_mask(&self.peer_mask, chunk, slots, peer, &mut scratch.y);
            let height = scratch.x.len() / own.columns();
            if self.role == Role::A {
                accumulate(&scratch.x, &scratch.y, height, &mut scratch.sum);
            }
            let words = scratch.x.len();
            scratch.mask.resize(words, 0);
            self.mask
                .words(chunk * CHUNK * own.columns(), &mut scratch.mask);
            for (value, mask) in scratch.x.iter_mut().zip(&scratch.mask) {
                *value = value.wrapping_sub(*mask);
            }
            if self.role == Role::B {
                accumulate(&scratch.y, &scratch.x, height, &mut scratch.sum);
            }
            packed::pack(&scratch.x, self.width, out);
        });
        add_words(&mut self.sum, &sum);
        out
    }

    /// A's share, from what the coordinator handed it.
    pub fn finish_a(mut self, dealt: &[u8]) -> Result<Vec<u64>> {
        self.check_end(Role::A)?;
        let dealt = stream::words(dealt)?;
        if dealt.len() != self.sum.len() {
            return Err(Error::Malformed);
        }
        for (sum, dealt) in self.sum.iter_mut().zip(dealt) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*dealt));
        }
        Ok(self.sum)
    }

    /// B's share, less the numbers that it had the coordinator add for A; `seed_r` as sealed to the coordinator.
    pub fn finish_b(mut self, seed_r: Block) -> Result<Vec<u64>> {
        self.check_end(Role::B)?;
        let mut blind = Zeroizing::new(vec![0; self.sum.len()]);
        Mask::new(seed_r, Purpose::Product).words(0, &mut blind);
        for (sum, blind) in self.sum.iter_mut().zip(blind.iter()) {
            *sum = sum.wrapping_sub(*blind);
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

/// The coordinator: it multiplies what it cannot read.
pub struct Evaluator {
    shape: Shape,
    width: usize,
    received: [Progress; 2],
    sum: Vec<u64>,
}

impl Evaluator {
    pub fn new(shape: Shape, width: usize) -> Result<Self> {
        let Shape { slots, p, q } = shape.check()?;
        packed::check_width(width)?;
        Ok(Self {
            shape,
            width,
            received: [Progress::new(slots, p), Progress::new(slots, q)],
            sum: vec![0; p * q],
        })
    }

    /// Takes the next chunks of both parties, the same ones.
    pub fn absorb(&mut self, a: &[u8], b: &[u8]) -> Result<()> {
        let messages = [a, b];
        let mut counts = [Ok(0), Ok(0)];
        for ((count, message), progress) in counts.iter_mut().zip(messages).zip(&self.received) {
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
        let Shape { p, q, .. } = self.shape;
        let sum = stream::sum_chunks(0..chunks, p * q, |chunk, scratch| {
            packed::unpack_chunk(messages[0], chunk, p, self.width, &mut scratch.x);
            packed::unpack_chunk(messages[1], chunk, q, self.width, &mut scratch.y);
            let height = scratch.x.len() / p;
            accumulate(&scratch.x, &scratch.y, height, &mut scratch.sum);
        });
        add_words(&mut self.sum, &sum);
        Ok(())
    }

    /// What A is handed: X'ᵀY' + R.
    pub fn finish(mut self, seed_r: Block) -> Result<Vec<u64>> {
        if !self.received.iter().all(Progress::is_done) {
            return Err(Error::Parameters("a product ends when all chunks came"));
        }
        let mut blind = Zeroizing::new(vec![0; self.sum.len()]);
        Mask::new(seed_r, Purpose::Product).words(0, &mut blind);
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
        let mut a = Party::new(Role::A, Arc::clone(&x), q, width, 21, 22).unwrap();
        let mut b = Party::new(Role::B, Arc::clone(&y), p, width, 21, 22).unwrap();
        let mut coordinator = Evaluator::new(Shape { slots, p, q }, width).unwrap();
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
            let mut party = Party::new(role, Arc::clone(&x), 1, 8, 21, 22).unwrap();
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
        let mut coordinator = Evaluator::new(shape, 8).unwrap();
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
        assert!(Evaluator::new(shape, 8).unwrap().finish(1).is_err());
        let party = |role| Party::new(role, factor(CHUNK, 1, 1), 1, 8, 1, 2).unwrap();
        assert!(party(Role::A).finish_a(&[0; 8]).is_err());
        assert!(party(Role::B).finish_b(1).is_err());
        let mut a = party(Role::A);
        a.next_message(1);
        assert_eq!(a.finish_a(&[0; 16]), Err(Error::Malformed));
    }
}
