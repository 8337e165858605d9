//! What the receiver makes of its keys: the encoding that it sends, and what it compares.

use std::ops::Range;

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::{H_B, H_O, Mask, Sizes, TASK, encrypt};
use crate::block::Block;
use crate::error::Result;
use crate::okvs::{self, Bins};
use crate::prg::{FixedKeyHash, Prg};

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
