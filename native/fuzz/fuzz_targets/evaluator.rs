//! Two hostile members' masked columns at the coordinator, and a hostile coordinator's numbers at a member, of a product
//! that is checked or not.
#![no_main]

use std::sync::Arc;

use fedsandbox_fuzz::Input;
use fedsandbox_native::shares::columns::Columns;
use fedsandbox_native::shares::evaluated::{self, Evaluator};
use fedsandbox_native::shares::inner::{Role, Shape};
use fedsandbox_native::shares::verified;
use fedsandbox_native::shares::word::Word;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let choice = input.byte();
    // Around the chunks' edges, and small.
    let slots = match choice & 3 {
        0 => 1 + usize::from(input.byte()),
        1 => 2048,
        2 => 2049,
        _ => 2 * 2048 + usize::from(input.byte()),
    };
    let (p, q) = (
        1 + usize::from(choice >> 2 & 1),
        usize::from(input.byte()) % 66,
    );
    let (shape, width) = (Shape { slots, p, q }, usize::from(input.byte()) % 18);
    let words = vec![[3; 8]; slots * p];
    let own = Arc::new(Columns::dense(slots, p, &words).unwrap());
    if choice >> 3 & 1 == 0 {
        if !coordinator::<u64>(&mut input, shape, width) {
            return;
        }
        let mut member = evaluated::Party::new(Role::A, own, q, width, (1, 2)).unwrap();
        while !member.next_message(2).is_empty() {}
        let dealt = input.message(&vec![0; 8 * p * q]);
        assert_eq!(member.finish_a(&dealt).is_ok(), dealt.len() == 8 * p * q);
    } else {
        if !coordinator::<u128>(&mut input, shape, width) {
            return;
        }
        let mut member = verified::Party::new(Role::A, own, q, width, (1, 2), 3).unwrap();
        while !member.next_message(2).is_empty() {}
        let dealt = input.message(&vec![0; 16 * (p + 1) * q]);
        let whole = dealt.len() == 16 * (p + 1) * q;
        assert_eq!(member.finish_a(&dealt).is_ok(), whole);
    }
});

/// Whether there is such a coordinator; what it takes of messages is whole.
fn coordinator<W: Word>(input: &mut Input, shape: Shape, width: usize) -> bool {
    let (slots, p, q) = (shape.slots, shape.p + W::CHECKING, shape.q);
    let Ok(mut evaluator) = Evaluator::<W>::new(shape, width) else {
        assert!(q == 0 || q > 64 || width == 0 || width > W::BYTES);
        return false;
    };
    let mut left = slots;
    for _ in 0..4 {
        let height = left.min(2048 * (1 + usize::from(input.byte() % 3)));
        let honest = [p, q].map(|columns| vec![0; width * columns * height]);
        let [a, b] = honest.map(|honest| {
            if input.byte() & 1 == 0 {
                honest
            } else {
                Input(input.take(4096)).message(&honest)
            }
        });
        if evaluator.absorb(&a, &b).is_ok() {
            let taken = a.len() / width / p;
            assert!(a.len() * q == b.len() * p);
            assert!(taken <= left && (taken % 2048 == 0 || taken == left));
            left -= taken;
        }
    }
    assert_eq!(evaluator.finish(7).is_ok(), left == 0);
    true
}
