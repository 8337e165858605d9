//! XᵀY on shares: p × q numbers, row by row of X's columns. The algebra is in the module's head.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::CHUNK;
use super::columns::{Columns, check_columns};
use super::mask::{Mask, Purpose};
use super::simd::accumulate;
use super::stream::{self, Progress, add_words};
use crate::block::Block;
use crate::error::{Error, Result};

/// The public size of a product: M slots, p columns of A, q of B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub slots: usize,
    pub p: usize,
    pub q: usize,
}

impl Shape {
    pub(super) fn check(self) -> Result<Self> {
        check_columns(self.p)?;
        check_columns(self.q)?;
        if u32::try_from(self.slots.saturating_sub(1)).is_err() {
            return Err(Error::Parameters("a product has at most 2^32 slots"));
        }
        Ok(self)
    }
}

/// The dealer's W_B = UᵀV − W_A.
pub fn deal(seed_a: Block, seed_b: Block, shape: Shape) -> Result<Zeroizing<Vec<u64>>> {
    let Shape { slots, p, q } = shape.check()?;
    let (u, v) = (
        Mask::new(seed_a, Purpose::Factor),
        Mask::new(seed_b, Purpose::Factor),
    );
    let mut w = stream::sum_chunks(0..slots.div_ceil(CHUNK), p * q, |chunk, scratch| {
        stream::load_mask(&u, chunk, slots, p, &mut scratch.x);
        stream::load_mask(&v, chunk, slots, q, &mut scratch.y);
        let height = scratch.x.len() / p;
        accumulate(&scratch.x, &scratch.y, height, &mut scratch.sum);
    });
    let mut w_a = stream::zeros::<u64>(p * q);
    Mask::new(seed_a, Purpose::Product).words(0, &mut w_a);
    for (w, w_a) in w.iter_mut().zip(w_a.iter()) {
        *w = w.wrapping_sub(*w_a);
    }
    Ok(w)
}

/// XᵀY of two factors that one party holds.
pub fn local(x: &Columns, y: &Columns) -> Result<Zeroizing<Vec<u64>>> {
    if x.slots() != y.slots() {
        return Err(Error::Parameters("two factors have one number of slots"));
    }
    let size = x.columns() * y.columns();
    Ok(stream::sum_chunks(
        0..x.slots().div_ceil(CHUNK),
        size,
        |chunk, scratch| {
            stream::load_columns(x, chunk, &mut scratch.x);
            stream::load_columns(y, chunk, &mut scratch.y);
            let height = scratch.x.len() / x.columns();
            accumulate(&scratch.x, &scratch.y, height, &mut scratch.sum);
        },
    ))
}

/// Who a party is: A sends D and keeps XᵀE + W_A, B sends E and keeps DᵀV + W_B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    A,
    B,
}

/// One party of one product.
pub struct Party {
    role: Role,
    own: Arc<Columns>,
    peer_columns: usize,
    seed: Zeroizing<Block>,
    mask: Mask,
    sent: Progress,
    received: Progress,
    sum: Zeroizing<Vec<u64>>,
}

impl Party {
    /// `seed` is the party's own, fresh for this product, sealed to the dealer.
    pub fn new(role: Role, own: Arc<Columns>, peer_columns: usize, seed: Block) -> Result<Self> {
        let (slots, columns) = (own.slots(), own.columns());
        let shape = Shape {
            slots,
            p: columns,
            q: peer_columns,
        };
        shape.check()?;
        Ok(Self {
            role,
            own,
            peer_columns,
            mask: Mask::new(seed, Purpose::Factor),
            seed: Zeroizing::new(seed),
            sent: Progress::new(slots, columns),
            received: Progress::new(slots, peer_columns),
            sum: stream::zeros(columns * peer_columns),
        })
    }

    /// The next `chunks` chunks for the peer; empty when all are sent.
    pub fn next_message(&mut self, chunks: usize) -> Vec<u64> {
        stream::masked(&self.own, &self.mask, &mut self.sent, chunks)
    }

    /// Takes the peer's next chunks.
    pub fn absorb(&mut self, message: &[u8]) -> Result<()> {
        let message = stream::words(message)?;
        let chunks = self.received.chunks_of(message.len())?;
        let (first, _) = self.received.advance(chunks);
        let (own, slots, columns) = (&self.own, self.own.slots(), self.own.columns());
        let peer = self.peer_columns;
        let sum = stream::sum_chunks(first..first + chunks, self.sum.len(), |chunk, scratch| {
            let (theirs, ours) = match self.role {
                Role::A => {
                    stream::load_columns(own, chunk, &mut scratch.x);
                    (&mut scratch.y, columns)
                }
                Role::B => {
                    stream::load_mask(&self.mask, chunk, slots, columns, &mut scratch.y);
                    (&mut scratch.x, peer)
                }
            };
            stream::load_message(message, chunk - first, peer, theirs);
            let height = scratch.x.len() / ours;
            accumulate(&scratch.x, &scratch.y, height, &mut scratch.sum);
        });
        add_words(&mut self.sum, &sum);
        Ok(())
    }

    /// This party's share of XᵀY; B needs the dealer's W_B, A has none.
    pub fn finish(mut self, w_b: Option<&[u8]>) -> Result<Zeroizing<Vec<u64>>> {
        if !self.sent.is_done() || !self.received.is_done() {
            return Err(Error::Parameters(
                "a product ends when all chunks are sent and received",
            ));
        }
        let mut w = stream::zeros(self.sum.len());
        match (self.role, w_b) {
            (Role::A, None) => Mask::new(*self.seed, Purpose::Product).words(0, &mut w),
            (Role::B, Some(bytes)) => {
                let words = stream::words(bytes)?;
                if words.len() != w.len() {
                    return Err(Error::Malformed);
                }
                stream::load_message(words, 0, w.len(), &mut w);
            }
            _ => return Err(Error::Parameters("B alone has the dealer's share")),
        }
        add_words(&mut self.sum, &w);
        Ok(self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::Placement;
    use super::*;
    use crate::block;
    use crate::prg::Prg;

    /// Columns over rows 0..n that lie in every second slot from `first`, and the same as a plain matrix.
    fn factor(
        slots: usize,
        columns: usize,
        first: usize,
        seed: Block,
    ) -> (Arc<Columns>, Vec<Vec<u64>>) {
        let rows: Vec<[u8; 4]> = (first..slots)
            .step_by(2)
            .map(|slot| (slot as u32).to_le_bytes())
            .collect();
        let mut plain = vec![vec![0; slots]; columns];
        let mut bytes = vec![Vec::new(); columns];
        let mut stream = Prg::new(seed);
        for (plain, bytes) in plain.iter_mut().zip(&mut bytes) {
            for slot in (first..slots).step_by(2) {
                let value = stream.block() as u64;
                plain[slot] = value;
                bytes.push(value.to_le_bytes());
            }
        }
        let views: Vec<&[[u8; 8]]> = bytes.iter().map(Vec::as_slice).collect();
        let placement = Arc::new(Placement::new(slots, &rows, None).unwrap());
        (Arc::new(Columns::placed(placement, &views).unwrap()), plain)
    }

    fn plain_product(x: &[Vec<u64>], y: &[Vec<u64>]) -> Vec<u64> {
        let dot = |x: &Vec<u64>, y: &Vec<u64>| {
            let products = x.iter().zip(y).map(|(a, b)| a.wrapping_mul(*b));
            products.fold(0, u64::wrapping_add)
        };
        x.iter()
            .flat_map(|x| y.iter().map(move |y| dot(x, y)))
            .collect()
    }

    fn run(slots: usize, p: usize, q: usize, out: usize, back: usize) {
        let (x, plain_x) = factor(slots, p, 0, 1);
        let (y, plain_y) = factor(slots, q, 0, 2);
        let shape = Shape { slots, p, q };
        let w_b = deal(11, 12, shape).unwrap();
        let mut a = Party::new(Role::A, Arc::clone(&x), q, 11).unwrap();
        let mut b = Party::new(Role::B, Arc::clone(&y), p, 12).unwrap();
        loop {
            let (d, e) = (a.next_message(out), b.next_message(back));
            if d.is_empty() && e.is_empty() {
                break;
            }
            if !d.is_empty() {
                b.absorb(bytemuck::must_cast_slice(&d)).unwrap();
            }
            if !e.is_empty() {
                a.absorb(bytemuck::must_cast_slice(&e)).unwrap();
            }
        }
        let mut sum = a.finish(None).unwrap();
        add_words(
            &mut sum,
            &b.finish(Some(bytemuck::must_cast_slice(&w_b))).unwrap(),
        );
        assert_eq!(*sum, plain_product(&plain_x, &plain_y));
        assert_eq!(sum, local(&x, &y).unwrap());
    }

    #[test]
    fn shares_add_to_the_product_however_the_streams_are_cut() {
        run(1, 1, 1, 1, 1);
        run(CHUNK, 2, 3, 1, 1);
        run(3 * CHUNK + 17, 3, 5, 1, 2);
        run(9 * CHUNK + 1, 1, 2, 100, 3);
    }

    #[test]
    fn a_message_of_another_length_is_malformed() {
        let (x, _) = factor(3 * CHUNK + 1, 2, 0, 1);
        let mut a = Party::new(Role::A, x, 1, 5).unwrap();
        for length in [
            0,
            8,
            8 * CHUNK - 8,
            8 * CHUNK + 8,
            8 * CHUNK + 1,
            8 * (4 * CHUNK),
        ] {
            assert_eq!(
                a.absorb(&vec![0; length]),
                Err(Error::Malformed),
                "{length}"
            );
        }
        assert_eq!(a.absorb(&vec![0; 8 * (3 * CHUNK + 1)]), Ok(()));
        assert_eq!(a.absorb(&[0; 8]), Err(Error::Malformed));
    }

    #[test]
    fn a_product_does_not_end_early_nor_without_the_dealer() {
        let (x, _) = factor(CHUNK, 1, 0, 1);
        let a = Party::new(Role::A, Arc::clone(&x), 1, 5).unwrap();
        assert!(a.finish(None).is_err());
        let mut b = Party::new(Role::B, x, 1, 5).unwrap();
        b.next_message(1);
        b.absorb(&vec![0; 8 * CHUNK]).unwrap();
        assert_eq!(b.finish(Some(&[0; block::BYTES])), Err(Error::Malformed));
    }

    #[test]
    fn a_slot_given_twice_or_outside_is_malformed() {
        let slots = |slots: [u32; 2]| slots.map(u32::to_le_bytes);
        assert!(Placement::new(5, &slots([1, 4]), None).is_ok());
        assert_eq!(
            Placement::new(5, &slots([1, 5]), None).err(),
            Some(Error::Malformed)
        );
        assert_eq!(
            Placement::new(5, &slots([3, 3]), None).err(),
            Some(Error::Malformed)
        );
    }
}
