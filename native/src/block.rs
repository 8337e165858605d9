//! 128-bit blocks: the unit of keys, tags and field elements, little-endian on the wire.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// 128 bits. As a field element, bit i is the coefficient of x^i.
pub type Block = u128;

/// Bytes of one block.
pub const BYTES: usize = 16;

/// The blocks of a message; `Malformed` unless it holds `count` whole blocks.
pub fn from_bytes(bytes: &[u8], count: usize) -> Result<Vec<Block>> {
    if count.checked_mul(BYTES) != Some(bytes.len()) {
        return Err(Error::Malformed);
    }
    Ok(bytemuck::pod_collect_to_vec(bytes))
}

/// The blocks of a message, in place where it is aligned; `Malformed` unless it holds `count` whole blocks.
pub fn read(bytes: &[u8], count: usize) -> Result<Cow<'_, [Block]>> {
    match bytemuck::try_cast_slice(bytes) {
        Ok(blocks) if blocks.len() == count => Ok(Cow::Borrowed(blocks)),
        _ => from_bytes(bytes, count).map(Cow::Owned),
    }
}

/// Blocks as a message, without a copy.
pub fn as_bytes(blocks: &[Block]) -> &[u8] {
    bytemuck::must_cast_slice(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_survive_the_wire() {
        let blocks = [0, 1, u128::MAX, 0x0123_4567_89ab_cdef];
        assert_eq!(from_bytes(as_bytes(&blocks), 4), Ok(blocks.to_vec()));
        assert_eq!(*read(as_bytes(&blocks), 4).unwrap(), blocks);
        let shifted = [&[0], as_bytes(&blocks)].concat();
        assert_eq!(*read(&shifted[1..], 4).unwrap(), blocks);
    }

    #[test]
    fn another_length_is_malformed() {
        assert_eq!(from_bytes(&[0; 17], 1), Err(Error::Malformed));
        assert_eq!(read(&[0; 32], 1), Err(Error::Malformed));
        assert_eq!(from_bytes(&[0; 16], 2), Err(Error::Malformed));
        assert_eq!(from_bytes(&[0; 16], usize::MAX), Err(Error::Malformed));
    }
}
