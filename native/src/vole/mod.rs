//! Silent VOLE over GF(2^128): R ends with random A and with C, S with random Δ and with B, where C = A·Δ + B entry by entry.
//!
//! Boyle–Couteau–Gilboa–Ishai 2018 over dual LPN, in the form that Rindal–Raghuraman 2022 (§3) build PSI on. Steps and messages:
//! S→R `offer` (base OTs), R→S `request` (base OTs, extension), S→R `answer` (trees of all chunks); `malicious` adds R→S `challenge`,
//! S→R `proof`. Noise of the first chunk comes from the extension, of any other from the first outputs of the chunk before it, which are used
//! for nothing else. Every step consumes its state. Lengths follow from `Parameters` alone.
//!
//! Δ is both the VOLE's and the OT extension's (as in Yang et al. 2020, Ferret). A session is never used twice.

mod check;
pub mod code;
mod expanding;
pub mod parameters;
mod pprf;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;

pub use expanding::Expanding;
pub use parameters::Parameters;
pub use receiver::{Awaiting, Checking, Receiver};
pub use sender::{Expanded, Proving, Sender, Sent};

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::block::Block;
use crate::ot::Session;
use crate::prg::Prg;

/// R's result.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Noise {
    /// A: uniform.
    pub a: Vec<Block>,
    /// C = A·Δ + B.
    pub c: Vec<Block>,
}

/// S's result.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Key {
    /// Δ, uniform and new for every session.
    pub delta: Block,
    /// B.
    pub b: Vec<Block>,
}

/// A party's randomness for one session: the same seed under another session shares nothing.
fn randomness(session: &Session, party: &[u8], seed: Block) -> Prg {
    let mut bytes = [0; 16];
    let mut output = blake3::Hasher::new_keyed(session)
        .update(b"fedsandbox vole randomness v1")
        .update(party)
        .update(&seed.to_le_bytes())
        .finalize_xof();
    output.fill(&mut bytes);
    let prg = Prg::new(Block::from_le_bytes(bytes));
    bytes.zeroize();
    prg
}

/// Σ x^i·rows[i]: 128 correlated OTs as one entry of VOLE whose A is the block of their choices.
fn gather(rows: &[Block]) -> Block {
    rows.iter().rev().fold(0, |sum, row| {
        let carry = 0u128.wrapping_sub(sum >> 127);
        (sum << 1) ^ (0x87 & carry) ^ row
    })
}
