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

mod lookup;
pub mod session;

pub use lookup::matches;
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::block::{self, Block};
use crate::error::{Error, Result};
use crate::field;
use crate::keys::permutation::permutation;
use crate::okvs::{self, Parameters};
use crate::prg::{FixedKeyHash, Prg};
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

/// The receiver's keys, encoded: nothing of a VOLE is in them yet.
pub struct Encoded {
    sizes: Sizes,
    keys: Zeroizing<Vec<Block>>,
    seed: Block,
    encoding: Zeroizing<Vec<Block>>,
}

impl Encoded {
    /// `keys`: distinct, at most `sizes.receiver`. `Exhausted` if no seed of a few can encode them.
    pub fn new(sizes: Sizes, keys: Zeroizing<Vec<Block>>, seeds: &mut Prg) -> Result<Self> {
        let (mut targets, hash) = (keys.clone(), FixedKeyHash::new(H_B));
        targets
            .par_chunks_mut(TASK)
            .for_each(|targets| hash.hash_blocks(targets));
        let (seed, encoding) =
            okvs::encode_with_retries(&sizes.encoding()?, seeds, &keys, &targets)?;
        Ok(Self {
            sizes,
            keys,
            seed,
            encoding: Zeroizing::new(encoding),
        })
    }

    /// The receiver's state and message under `a`, `c`: its halves of the VOLE, one block per block of the encoding.
    pub fn mask(self, a: &[Block], c: Zeroizing<Vec<Block>>) -> Result<(Receiver, Vec<u8>)> {
        let parameters = self.sizes.encoding()?;
        if a.len() != parameters.length() || c.len() != parameters.length() {
            return Err(Error::Parameters("a VOLE of another length"));
        }
        let mut message = vec![0; self.sizes.request_bytes()?];
        let (seed, masked) = message.split_at_mut(block::BYTES);
        seed.copy_from_slice(&self.seed.to_le_bytes());
        masked
            .as_chunks_mut::<{ block::BYTES }>()
            .0
            .par_iter_mut()
            .zip(a.par_iter().zip(self.encoding.par_iter()))
            .with_min_len(TASK)
            .for_each(|(out, (a, p))| *out = (a ^ p).to_le_bytes());
        let receiver = Receiver {
            sizes: self.sizes,
            keys: self.keys,
            seed: self.seed,
            c,
            values: Zeroizing::default(),
        };
        Ok((receiver, message))
    }
}

/// The receiver after its message: its keys, C, and what that decodes to for them.
pub struct Receiver {
    sizes: Sizes,
    keys: Zeroizing<Vec<Block>>,
    seed: Block,
    c: Zeroizing<Vec<Block>>,
    values: Zeroizing<Vec<Block>>,
}

impl Receiver {
    /// Decodes C, once. The message does not wait for it: the sender works meanwhile.
    pub fn decode(&mut self) -> Result<()> {
        if self.values.len() < self.keys.len() {
            let mut values = Zeroizing::new(vec![0; self.keys.len()]);
            okvs::decode(
                &self.sizes.encoding()?,
                self.seed,
                &self.keys,
                &self.c,
                &mut values,
            )?;
            self.values = values;
        }
        Ok(())
    }

    /// What is compared with the sender's values, key by key.
    pub fn compare(mut self, mask: Mask) -> Result<Zeroizing<Vec<Block>>> {
        self.decode()?;
        compared(&self.keys, &mut self.values, mask);
        Ok(self.values)
    }
}

/// The sender's answer to the receiver's `request`. `delta`, `b`: its halves of the VOLE; `keys`: distinct, at most
/// `sizes.sender`; `secret` seeds the order and the padding. `Malformed` for a request of another length.
pub fn answer(
    sizes: Sizes,
    keys: &[Block],
    delta: Block,
    mut b: Zeroizing<Vec<Block>>,
    request: &[u8],
    mask: Mask,
    secret: &[u8; 32],
) -> Result<Vec<u8>> {
    let parameters = sizes.encoding()?;
    if keys.len() > sizes.sender {
        return Err(Error::Parameters("more keys than the set is padded to"));
    }
    let request = block::read(request, 1 + parameters.length())?;
    if b.len() != parameters.length() {
        return Err(Error::Parameters("a VOLE of another length"));
    }
    let (seed, masked) = (request[0], &request[1..]);
    b.par_chunks_mut(TASK)
        .zip(masked.par_chunks(TASK))
        .for_each(|(b, masked)| field::axpy(b, masked, delta));
    let mut values = Zeroizing::new(vec![0; keys.len()]);
    okvs::decode(&parameters, seed, keys, &b, &mut values)?;
    let hash = FixedKeyHash::new(H_B);
    values
        .par_chunks_mut(TASK)
        .zip(keys.par_chunks(TASK))
        .for_each(|(values, keys)| {
            let mut targets = Zeroizing::new(keys.to_vec());
            hash.hash_blocks(&mut targets);
            field::axpy(values, &targets, delta);
        });
    compared(keys, &mut values, mask);
    shuffled(sizes, values, secret)
}

/// Turns what was decoded into what is compared.
fn compared(keys: &[Block], values: &mut [Block], mask: Mask) {
    let Some(mask) = mask else {
        let hash = FixedKeyHash::new(H_O);
        let tasks = values.par_chunks_mut(TASK);
        return tasks.for_each(|values| hash.hash_blocks(values));
    };
    let pairs = values.par_iter_mut().zip(keys).with_min_len(TASK);
    pairs.for_each(|(value, key)| {
        // Davies–Meyer: the value is the cipher's key.
        let mut hashed = [*key];
        FixedKeyHash::new(*value ^ mask).hash_blocks(&mut hashed);
        *value = hashed[0];
    });
}

/// The values and random ones up to the padded size, truncated, in a random order.
fn shuffled(sizes: Sizes, mut values: Zeroizing<Vec<Block>>, secret: &[u8; 32]) -> Result<Vec<u8>> {
    let (order, padding) = secrets(secret);
    let order = permutation(&order, sizes.sender)?;
    let own = values.len();
    if own < sizes.sender {
        // Moved into room that is wiped, not grown: growing would leave a copy behind.
        let mut padded = Zeroizing::new(vec![0; sizes.sender]);
        padded[..own].copy_from_slice(&values);
        Prg::new(padding).fill(&mut padded[own..]);
        values = padded;
    }
    let width = sizes.value_bytes();
    let mut answer = vec![0; sizes.answer_bytes()];
    answer
        .par_chunks_exact_mut(width)
        .zip(&order)
        .with_min_len(TASK)
        .for_each(|(out, &place)| {
            out.copy_from_slice(&values[place as usize].to_le_bytes()[..width]);
        });
    Ok(answer)
}

/// Independent seeds of the order and of the padding.
fn secrets(secret: &[u8; 32]) -> ([u8; 32], Block) {
    let order = blake3::derive_key("fedsandbox psi order v1", secret);
    let padding = blake3::derive_key("fedsandbox psi padding v1", secret);
    let (first, _) = padding.as_chunks::<{ block::BYTES }>();
    (order, Block::from_le_bytes(first[0]))
}

#[cfg(test)]
mod tests;
