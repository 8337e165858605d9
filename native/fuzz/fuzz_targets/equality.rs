//! A hostile member's point where two checks are compared.
#![no_main]

use fedsandbox_fuzz::Input;
use fedsandbox_native::equality::{Party, Proofs};
use libfuzzer_sys::fuzz_target;

const SESSION: [u8; 32] = [3; 32];

fn party(entropy: u8) -> (Party, [u8; 32]) {
    Party::start(&SESSION, b"value", &[entropy; 64])
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let choice = input.byte();
    let ((ours, sent), (theirs, honest)) = (party(7), party(9));
    let expected = theirs.finish(&sent, true).unwrap();
    let point = input.message(&honest);
    let Ok(Proofs { own, peers }) = ours.finish(&point, choice & 1 != 0) else {
        assert!(point != honest, "an honest point was refused");
        return;
    };
    assert!(point.len() == honest.len() && point != [0; 32] && own != peers);
    let accepted = [own, peers].contains(&expected.own);
    assert_eq!(accepted, point == honest);
});
