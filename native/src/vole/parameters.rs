//! What a VOLE of a given length uses: chunks, trees, OTs, and with them the length of every message.
//!
//! Noise weight. A chunk's codewords have length n = 2k; the code has relative distance d = 0.105 but for a fraction 2^-27 of
//! the permutations it may have drawn (`code` says how that is counted). Noise is regular: one entry, uniform in GF(2^128), in each of t
//! blocks. A linear test reads a codeword of weight w, spread as w_j over blocks of s entries; it sees the uniform distribution unless
//! every noise entry misses it, so its advantage is at most Π(1 − w_j/s) ≤ (1 − w/n)^t ≤ (1 − d)^t. With t = 800 that is 2^-128.03.
//! Resistance to linear tests is a heuristic for dual LPN, not a proof (Couteau–Rindal–Raghuraman 2021, §3).

use crate::block::BYTES;
use crate::error::{Error, Result};
use crate::ot::{base, ggm, softspoken};

/// Noise entries of a chunk, t.
pub const WEIGHT: usize = 800;
/// Outputs of a chunk are WEIGHT/2 for each leaf of a tree; with an even number of leaves they are whole blocks of the code.
const LEAST_LEAVES: usize = 12;
const MOST_LEAVES: usize = 512;
/// Up to here every output is made like a noise entry, from 128 OTs, which then costs less than a chunk.
const MOST_DIRECT: usize = 1024;
const MOST_OUTPUTS: usize = 1 << 32;
const VERSION: &[u8] = b"fedsandbox vole v1: endemic ristretto, softspoken k=4, regular ggm t=800, block-accumulate 3x32 d=0.105";

/// The public parameters of one VOLE: both parties hold equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    outputs: usize,
    malicious: bool,
    chunks: usize,
    leaves: usize,
}

impl Parameters {
    /// For `outputs` entries, 1 to 2^32; `malicious` adds the consistency checks and two short messages.
    pub fn new(outputs: usize, malicious: bool) -> Result<Self> {
        if outputs == 0 || outputs > MOST_OUTPUTS {
            return Err(Error::Parameters("a VOLE has 1 to 2^32 outputs"));
        }
        let mut parameters = Self {
            outputs,
            malicious,
            chunks: 0,
            leaves: 0,
        };
        if outputs > MOST_DIRECT {
            let kept = WEIGHT / 2 * MOST_LEAVES - WEIGHT;
            parameters.chunks = (outputs - WEIGHT).div_ceil(kept).max(1);
            let made = outputs + (parameters.chunks - 1) * WEIGHT;
            let leaves = made
                .div_ceil(parameters.chunks * WEIGHT / 2)
                .next_multiple_of(2);
            parameters.leaves = leaves.max(LEAST_LEAVES);
        }
        Ok(parameters)
    }

    /// Entries that both parties end with.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Whether the checks against a malicious peer run.
    pub fn malicious(&self) -> bool {
        self.malicious
    }

    /// Binds everything that both parties must agree on; part of a session's transcript.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(VERSION);
        for value in [
            self.outputs,
            usize::from(self.malicious),
            self.chunks,
            self.leaves,
        ] {
            hasher.update(&(value as u64).to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// Bytes of S's first message.
    pub fn offer_bytes(&self) -> usize {
        base::OFFER_BYTES
    }

    /// Bytes of R's first message.
    pub fn request_bytes(&self) -> usize {
        base::REPLY_BYTES + softspoken::message_bytes(self.tiles(), self.malicious)
    }

    /// Bytes of S's second message.
    pub fn answer_bytes(&self) -> usize {
        (2 * self.path_ots() + self.trees()) * BYTES
    }

    /// Bytes of R's challenge and of S's proof, which only the malicious variant sends.
    pub fn check_bytes(&self) -> (usize, usize) {
        if self.malicious {
            (2 * BYTES, blake3::OUT_LEN)
        } else {
            (0, 0)
        }
    }

    pub(super) fn chunks(&self) -> usize {
        self.chunks
    }

    /// Leaves of a tree, s.
    pub(super) fn leaves(&self) -> usize {
        self.leaves
    }

    /// Outputs of a chunk, k.
    pub(super) fn chunk(&self) -> usize {
        WEIGHT / 2 * self.leaves
    }

    /// Outputs of all chunks, without those reserved for noise.
    pub(super) fn made(&self) -> usize {
        self.chunks * self.chunk() - self.chunks.saturating_sub(1) * WEIGHT
    }

    pub(super) fn depth(&self) -> usize {
        ggm::depth(self.leaves.max(1))
    }

    /// Trees of all chunks.
    pub(super) fn trees(&self) -> usize {
        WEIGHT * self.chunks
    }

    /// OTs that choose the paths of all trees.
    pub(super) fn path_ots(&self) -> usize {
        self.trees() * self.depth()
    }

    /// Entries of VOLE made from 128 OTs each: the first chunk's noise or all outputs, and one that the check uses up.
    pub(super) fn direct(&self) -> usize {
        let noise = if self.chunks == 0 {
            self.outputs
        } else {
            WEIGHT
        };
        noise + usize::from(self.malicious)
    }

    /// Tiles of the OT extension: one for each direct entry, then the paths.
    pub(super) fn tiles(&self) -> usize {
        self.direct() + self.path_ots().div_ceil(softspoken::TILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_weight_meets_the_linear_test_bound() {
        assert!(WEIGHT as f64 * (1.0f64 - 0.105).log2() <= -128.0);
    }

    #[test]
    fn the_bytes_of_a_million_items_stay_below_four_million() {
        let bytes = |m| {
            let p = Parameters::new(m, false).unwrap();
            p.offer_bytes() + p.request_bytes() + p.answer_bytes()
        };
        assert!(bytes(1_420_000) < 4_000_000, "{}", bytes(1_420_000));
        assert!(bytes(90_000) < 700_000, "{}", bytes(90_000));
    }

    proptest! {
        #[test]
        fn chunks_hold_what_was_asked(outputs in 1usize..40_000_000, malicious: bool) {
            let p = Parameters::new(outputs, malicious).unwrap();
            if p.chunks() > 0 {
                prop_assert!(p.chunks() * p.chunk() >= outputs + (p.chunks() - 1) * WEIGHT);
                prop_assert!(p.leaves() >= LEAST_LEAVES && p.leaves() <= MOST_LEAVES && p.leaves().is_multiple_of(2));
            } else {
                prop_assert!(outputs <= MOST_DIRECT);
            }
        }
    }

    #[test]
    fn other_parameters_have_another_digest() {
        let digest = |m, malicious| Parameters::new(m, malicious).unwrap().digest();
        assert_ne!(digest(5, false), digest(6, false));
        assert_ne!(digest(5, false), digest(5, true));
    }
}
