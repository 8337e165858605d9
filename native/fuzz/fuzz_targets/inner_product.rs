//! A hostile peer's masked columns and a hostile dealer's share of an inner product.
#![no_main]

use std::sync::Arc;

use fedsandbox_fuzz::Input;
use fedsandbox_native::shares::columns::Columns;
use fedsandbox_native::shares::inner::{Party, Role};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let choice = input.byte();
    // Around the chunks' edges, and small.
    let slots = match choice & 3 {
        0 => usize::from(input.byte()),
        1 => 2048,
        2 => 2049,
        _ => 2 * 2048 + usize::from(input.byte()),
    };
    let columns = 1 + usize::from(choice >> 2 & 1);
    let peer_columns = usize::from(input.byte()) % 66;
    let words = vec![[3; 8]; slots * columns];
    let own = Arc::new(Columns::dense(slots, columns, &words).unwrap());
    let role = if choice & 8 != 0 { Role::A } else { Role::B };
    let Ok(mut party) = Party::new(role, own, peer_columns, 5) else {
        assert!(peer_columns == 0 || peer_columns > 64);
        return;
    };
    let mut left = slots;
    for _ in 0..4 {
        let chunks = 1 + usize::from(input.byte() % 3);
        party.next_message(chunks);
        let honest = vec![0; 8 * peer_columns * left.min(2048 * chunks)];
        let message = if input.byte() & 1 == 0 {
            honest
        } else {
            Input(input.take(4096)).message(&honest)
        };
        if party.absorb(&message).is_ok() {
            let taken = message.len() / 8 / peer_columns;
            assert!(taken <= left && (taken % 2048 == 0 || taken == left));
            left -= taken;
        }
    }
    let honest = vec![0; 8 * columns * peer_columns];
    let dealt = (role == Role::B).then(|| input.message(&honest));
    let outcome = party.finish(dealt.as_deref());
    if outcome.is_ok() {
        assert!(left == 0 && dealt.is_none_or(|dealt| dealt.len() == honest.len()));
    }
});
