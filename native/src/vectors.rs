//! What independent slow models wrote: tests/vectors/native.

use serde_json::Value;

use crate::block::{Block, as_bytes};

/// The vectors of one model.
pub fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("vectors are JSON")
}

/// A hexadecimal text's bytes.
pub fn bytes(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("a text");
    let digits = (0..text.len()).step_by(2);
    digits
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

/// A block in hexadecimal, as it lies on the wire.
pub fn block(text: &Value) -> Block {
    Block::from_le_bytes(bytes(text).try_into().expect("16 bytes"))
}

/// A list of them.
pub fn blocks(list: &Value) -> Vec<Block> {
    list.as_array().expect("a list").iter().map(block).collect()
}

/// A number of things.
pub fn count(number: &Value) -> usize {
    number.as_u64().expect("a count") as usize
}

/// Whether `text` is the BLAKE3 of `bytes`, which stands for what is long.
pub fn is_digest(text: &Value, bytes: &[u8]) -> bool {
    text.as_str() == Some(blake3::hash(bytes).to_hex().as_str())
}

/// The same of blocks.
pub fn is_digest_of(text: &Value, blocks: &[Block]) -> bool {
    is_digest(text, as_bytes(blocks))
}
