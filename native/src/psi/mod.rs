//! Private set intersection after a VOLE: RR22, figure 4 (Raghuraman and Rindal, eprint 2022/320).
//!
//! The receiver encodes P with Decode(P, x) = H_B(x) for each of its keys and sends A' = A + P; the sender's
//! B' = B + A'Δ then satisfies Decode(B', y) + Δ·H_B(y) = Decode(C, y) for exactly the receiver's keys, since
//! C = AΔ + B and decoding is linear. H_o of either side, truncated, is what is compared. A is uniform and used
//! once, so A' says nothing of the keys; for a key the receiver has not, Δ·(Decode(P, y) + H_B(y)) with a
//! non-zero factor hides the sender's value behind Δ.
//!
//! Against a malicious peer (§5 there) the VOLE is a checked one, both draw a mask w by commitment, the sender before it sees A'
//! and the receiver before it knows the sender's, and AES_k(y) ⊕ y with k = value + w, untruncated, is compared: ideal
//! cipher instead of a hash.
//!
//! Sets are padded to public sizes: the receiver encodes fewer keys than there is room for, the sender adds random
//! values. Message lengths are functions of these sizes alone.
//!
//! Sets that exceed memory are cut into buckets by their keys' leading bits, which are pseudorandom, and each bucket, padded
//! to what none exceeds, is an intersection of its own.

mod answering;
mod lookup;
mod receiver;
pub mod session;

pub use answering::Answering;
pub use lookup::matches;
pub use receiver::{Encoded, Receiver};

use crate::block::{self, Block};
use crate::error::{Error, Result};
use crate::okvs::{self, Parameters};
use crate::prg::FixedKeyHash;
use crate::vole;

/// Public keys of the two hashes, digits of π (the first 256 bits of its fraction).
const H_B: Block = 0x243f_6a88_85a3_08d3_1319_8a2e_0370_7344;
const H_O: Block = 0xa409_3822_299f_31d0_082e_fa98_ec4e_6c89;

const VERSION: &[u8] = b"fedsandbox psi v1: rr22, aes hashes, ideal cipher if malicious";

/// Keys that one thread handles at a time.
const TASK: usize = 1 << 12;

/// False matches happen in a session with probability 2^-40 at most.
const STATISTICAL_BITS: usize = 40;

/// The public numbers of one intersection: what each side's set is padded to, against whom it holds, and how many of
/// these sizes the join has, one for each bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub receiver: usize,
    pub sender: usize,
    pub malicious: bool,
    pub buckets: usize,
}

/// What a bucket of `keys` pseudorandom keys is padded to: any of `buckets` has more with probability 2^-41 at most, so
/// that either side's do with 2^-40. All of them if there is one bucket; `Parameters` if there is none.
pub fn bucket_keys(keys: usize, buckets: usize) -> Result<usize> {
    if buckets == 0 {
        return Err(Error::Parameters("a set is cut into one bucket or more"));
    }
    Ok(okvs::fullest(keys, buckets, (STATISTICAL_BITS + 1) as f64))
}

impl Sizes {
    /// The shape of the receiver's encoding; `Parameters` for a size out of range.
    pub fn encoding(&self) -> Result<Parameters> {
        Parameters::new(self.receiver, self.buckets)
    }

    /// Bytes of one compared value: ⌈(40 + log2 nx + log2 ny) / 8⌉ over all buckets, or all of it against a malicious peer.
    pub fn value_bytes(&self) -> usize {
        if self.malicious {
            return block::BYTES;
        }
        let all =
            [self.receiver, self.sender].map(|keys| log2_ceil(keys.saturating_mul(self.buckets)));
        let bits = STATISTICAL_BITS + all[0] + all[1];
        bits.div_ceil(8).min(block::BYTES)
    }

    /// Binds what both parties must agree on beyond their session: two builds that differ must not find an empty
    /// intersection instead of each other.
    pub fn digest(&self) -> Result<[u8; blake3::OUT_LEN]> {
        let encoding = self.encoding()?;
        let vole = vole::Parameters::new(encoding.length(), self.malicious)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(VERSION).update(&vole.digest());
        for size in [self.receiver, self.sender, self.value_bytes(), self.buckets] {
            hasher.update(&(size as u64).to_le_bytes());
        }
        hasher.update(&encoding.digest());
        Ok(*hasher.finalize().as_bytes())
    }

    /// Bytes of the receiver's message: a seed and the masked encoding.
    pub fn request_bytes(&self) -> Result<usize> {
        Ok(block::BYTES * (1 + self.encoding()?.length()))
    }

    /// Bytes of the sender's answer.
    pub fn answer_bytes(&self) -> usize {
        self.value_bytes() * self.sender
    }
}

fn log2_ceil(n: usize) -> usize {
    n.max(1).next_power_of_two().trailing_zeros() as usize
}

/// The mask of both parties' making, where the peer may be malicious.
pub type Mask = Option<Block>;

/// Turns what was decoded into what is compared, against a malicious peer.
fn encrypt(keys: &[Block], values: &mut [Block], mask: Block) {
    for (value, key) in values.iter_mut().zip(keys) {
        // Davies–Meyer: the value is the cipher's key.
        let mut hashed = [*key];
        FixedKeyHash::new(*value ^ mask).hash_blocks(&mut hashed);
        *value = hashed[0];
    }
}

#[cfg(test)]
mod tests;
