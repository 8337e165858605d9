//! A hostile receiver of a VOLE: its request or challenge is the fuzzer's.
#![no_main]

use fedsandbox_fuzz::Input;
use fedsandbox_native::vole::{Parameters, Receiver, Sender, Sent};
use libfuzzer_sys::fuzz_target;

const SESSION: [u8; 32] = [1; 32];

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let choice = input.byte();
    let outputs = if choice >> 5 == 7 { 1500 } else { 3 };
    let parameters = Parameters::new(outputs, choice & 1 != 0).unwrap();
    let tampered = choice >> 2 & 1;
    let (sender, offer) = Sender::start(parameters, SESSION, 11);
    let (awaiting, mut request) = Receiver::new(parameters, SESSION, 12)
        .request(&offer)
        .unwrap();
    if tampered == 0 {
        request = input.message(&request);
    }
    let Ok((Sent::Check(proving), answer)) = sender.expand().answer(&request) else {
        return;
    };
    let Ok((_, mut challenge)) = awaiting.challenge(&answer) else {
        return;
    };
    if tampered == 1 {
        challenge = input.message(&challenge);
    }
    assert_eq!(proving.prove(&challenge).is_ok(), challenge.len() == 32);
});
