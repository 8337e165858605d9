//! A hostile peer's masked columns and a hostile dealer's chunks of a slot-wise product.
#![no_main]

use std::sync::Arc;

use fedsandbox_fuzz::Input;
use fedsandbox_native::shares::columns::Columns;
use fedsandbox_native::shares::inner::Role;
use fedsandbox_native::shares::slotwise::Party;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let choice = input.byte();
    let slots = if choice & 1 == 0 {
        usize::from(input.byte())
    } else {
        2048 + usize::from(input.byte())
    };
    let peer_columns = 1 + usize::from(input.byte()) % 3;
    let words = vec![[3; 8]; 2 * slots];
    let own = Arc::new(Columns::dense(slots, 2, &words).unwrap());
    let role = if choice & 2 != 0 { Role::A } else { Role::B };
    let pairs: Vec<(u8, u8)> = input
        .take(usize::from(choice >> 4))
        .iter()
        .map(|b| (b & 3, b >> 2 & 3))
        .collect();
    let count = pairs.len();
    let Ok(mut party) = Party::new(role, own, peer_columns, pairs, 5) else {
        return;
    };
    let mut left = slots;
    for _ in 0..3 {
        let honest = vec![0; 8 * peer_columns * left.min(2048)];
        let dealt = vec![0; 8 * count * left.min(2048)];
        let message = if input.byte() & 1 == 0 {
            honest
        } else {
            Input(input.take(2048)).message(&honest)
        };
        let w_b = if input.byte() & 1 == 0 {
            dealt
        } else {
            Input(input.take(2048)).message(&dealt)
        };
        let w_b = (role == Role::B).then_some(w_b);
        if let Ok(out) = party.absorb(&message, w_b.as_deref()) {
            let taken = message.len() / 8 / peer_columns;
            assert!(taken <= left && out.len() == taken * count);
            left -= taken;
        }
    }
});
