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
use std::ops::Range;

use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::block::{self, Block};
use crate::error::{Error, Result};
use crate::field;
use crate::keys::permutation::permuted;
use crate::okvs::{self, Bins, Parameters};
use crate::prg::{FixedKeyHash, Prg};
use crate::vole;

/// Public keys of the two hashes, digits of π (the first 256 bits of its fraction).
const H_B: Block = 0x243f_6a88_85a3_08d3_1319_8a2e_0370_7344;
const H_O: Block = 0xa409_3822_299f_31d0_082e_fa98_ec4e_6c89;

const VERSION: &[u8] = b"fedsandbox psi v1: rr22, aes hashes, ideal cipher if malicious";

/// Keys that are hashed together.
const BATCH: usize = 64;

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
    bins: Bins,
    /// Bin after bin.
    keys: Zeroizing<Vec<Block>>,
    /// The message, not masked yet: the seed and the encoding.
    message: Zeroizing<Vec<Block>>,
}

impl Encoded {
    /// `keys`: distinct, at most `sizes.receiver`. `Exhausted` if no seed of a few can encode them.
    pub fn new(sizes: Sizes, keys: &[Block], seeds: &mut Prg) -> Result<Self> {
        let (parameters, hash) = (sizes.encoding()?, FixedKeyHash::new(H_B));
        let mut message = Zeroizing::new(vec![0; 1 + parameters.length()]);
        let (first, encoding) = message.split_at_mut(1);
        let targets = |keys: &mut [Block]| hash.hash_blocks(keys);
        let (seed, bins, keys) =
            okvs::encode_with_retries(&parameters, seeds, keys, targets, encoding)?;
        first[0] = seed;
        Ok(Self {
            sizes,
            bins,
            keys,
            message,
        })
    }

    /// What A of a VOLE must be added to before the message leaves.
    pub fn encoding(&mut self) -> &mut [Block] {
        &mut self.message[1..]
    }

    /// The part of the message with this range of the encoding, once A is added to it.
    pub fn part(&self, range: Range<usize>) -> &[Block] {
        let seed_too = range.start == 0;
        &self.message[range.start + usize::from(!seed_too)..range.end + 1]
    }

    /// The receiver's state after the message. `c`: C of the same VOLE.
    pub fn sent(self, c: Zeroizing<Vec<Block>>) -> Receiver {
        Receiver {
            sizes: self.sizes,
            bins: self.bins,
            keys: self.keys,
            c,
            values: None,
        }
    }
}

/// The receiver after its message: its keys, C, and what that decodes to for them.
pub struct Receiver {
    sizes: Sizes,
    bins: Bins,
    /// Bin after bin; none any more once they are decoded, unless a mask is to come.
    keys: Zeroizing<Vec<Block>>,
    c: Zeroizing<Vec<Block>>,
    /// Bin after bin; hashed, unless a mask is to come.
    values: Option<Zeroizing<Vec<Block>>>,
}

impl Receiver {
    /// Decodes C, once. The message does not wait for it: the sender works meanwhile.
    pub fn decode(&mut self) -> Result<()> {
        if self.values.is_some() {
            return Ok(());
        }
        let (hash, malicious) = (FixedKeyHash::new(H_O), self.sizes.malicious);
        let keys = std::mem::take(&mut self.keys);
        if malicious {
            self.keys = keys.clone();
        }
        let finish = |_: &[Block], values: &mut [Block]| {
            if !malicious {
                hash.hash_blocks(values);
            }
        };
        let parameters = self.sizes.encoding()?;
        let (every, mut values) = (0..parameters.bins(), keys);
        okvs::decode_bins(&parameters, &self.bins, every, &mut values, &self.c, finish);
        self.values = Some(values);
        Ok(())
    }

    /// What is compared with the sender's values, key by key.
    pub fn compare(mut self, mask: Mask) -> Result<Zeroizing<Vec<Block>>> {
        self.decode()?;
        let mut values = self.values.take().unwrap_or_default();
        if let Some(mask) = mask {
            values
                .par_chunks_mut(TASK)
                .zip(self.keys.par_chunks(TASK))
                .for_each(|(values, keys)| encrypt(keys, values, mask));
        }
        Ok(self.bins.in_order(&values))
    }
}

/// The sender while the receiver's message comes in.
pub struct Answering {
    sizes: Sizes,
    parameters: Parameters,
    delta: Zeroizing<Block>,
    /// B, and B' as far as the message has come.
    b: Zeroizing<Vec<Block>>,
    /// As they were given until there are bins, then bin after bin; those of bins that are decoded are values.
    keys: Zeroizing<Vec<Block>>,
    bins: Option<Bins>,
    /// Blocks of the encoding that have come.
    absorbed: usize,
    /// Bins that are decoded.
    decoded: usize,
}

impl Answering {
    /// `delta`, `b`: the sender's halves of the VOLE; `keys`: distinct, at most `sizes.sender`.
    pub fn new(
        sizes: Sizes,
        keys: Zeroizing<Vec<Block>>,
        delta: Block,
        b: Zeroizing<Vec<Block>>,
    ) -> Result<Self> {
        let parameters = sizes.encoding()?;
        if keys.len() > sizes.sender {
            return Err(Error::Parameters("more keys than the set is padded to"));
        }
        if b.len() != parameters.length() {
            return Err(Error::Parameters("a VOLE of another length"));
        }
        Ok(Self {
            sizes,
            parameters,
            delta: Zeroizing::new(delta),
            b,
            keys,
            bins: None,
            absorbed: 0,
            decoded: 0,
        })
    }

    /// Blocks of the message that have not come.
    pub fn missing(&self) -> usize {
        usize::from(self.bins.is_none()) + self.b.len() - self.absorbed
    }

    /// Takes what comes next of the message, and decodes the bins that are whole. `Malformed` for more than is missing.
    pub fn absorb(&mut self, blocks: &[Block]) -> Result<()> {
        if blocks.len() > self.missing() {
            return Err(Error::Malformed);
        }
        let Some((first, rest)) = blocks.split_first() else {
            return Ok(());
        };
        let masked = match &self.bins {
            Some(_) => blocks,
            None => {
                let (bins, keys) = Bins::new(&self.parameters, *first, &self.keys);
                (self.bins, self.keys) = (Some(bins), keys);
                rest
            }
        };
        self.b[self.absorbed..][..masked.len()]
            .par_chunks_mut(TASK)
            .zip(masked.par_chunks(TASK))
            .for_each(|(b, masked)| field::axpy(b, masked, *self.delta));
        self.absorbed += masked.len();
        if !self.sizes.malicious {
            self.decode(self.absorbed / self.parameters.stride(), None);
        }
        Ok(())
    }

    /// The answer. `secret` seeds the order and the padding. `Malformed` unless all of the message has come.
    pub fn finish(mut self, mask: Mask, secret: &[u8; 32]) -> Result<Vec<u8>> {
        if self.missing() > 0 {
            return Err(Error::Malformed);
        }
        self.decode(self.parameters.bins(), mask);
        shuffled(self.sizes, &self.keys, secret)
    }

    /// Turns the keys of all bins before `end` into what is compared.
    fn decode(&mut self, end: usize, mask: Mask) {
        let Some(bins) = &self.bins else { return };
        let (target, output) = (FixedKeyHash::new(H_B), FixedKeyHash::new(H_O));
        let finish = |keys: &[Block], values: &mut [Block]| {
            let mut targets = Zeroizing::new([0; BATCH]);
            for (keys, values) in keys.chunks(BATCH).zip(values.chunks_mut(BATCH)) {
                let targets = &mut targets[..keys.len()];
                targets.copy_from_slice(keys);
                target.hash_blocks(targets);
                field::axpy(values, targets, *self.delta);
            }
            match mask {
                None => output.hash_blocks(values),
                Some(mask) => encrypt(keys, values, mask),
            }
        };
        let which = self.decoded..end;
        okvs::decode_bins(
            &self.parameters,
            bins,
            which,
            &mut self.keys,
            &self.b,
            finish,
        );
        self.decoded = end;
    }
}

/// Turns what was decoded into what is compared, against a malicious peer.
fn encrypt(keys: &[Block], values: &mut [Block], mask: Block) {
    for (value, key) in values.iter_mut().zip(keys) {
        // Davies–Meyer: the value is the cipher's key.
        let mut hashed = [*key];
        FixedKeyHash::new(*value ^ mask).hash_blocks(&mut hashed);
        *value = hashed[0];
    }
}

/// The values and random ones up to the padded size, truncated, in a random order.
fn shuffled(sizes: Sizes, values: &[Block], secret: &[u8; 32]) -> Result<Vec<u8>> {
    let (order, seed) = secrets(secret);
    let mut padding = Zeroizing::new(vec![0; sizes.sender - values.len()]);
    Prg::new(seed).fill(&mut padding);
    let values = permuted(&order, sizes.sender, |place| match values.get(place) {
        Some(value) => *value,
        None => padding[place - values.len()],
    })?;
    let values = Zeroizing::new(values);
    let width = sizes.value_bytes();
    let mut answer = vec![0; sizes.answer_bytes()];
    answer
        .par_chunks_exact_mut(width)
        .zip(values.par_iter())
        .with_min_len(TASK)
        .for_each(|(out, value)| out.copy_from_slice(&value.to_le_bytes()[..width]));
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
