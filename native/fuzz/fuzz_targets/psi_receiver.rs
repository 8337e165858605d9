//! A hostile sender of an intersection: its offer, answer, proof or values are the fuzzer's.
#![no_main]

use fedsandbox_fuzz::{Input, replied};
use fedsandbox_native::psi::session::{Receiver, Sender};
use fedsandbox_native::psi::{self, Sizes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let choice = input.byte();
    // 900 keys need a VOLE of more than 1024 entries, which has trees and codes and takes longer; 3 have neither.
    let large = choice >> 5 == 7;
    let sizes = Sizes {
        receiver: if large { 900 } else { 3 },
        sender: 4,
        malicious: choice & 1 != 0,
        buckets: 1,
    };
    let keys: Vec<u128> = (0..3).collect();
    let mut receiver = Receiver::new(sizes, [1; 32], &[2; 32]).unwrap();
    receiver.take_keys(&keys).unwrap();
    let (mut sender, mut message) = Sender::start(sizes, [1; 32], &[3; 32]).unwrap();
    sender.take_keys(keys).unwrap();
    let tampered = choice >> 2 & 3;
    for step in 0.. {
        if step == tampered {
            message = input.message(&message);
        }
        let Ok(reply) = replied(&mut receiver, &message) else {
            assert!(step >= tampered, "an honest message was refused");
            return;
        };
        if receiver.awaits().unwrap().is_none() {
            let answer = &message[..sizes.answer_bytes()];
            let own = receiver.take_values().unwrap();
            assert_eq!(psi::matches(&own, answer, sizes.value_bytes()).len(), 3);
            return;
        }
        match sender.advance(&reply) {
            Ok(answer) => message = answer,
            Err(_) => return,
        }
    }
});
