//! A hostile encoding is decoded, and keys of any kind are encoded and found again.
#![no_main]

use std::collections::HashSet;

use fedsandbox_fuzz::Input;
use fedsandbox_native::block::{self, Block};
use fedsandbox_native::okvs::{Parameters, decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let items = 1 + usize::from(u16::from_le_bytes([input.byte(), input.byte()]));
    let buckets = 1 + usize::from(input.byte());
    let parameters = Parameters::new(items, buckets).unwrap();
    let seed = Block::from(input.byte());
    let bytes = input.take(16 * (1 + usize::from(data.len() as u8 % 64)));
    let keys = block::from_bytes(&bytes[..bytes.len() / 16 * 16], bytes.len() / 16).unwrap();
    let mut out = vec![0; keys.len()];
    let mut hostile = vec![0u8; 16 * parameters.length()];
    let size = hostile.len();
    for (byte, value) in hostile.iter_mut().zip(input.0) {
        *byte = *value;
    }
    let blocks = block::from_bytes(&hostile[..size], parameters.length()).unwrap();
    decode(&parameters, seed, &keys, &blocks, &mut out).unwrap();
    let short = &blocks[..blocks.len() - 1 - usize::from(seed as u8) % blocks.len()];
    assert!(decode(&parameters, seed, &keys, short, &mut out).is_err());
    assert!(block::from_bytes(input.0, parameters.length()).is_ok() == (input.0.len() == size));
    let distinct = keys.iter().collect::<HashSet<_>>().len() == keys.len();
    let values: Vec<Block> = keys.iter().map(|key| key.rotate_left(7)).collect();
    if let Ok(encoding) = encode(&parameters, seed, &keys, &values) {
        assert!(distinct && keys.len() <= items);
        decode(&parameters, seed, &keys, &encoding, &mut out).unwrap();
        assert_eq!(out, values);
    }
});
