//! Hashes under a session: fixed AES keys, and the tweaked hash that turns correlated OTs into random ones.

use crate::block::Block;
use crate::ot::Session;
use crate::prg::FixedKeyHash;

/// A key for one public purpose in one session, so that precomputation against one session is worth nothing in another.
pub fn fixed_key(session: &Session, purpose: &[u8]) -> FixedKeyHash {
    let digest = blake3::keyed_hash(session, purpose);
    let (key, _) = digest.as_bytes().split_at(16);
    FixedKeyHash::new(Block::from_le_bytes(key.try_into().expect("16 bytes")))
}

/// π(π(x) ⊕ i) ⊕ π(x): tweakable circular correlation-robust for an ideal permutation π (Guo–Katz–Wang–Yu 2020, §7.4).
pub struct PairHash(FixedKeyHash);

impl PairHash {
    pub fn new(session: &Session) -> Self {
        Self(fixed_key(session, b"fedsandbox ot pair hash v1"))
    }

    /// Replaces the i-th block by its hash under the tweak `first + i`.
    pub fn hash(&self, blocks: &mut [Block], first: u128) {
        // FixedKeyHash is π(x) ⊕ x, from which both uses of π follow.
        let inputs = zeroize::Zeroizing::new(blocks.to_vec());
        self.0.hash_blocks(blocks);
        for (i, (block, input)) in blocks.iter_mut().zip(inputs.iter()).enumerate() {
            *block ^= input ^ (first + i as u128);
        }
        self.0.hash_blocks(blocks);
        for (i, block) in blocks.iter_mut().enumerate() {
            *block ^= first + i as u128;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tweaked_hash_is_the_published_formula() {
        let hash = PairHash::new(&[3; 32]);
        let permutation = |x: Block| {
            let mut out = [x];
            hash.0.hash_blocks(&mut out);
            out[0] ^ x
        };
        let mut blocks = [10, 11, 12];
        hash.hash(&mut blocks, 7);
        for (i, x) in [10u128, 11, 12].into_iter().enumerate() {
            let inner = permutation(x);
            assert_eq!(blocks[i], permutation(inner ^ (7 + i as u128)) ^ inner);
        }
    }

    #[test]
    fn sessions_and_purposes_have_keys_of_their_own() {
        let digest = |session: u8, purpose: &[u8]| {
            let mut out = [1];
            fixed_key(&[session; 32], purpose).hash_blocks(&mut out);
            out[0]
        };
        assert_ne!(digest(1, b"a"), digest(2, b"a"));
        assert_ne!(digest(1, b"a"), digest(1, b"b"));
    }
}
