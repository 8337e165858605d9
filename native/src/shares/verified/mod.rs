//! XᵀY as `evaluated` has it, and a check of the coordinator that multiplied (after SPDZ2k: Cramer and others 2018, eprint
//! 2018/482, §3; docs/decisions/019). All of it runs modulo 2^K, K = 8·width, of which a result means its low k bits.
//!
//! From a seed of theirs alone both parties draw α, a number modulo 2^K for each column of X. A sends one more column, Σ_i α_i X_i,
//! under a mask of its own. For each column j of Y the shares of Σ_i α_i·(X_iᵀY_j) − (Σ_i α_i X_i)ᵀY_j then add to 0: A's is the
//! negative of B's. A coordinator that returns D + d_ij and d_j instead of D makes it Σ_i α_i·d_ij − d_j. Where some d_ij is not 0
//! modulo 2^k, that is 0 for at most one α_i in 2^(K−k+1).

use std::sync::Arc;

use zeroize::Zeroizing;

use super::columns::{Columns, check_columns};
use super::evaluated::{self, Factor};
use super::inner::Role;
use super::stream;
use super::word::Word;
use crate::block::Block;
use crate::error::Result;
use crate::prg::Prg;

/// A word modulo 2^128, whose low `width` bytes mean something.
type Wide = u128;

/// The coordinator: the column that checks X is to it a column as any other.
pub type Evaluator = evaluated::Evaluator<Wide>;

type Alpha = Arc<Zeroizing<Vec<Wide>>>;

/// A party's columns; after A's, the one that checks them.
struct Checked {
    own: Arc<Columns>,
    checked_by: Option<Alpha>,
}

impl Factor for Checked {
    type Word = Wide;

    fn slots(&self) -> usize {
        self.own.slots()
    }

    fn columns(&self) -> usize {
        self.own.columns() + usize::from(self.checked_by.is_some())
    }

    fn fill(&self, chunk: usize, out: &mut [Wide]) {
        let height = out.len() / self.columns();
        let (columns, checking) = out.split_at_mut(height * self.own.columns());
        Columns::fill(&self.own, chunk, columns);
        if let Some(alpha) = &self.checked_by {
            checking.fill(0);
            for (column, alpha) in columns.chunks_exact(height).zip(alpha.iter()) {
                for (sum, value) in checking.iter_mut().zip(column) {
                    *sum = sum.wrapping_add(alpha.wrapping_mul(*value));
                }
            }
        }
    }
}

/// One party.
pub struct Party {
    product: evaluated::Party<Checked>,
    role: Role,
    width: usize,
    alpha: Alpha,
}

/// A party's share of XᵀY modulo 2^64, row by row, and what it compares: equal at both if the coordinator multiplied.
pub struct Verified {
    pub share: Zeroizing<Vec<u64>>,
    /// A number modulo 2^K for each column of Y.
    pub check: Zeroizing<Vec<Wide>>,
}

impl Party {
    /// The seeds of U, of V and of α are the parties' common secrets, fresh for this product; words go by their `width` low bytes.
    pub fn new(
        role: Role,
        own: Arc<Columns>,
        peer_columns: usize,
        width: usize,
        masks: (Block, Block),
        seed_alpha: Block,
    ) -> Result<Self> {
        let p = match role {
            Role::A => own.columns(),
            Role::B => peer_columns,
        };
        check_columns(p)?;
        let mut alpha = stream::zeros(p);
        Prg::new(seed_alpha).fill(&mut alpha);
        let alpha = Arc::new(alpha);
        let checked_by = (role == Role::A).then(|| Arc::clone(&alpha));
        let own = Checked { own, checked_by };
        Ok(Self {
            product: evaluated::Party::new(role, own, peer_columns, width, masks)?,
            role,
            width,
            alpha,
        })
    }

    /// The next `chunks` chunks of the masked factor for the coordinator; empty when all are sent.
    pub fn next_message(&mut self, chunks: usize) -> Vec<u8> {
        self.product.next_message(chunks)
    }

    /// A's end, from what the coordinator handed it.
    pub fn finish_a(self, dealt: &[u8]) -> Result<Verified> {
        let sum = self.product.finish_a(dealt)?;
        Ok(verified(&sum, &self.alpha, self.role, self.width))
    }

    /// B's end, less the numbers that it had the coordinator add for A; `seed_r` as sent to the coordinator.
    pub fn finish_b(self, seed_r: Block) -> Result<Verified> {
        let sum = self.product.finish_b(seed_r)?;
        Ok(verified(&sum, &self.alpha, self.role, self.width))
    }
}

fn verified(sum: &[Wide], alpha: &[Wide], role: Role, width: usize) -> Verified {
    let q = sum.len() / (alpha.len() + 1);
    let (share, checking) = sum.split_at(alpha.len() * q);
    let mut check = stream::zeros(q);
    for (j, out) in check.iter_mut().enumerate() {
        let column = share.iter().skip(j).step_by(q);
        let sum = column.zip(alpha).fold(0, |sum: Wide, (z, alpha)| {
            sum.wrapping_add(alpha.wrapping_mul(*z))
        });
        let value = match role {
            Role::A => sum.minus(checking[j]),
            Role::B => checking[j].minus(sum),
        };
        *out = value & (Wide::MAX >> (8 * (Wide::BYTES - width)));
    }
    let mut low = stream::zeros(share.len());
    for (low, word) in low.iter_mut().zip(share) {
        *low = *word as u64;
    }
    Verified { share: low, check }
}

#[cfg(test)]
mod tests;
