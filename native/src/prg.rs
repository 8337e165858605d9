//! AES-128 as a generator (counter mode) and as a correlation-robust hash (Matyas–Meyer–Oseas).

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use zeroize::Zeroize;

use crate::block::Block;

const BATCH: usize = 64;

/// AES-128 in counter mode from counter 0 (NIST SP 800-38A §6.5): one seed, one stream, never reused for another purpose.
pub struct Prg {
    cipher: Aes128,
    counter: u128,
}

impl Prg {
    pub fn new(seed: Block) -> Self {
        Self {
            cipher: Aes128::new(&Array(seed.to_le_bytes())),
            counter: 0,
        }
    }

    /// Passes over the next `blocks` blocks of the stream.
    pub fn skip(&mut self, blocks: u128) {
        self.counter += blocks;
    }

    /// The next block of the stream.
    pub fn block(&mut self) -> Block {
        let mut out = [0; 1];
        self.fill(&mut out);
        out[0]
    }

    /// Overwrites `out` with the next blocks of the stream.
    pub fn fill(&mut self, out: &mut [Block]) {
        for chunk in out.chunks_mut(BATCH) {
            for value in chunk.iter_mut() {
                *value = self.counter;
                self.counter += 1;
            }
            encrypt(&self.cipher, chunk);
        }
    }
}

/// π(x) ⊕ x for a fixed public key: correlation-robust when π is an ideal permutation (Guo–Katz–Wang–Yu 2020, §4).
pub struct FixedKeyHash {
    cipher: Aes128,
}

impl FixedKeyHash {
    /// `key` is public; each purpose has its own.
    pub fn new(key: Block) -> Self {
        Self {
            cipher: Aes128::new(&Array(key.to_le_bytes())),
        }
    }

    /// Hashes every block in place.
    pub fn hash_blocks(&self, blocks: &mut [Block]) {
        let mut before = [0; BATCH];
        for chunk in blocks.chunks_mut(BATCH) {
            let kept = &mut before[..chunk.len()];
            kept.copy_from_slice(chunk);
            encrypt(&self.cipher, chunk);
            for (value, input) in chunk.iter_mut().zip(kept.iter()) {
                *value ^= input;
            }
        }
        before.zeroize();
    }
}

/// In place: blocks lie in memory as AES reads them.
fn encrypt(cipher: &Aes128, blocks: &mut [Block]) {
    let bytes: &mut [[u8; 16]] = bytemuck::must_cast_slice_mut(blocks);
    cipher.encrypt_blocks(Array::cast_slice_from_core_mut(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 197, appendix C.1.
    #[test]
    fn aes_agrees_with_the_standard() {
        let key = Block::from_le_bytes(std::array::from_fn(|i| i as u8));
        let text = Block::from_le_bytes(std::array::from_fn(|i| 0x11 * i as u8));
        let mut out = [text];
        encrypt(&Aes128::new(&Array(key.to_le_bytes())), &mut out);
        let expected = 0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a_u128.to_be_bytes();
        assert_eq!(out[0].to_le_bytes(), expected);
    }

    #[test]
    fn a_stream_does_not_depend_on_how_it_is_cut() {
        let mut whole = vec![0; 300];
        Prg::new(7).fill(&mut whole);
        let mut generator = Prg::new(7);
        let mut cut = vec![0; 300];
        let (first, rest) = cut.split_at_mut(65);
        generator.fill(first);
        generator.fill(rest);
        assert_eq!(whole, cut);
        let mut later = Prg::new(7);
        later.skip(200);
        assert_eq!(later.block(), whole[200]);
        assert_eq!(generator.block(), {
            let mut longer = vec![0; 301];
            Prg::new(7).fill(&mut longer);
            longer[300]
        });
    }

    #[test]
    fn the_hash_is_the_permutation_plus_its_input() {
        let hash = FixedKeyHash::new(9);
        let mut two = [5, 6];
        hash.hash_blocks(&mut two);
        let mut plain = [5, 6];
        encrypt(&hash.cipher, &mut plain);
        assert_eq!(two, [plain[0] ^ 5, plain[1] ^ 6]);
    }
}
