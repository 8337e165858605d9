//! SoftSpoken OT extension with k = 4 (Roy 2022, figures 8–10), from 128 base OTs to correlated OTs q = t ⊕ u·Δ.
//!
//! Four base OTs at a time carry a punctured GGM tree of 16 seeds, of which the sender lacks number Δ_g; the streams of
//! all seeds sum to a choice vector, and weighted by their numbers to four columns. The receiver sends what makes every group's
//! choice vector its own: 32 bits for each OT. With `malicious`, the trees are checked by their leaves' hashes and the columns by a
//! polynomial hash over GF(2^128) at a point that the message itself fixes (Fiat–Shamir), masked by 128 further OTs; both
//! leave a cheating receiver what a guess of bits of Δ gives it, at the price of being caught with the probability of a wrong guess.

mod columns;
mod seeds;
#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

use crate::block::{self, BYTES, Block};
use crate::error::{Error, Result};
use crate::ot::Session;
use crate::ot::base::COUNT;
use crate::prg::Prg;
use columns::{ColumnHash, expand, rows};

/// Base OTs of a group, k.
const BITS: usize = 4;
const SEEDS: usize = 1 << BITS;
const GROUPS: usize = COUNT / BITS;
/// OTs are made in tiles of as many as a block has bits.
pub const TILE: usize = 128;
const DIGEST: usize = blake3::OUT_LEN;

/// Bytes of the receiver's message for so many tiles.
pub fn message_bytes(tiles: usize, malicious: bool) -> usize {
    let (trees, sums, columns, proof) = layout(tiles, malicious);
    trees + sums + columns + proof
}

/// The parts of a message in their order: masked sums of trees, leaf digests, corrections, column hashes.
fn layout(tiles: usize, malicious: bool) -> (usize, usize, usize, usize) {
    let trees = GROUPS * BITS * 2 * BYTES;
    if malicious {
        (
            trees,
            (GROUPS + 1) * DIGEST,
            GROUPS * (tiles + 1) * BYTES,
            (1 + COUNT) * BYTES,
        )
    } else {
        (trees, 0, GROUPS * tiles * BYTES, 0)
    }
}

/// The receiver's side: the rows t for the choices, 128 of them in each block, and its message.
pub fn choose(
    session: &Session,
    keys: &[[Block; 2]],
    choices: &[Block],
    malicious: bool,
    prg: &mut Prg,
) -> (Zeroizing<Vec<Block>>, Vec<u8>) {
    let wanted = choices.len();
    // Room for the masking tile, so that no unwiped copy is left behind.
    let mut all_choices = Zeroizing::new(Vec::with_capacity(wanted + 1));
    all_choices.extend_from_slice(choices);
    let mut choices = all_choices;
    let grown = seeds::grow(session, keys, prg);
    let mut message = Vec::with_capacity(message_bytes(wanted, malicious));
    message.extend_from_slice(block::as_bytes(&grown.masked));
    if malicious {
        message.extend_from_slice(&grown.digests);
        choices.push(prg.block());
    }
    let (columns, sums) = expand(&grown.seeds, 0, choices.len());
    for group in sums.chunks_exact(choices.len()) {
        let correction: Vec<Block> = group
            .iter()
            .zip(choices.iter())
            .map(|(a, b)| a ^ b)
            .collect();
        message.extend_from_slice(block::as_bytes(&correction));
    }
    if malicious {
        let hash = ColumnHash::new(session, &message, wanted);
        message.extend_from_slice(block::as_bytes(&[hash.of(&choices)]));
        let hashes: Vec<Block> = columns
            .chunks_exact(choices.len())
            .map(|c| hash.of(c))
            .collect();
        message.extend_from_slice(block::as_bytes(&hashes));
    }
    (rows(&columns, wanted), message)
}

/// The sender's side: the rows q, from its choice Δ in the base OTs and the strings these gave it.
pub fn correlate(
    session: &Session,
    delta: Block,
    keys: &[Block],
    tiles: usize,
    malicious: bool,
    message: &[u8],
) -> Result<Zeroizing<Vec<Block>>> {
    if message.len() != message_bytes(tiles, malicious) {
        return Err(Error::Malformed);
    }
    let (trees, digests, corrections, _) = layout(tiles, malicious);
    let length = tiles + usize::from(malicious);
    let (masked, rest) = message.split_at(trees);
    let (digests, rest) = rest.split_at(digests);
    let (corrections, proof) = rest.split_at(corrections);
    let masked = block::from_bytes(masked, GROUPS * BITS * 2)?;
    let corrections = block::from_bytes(corrections, GROUPS * length)?;
    let seeds = seeds::recover(session, delta, keys, &masked, digests)?;
    let (mut columns, _) = expand(&seeds, 1, length);
    for (j, column) in columns.chunks_exact_mut(length).enumerate() {
        let chosen = mask(delta, j);
        let correction = &corrections[(j / BITS) * length..][..length];
        for (value, change) in column.iter_mut().zip(correction) {
            *value ^= change & chosen;
        }
    }
    if malicious {
        let proof = block::from_bytes(proof, 1 + COUNT)?;
        let hash = ColumnHash::new(
            session,
            &message[..message.len() - (1 + COUNT) * BYTES],
            tiles,
        );
        let mut differences = 0;
        for (j, column) in columns.chunks_exact(length).enumerate() {
            differences |= hash.of(column) ^ proof[1 + j] ^ (proof[0] & mask(delta, j));
        }
        if differences != 0 {
            return Err(Error::Inconsistent);
        }
    }
    Ok(rows(&columns, tiles))
}

/// All ones if bit `i` is set, in time that does not depend on it.
fn mask(value: Block, i: usize) -> Block {
    0u128.wrapping_sub((value >> i) & 1)
}
