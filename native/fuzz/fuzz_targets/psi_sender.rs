//! A hostile receiver of an intersection: its request, challenge or masked encoding is the fuzzer's.
#![no_main]

use fedsandbox_fuzz::{Input, replied};
use fedsandbox_native::psi::Sizes;
use fedsandbox_native::psi::session::{Receiver, Sender};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let choice = input.byte();
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
        let Ok(mut reply) = replied(&mut receiver, &message) else {
            assert!(step > tampered, "an honest message was refused");
            return;
        };
        if step == tampered {
            reply = input.message(&reply);
        }
        if sender.awaits().unwrap().is_none() {
            return;
        }
        if choice >> 4 & 1 == 1 && sender.absorbs() {
            for piece in std::mem::take(&mut reply).chunks(48) {
                if sender.absorb(piece).is_err() {
                    assert!(step >= tampered, "an honest message was refused");
                    return;
                }
            }
        }
        match sender.advance(&reply) {
            Ok(answer) => message = answer,
            Err(_) => {
                assert!(step >= tampered, "an honest message was refused");
                return;
            }
        }
    }
});
