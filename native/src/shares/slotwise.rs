//! x_i·y_j in every slot, on shares, for the pairs (i, j) that both parties name. The algebra is in the module's head; W_A, W_B
//! and the results have a column per pair, in wire order.

use std::sync::Arc;

use rayon::prelude::*;

use super::CHUNK;
use super::columns::{Columns, check_columns};
use super::inner::{Role, Shape};
use super::mask::{Mask, Purpose};
use super::stream::{self, Progress, Scratch};
use crate::block::Block;
use crate::error::{Error, Result};

/// A column of A and a column of B.
pub type Pair = (u8, u8);

fn check_pairs(pairs: &[Pair], shape: Shape) -> Result<()> {
    shape.check()?;
    check_columns(pairs.len())?;
    let inside = |&(i, j): &Pair| usize::from(i) < shape.p && usize::from(j) < shape.q;
    if pairs.iter().all(inside) {
        Ok(())
    } else {
        Err(Error::Parameters("a pair names a column of each party"))
    }
}

/// Overwrites `out` with the products of a chunk's columns.
fn products(x: &[u64], y: &[u64], pairs: &[Pair], out: &mut [u64]) {
    let height = out.len() / pairs.len();
    for (&(i, j), out) in pairs.iter().zip(out.chunks_mut(height)) {
        let x = &x[usize::from(i) * height..][..height];
        let y = &y[usize::from(j) * height..][..height];
        for (out, (x, y)) in out.iter_mut().zip(x.iter().zip(y)) {
            *out = x.wrapping_mul(*y);
        }
    }
}

/// The dealer's stream W_B = U∘V − W_A, which goes to B.
pub struct Dealer {
    u: Mask,
    v: Mask,
    w_a: Mask,
    shape: Shape,
    pairs: Vec<Pair>,
    sent: Progress,
}

impl Dealer {
    pub fn new(seed_a: Block, seed_b: Block, shape: Shape, pairs: Vec<Pair>) -> Result<Self> {
        check_pairs(&pairs, shape)?;
        Ok(Self {
            u: Mask::new(seed_a, Purpose::Factor),
            v: Mask::new(seed_b, Purpose::Factor),
            w_a: Mask::new(seed_a, Purpose::Product),
            sent: Progress::new(shape.slots, pairs.len()),
            shape,
            pairs,
        })
    }

    /// The next `chunks` chunks; empty when all are sent.
    pub fn next_message(&mut self, chunks: usize) -> Vec<u64> {
        let Shape { slots, p, q } = self.shape;
        let (first, words) = self.sent.advance(chunks);
        let mut out = vec![0; words];
        let tasks = out.par_chunks_mut(CHUNK * self.pairs.len()).enumerate();
        tasks.for_each_init(Scratch::default, |scratch, (i, out)| {
            let chunk = first + i;
            stream::load_mask(&self.u, chunk, slots, p, &mut scratch.x);
            stream::load_mask(&self.v, chunk, slots, q, &mut scratch.y);
            products(&scratch.x, &scratch.y, &self.pairs, out);
            stream::load_mask(&self.w_a, chunk, slots, self.pairs.len(), &mut scratch.sum);
            for (out, w_a) in out.iter_mut().zip(&scratch.sum) {
                *out = out.wrapping_sub(*w_a);
            }
        });
        out
    }
}

/// One party of one slot-wise product.
pub struct Party {
    role: Role,
    own: Arc<Columns>,
    peer_columns: usize,
    pairs: Vec<Pair>,
    mask: Mask,
    w_a: Mask,
    sent: Progress,
    received: Progress,
    dealt: Progress,
}

impl Party {
    /// `seed` is the party's own, fresh for this product, sealed to the dealer.
    pub fn new(
        role: Role,
        own: Arc<Columns>,
        peer_columns: usize,
        pairs: Vec<Pair>,
        seed: Block,
    ) -> Result<Self> {
        let (p, q) = match role {
            Role::A => (own.columns(), peer_columns),
            Role::B => (peer_columns, own.columns()),
        };
        let slots = own.slots();
        check_pairs(&pairs, Shape { slots, p, q })?;
        Ok(Self {
            role,
            peer_columns,
            mask: Mask::new(seed, Purpose::Factor),
            w_a: Mask::new(seed, Purpose::Product),
            sent: Progress::new(slots, own.columns()),
            received: Progress::new(slots, peer_columns),
            dealt: Progress::new(slots, pairs.len()),
            own,
            pairs,
        })
    }

    /// The next `chunks` chunks for the peer; empty when all are sent.
    pub fn next_message(&mut self, chunks: usize) -> Vec<u64> {
        stream::masked(&self.own, &self.mask, &mut self.sent, chunks)
    }

    /// Takes the peer's next chunks, with B the dealer's chunks of the same slots, and returns this party's shares there.
    pub fn absorb(&mut self, message: &[u8], w_b: Option<&[u8]>) -> Result<Vec<u64>> {
        let message = stream::words(message)?;
        let w_b = w_b.map(stream::words).transpose()?;
        if w_b.is_some() != (self.role == Role::B) {
            return Err(Error::Parameters("B alone has the dealer's share"));
        }
        let chunks = self.received.chunks_of(message.len())?;
        if let Some(w_b) = w_b
            && self.dealt.chunks_of(w_b.len())? != chunks
        {
            return Err(Error::Malformed);
        }
        let (first, _) = self.received.advance(chunks);
        let (_, words) = self.dealt.advance(chunks);
        let mut out = vec![0; words];
        let tasks = out.par_chunks_mut(CHUNK * self.pairs.len()).enumerate();
        tasks.for_each_init(Scratch::default, |scratch, (i, out)| {
            self.share(first + i, (message, w_b), i, scratch, out);
        });
        Ok(out)
    }

    /// Z_A = X∘E + W_A or Z_B = D∘V + W_B of a chunk, the chunk number `i` of the messages.
    fn share(
        &self,
        chunk: usize,
        (message, w_b): (&[[u8; 8]], Option<&[[u8; 8]]>),
        i: usize,
        scratch: &mut Scratch<u64>,
        out: &mut [u64],
    ) {
        let (slots, columns, pairs) = (self.own.slots(), self.own.columns(), self.pairs.len());
        match self.role {
            Role::A => {
                stream::load_columns(&self.own, chunk, &mut scratch.x);
                stream::load_message(message, i, self.peer_columns, &mut scratch.y);
            }
            Role::B => {
                stream::load_message(message, i, self.peer_columns, &mut scratch.x);
                stream::load_mask(&self.mask, chunk, slots, columns, &mut scratch.y);
            }
        }
        products(&scratch.x, &scratch.y, &self.pairs, out);
        match w_b {
            Some(w_b) => stream::load_message(w_b, i, pairs, &mut scratch.sum),
            None => stream::load_mask(&self.w_a, chunk, slots, pairs, &mut scratch.sum),
        }
        stream::add_words(out, &scratch.sum);
    }
}
