//! Words on the wire by their low bytes, one to eight of them (wide ones: to 16), little-endian.

use super::CHUNK;
use crate::error::{Error, Result};

const WORD: usize = size_of::<u64>();
const WIDE: usize = size_of::<u128>();

/// How many words a message holds.
pub fn words_in(message: &[u8], width: usize) -> Result<usize> {
    if message.len().is_multiple_of(width) {
        Ok(message.len() / width)
    } else {
        Err(Error::Malformed)
    }
}

/// Writes the low bytes of all words, one after the other.
pub fn pack(words: &[u64], width: usize, out: &mut [u8]) {
    let mut at = 0;
    for word in words {
        let bytes = word.to_le_bytes();
        match out.get_mut(at..at + WORD) {
            // A whole word is one store: the next one overwrites what is too much.
            Some(room) => room.copy_from_slice(&bytes),
            None => out[at..at + width].copy_from_slice(&bytes[..width]),
        }
        at += width;
    }
}

/// Overwrites `out` with the words of the chunk number `i` of a message of `columns` columns.
pub fn unpack_chunk(message: &[u8], i: usize, columns: usize, width: usize, out: &mut Vec<u64>) {
    let size = CHUNK * columns * width;
    let end = message.len().min((i + 1) * size);
    let mask = u64::MAX >> (8 * (WORD - width));
    out.clear();
    out.extend((i * size..end).step_by(width).map(|at| {
        let mut bytes = [0; WORD];
        match message.get(at..at + WORD) {
            Some(whole) => bytes.copy_from_slice(whole),
            None => bytes[..width].copy_from_slice(&message[at..at + width]),
        }
        u64::from_le_bytes(bytes) & mask
    }));
}

/// Writes the low bytes of all words of 128 bits, one after the other.
pub fn pack_wide(words: &[u128], width: usize, out: &mut [u8]) {
    let mut at = 0;
    for word in words {
        let bytes = word.to_le_bytes();
        match out.get_mut(at..at + WIDE) {
            Some(room) => room.copy_from_slice(&bytes),
            None => out[at..at + width].copy_from_slice(&bytes[..width]),
        }
        at += width;
    }
}

/// Overwrites `out` with the words of 128 bits of the chunk number `i` of a message of `columns` columns.
pub fn unpack_wide(message: &[u8], i: usize, columns: usize, width: usize, out: &mut Vec<u128>) {
    let size = CHUNK * columns * width;
    let end = message.len().min((i + 1) * size);
    out.clear();
    for word in message[i * size..end].chunks_exact(width) {
        let mut bytes = [0; WIDE];
        bytes[..width].copy_from_slice(word);
        out.push(u128::from_le_bytes(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_unpacks_to_its_low_bytes(words in prop::collection::vec(any::<u64>(), 0..50), width in 1usize..=8) {
            let mut packed = vec![0; words.len() * width];
            pack(&words, width, &mut packed);
            prop_assert_eq!(words_in(&packed, width), Ok(words.len()));
            let mut unpacked = Vec::new();
            unpack_chunk(&packed, 0, 1, width, &mut unpacked);
            let mask = u64::MAX >> (64 - 8 * width);
            prop_assert!(unpacked.iter().eq(words.iter().map(|word| word & mask).collect::<Vec<_>>().iter()));
        }

        #[test]
        fn what_is_packed_wide_unpacks_to_its_low_bytes(words in prop::collection::vec(any::<u128>(), 0..50), width in 1usize..=16) {
            let mut packed = vec![0; words.len() * width];
            pack_wide(&words, width, &mut packed);
            let mut unpacked = Vec::new();
            unpack_wide(&packed, 0, 1, width, &mut unpacked);
            let mask = u128::MAX >> (128 - 8 * width);
            prop_assert!(unpacked.iter().eq(words.iter().map(|word| word & mask).collect::<Vec<_>>().iter()));
        }
    }
}
