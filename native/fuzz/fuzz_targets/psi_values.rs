//! A hostile sender's values where a receiver looks for its own.
#![no_main]

use std::collections::HashSet;

use fedsandbox_fuzz::Input;
use fedsandbox_native::psi::matches;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let width = 1 + usize::from(input.byte() % 16);
    // Own values differ in what is compared, as far as it tells them apart, in runs that the sender's may extend.
    let count = usize::from(u16::from_le_bytes([input.byte(), input.byte()])) % 5000;
    let step = 1 + u128::from(input.byte());
    let low = u128::MAX >> (8 * (16 - width));
    let mut seen = HashSet::new();
    let own: Vec<u128> = (0..count as u128)
        .map(|i| i * step)
        .filter(|value| seen.insert(value & low))
        .collect();
    let honest: Vec<u8> = own
        .iter()
        .flat_map(|value| value.to_le_bytes()[..width].to_vec())
        .collect();
    let mut sent = input.message(&honest);
    sent.truncate(sent.len() / width * width);
    let theirs: HashSet<&[u8]> = sent.chunks_exact(width).collect();
    let expected = own
        .iter()
        .map(|value| u8::from(theirs.contains(&value.to_le_bytes()[..width])));
    assert!(expected.eq(matches(&own, &sent, width)));
});
