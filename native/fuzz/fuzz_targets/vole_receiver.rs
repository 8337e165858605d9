//! A hostile sender of a VOLE: its offer, answer or proof is the fuzzer's.
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
    let tampered = choice >> 2 & 3;
    let (sender, mut offer) = Sender::start(parameters, SESSION, 11);
    if tampered == 0 {
        offer = input.message(&offer);
    }
    let Ok((awaiting, request)) = Receiver::new(parameters, SESSION, 12).request(&offer) else {
        return;
    };
    let Ok((sent, mut answer)) = sender.expand().answer(&request) else {
        return;
    };
    if tampered == 1 {
        answer = input.message(&answer);
    }
    let Sent::Check(proving) = sent else {
        let expanding = awaiting.expand(&answer);
        assert!(tampered == 1 || expanding.is_ok());
        if let Ok(mut expanding) = expanding {
            while !expanding.next(&mut vec![0; outputs]).is_empty() {}
            assert_eq!(expanding.finish().len(), outputs);
        }
        return;
    };
    let Ok((checking, challenge)) = awaiting.challenge(&answer) else {
        return;
    };
    let (_, mut proof) = proving.prove(&challenge).unwrap();
    let honest = proof.clone();
    if tampered >= 2 {
        proof = input.message(&proof);
    }
    let accepted = checking.finish(&proof).is_ok();
    assert!(tampered < 2 || accepted == (proof == honest));
});
