//! What the sender makes of the receiver's message, as far as that has come: one value for each of its keys.

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::{H_B, H_O, Mask, Sizes, TASK, encrypt};
use crate::block::{self, Block};
use crate::error::{Error, Result};
use crate::field;
use crate::keys::permutation::permuted;
use crate::okvs::{self, Bins, Parameters};
use crate::prg::{FixedKeyHash, Prg};

/// Keys that are hashed together.
const BATCH: usize = 64;

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
