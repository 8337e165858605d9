//! Claims about both parties together.

use proptest::prelude::*;

use super::*;
use crate::error::{Error, Result};
use crate::field;
use crate::vectors::{block, blocks, bytes, count, is_digest, parse};

const SESSION: Session = [1; 32];

/// Every message of a run, and both results.
fn run(
    parameters: Parameters,
    session: Session,
    tamper: impl Fn(usize, &mut Vec<u8>),
) -> Result<(Vec<Vec<u8>>, Noise, Key)> {
    let (sender, mut offer) = Sender::start(parameters, session, 11);
    assert_eq!(offer.len(), parameters.offer_bytes());
    tamper(0, &mut offer);
    let (awaiting, mut request) = Receiver::new(parameters, session, 12).request(&offer)?;
    assert_eq!(request.len(), parameters.request_bytes());
    tamper(1, &mut request);
    let (sent, mut answer) = sender.expand().answer(&request)?;
    assert_eq!(answer.len(), parameters.answer_bytes());
    tamper(2, &mut answer);
    let mut messages = vec![offer, request, answer];
    let (noise, key) = match sent {
        Sent::Done(key) => {
            let masked = Prg::new(13).block();
            let mut a = vec![masked; parameters.outputs()];
            let mut expanding = awaiting.expand(&messages[2])?;
            let mut end = 0;
            loop {
                let range = expanding.next(&mut a);
                if range.is_empty() {
                    break;
                }
                assert_eq!(range.start, end);
                end = range.end;
            }
            assert_eq!(end, parameters.outputs());
            a.iter_mut().for_each(|a| *a ^= masked);
            let c = expanding.finish().to_vec();
            (Noise { a, c }, key)
        }
        Sent::Check(proving) => {
            let (checking, mut challenge) = awaiting.challenge(&messages[2])?;
            tamper(3, &mut challenge);
            let (key, mut proof) = proving.prove(&challenge)?;
            assert_eq!((challenge.len(), proof.len()), parameters.check_bytes());
            tamper(4, &mut proof);
            let noise = checking.finish(&proof)?;
            messages.extend([challenge, proof]);
            (noise, key)
        }
    };
    Ok((messages, noise, key))
}

fn honest(outputs: usize, malicious: bool) -> (Vec<Vec<u8>>, Noise, Key) {
    run(
        Parameters::new(outputs, malicious).unwrap(),
        SESSION,
        |_, _| (),
    )
    .unwrap()
}

fn assert_correlated(outputs: usize, noise: &Noise, key: &Key) {
    assert_eq!(
        (noise.a.len(), noise.c.len(), key.b.len()),
        (outputs, outputs, outputs)
    );
    for i in 0..outputs {
        assert_eq!(
            noise.c[i],
            field::mul(noise.a[i], key.delta) ^ key.b[i],
            "entry {i}"
        );
    }
    let mut distinct = noise.a.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), outputs);
}

#[test]
fn every_entry_is_correlated() {
    for outputs in [
        1,
        1 << 10,
        (1 << 10) + 1,
        (1 << 16) - 1,
        (1 << 16) + 1,
        3 * (1 << 18) + 5,
    ] {
        for malicious in [false, true] {
            let (_, noise, key) = honest(outputs, malicious);
            assert_correlated(outputs, &noise, &key);
        }
    }
}

#[test]
fn another_session_shares_no_bytes() {
    for outputs in [700, 5000] {
        let parameters = Parameters::new(outputs, true).unwrap();
        let (ours, noise, key) = run(parameters, SESSION, |_, _| ()).unwrap();
        let (theirs, other_noise, other_key) = run(parameters, [2; 32], |_, _| ()).unwrap();
        let blocks = |messages: &[Vec<u8>]| -> std::collections::HashSet<Vec<u8>> {
            messages
                .iter()
                .flat_map(|m| m.chunks(16).map(<[u8]>::to_vec))
                .collect()
        };
        assert!(blocks(&ours).is_disjoint(&blocks(&theirs)));
        assert_ne!(key.delta, other_key.delta);
        assert!(noise.a.iter().zip(&other_noise.a).all(|(a, b)| a != b));
    }
}

#[test]
fn what_a_cheating_sender_changes_is_found() {
    for outputs in [700, 5000] {
        let parameters = Parameters::new(outputs, true).unwrap();
        let mut caught = 0;
        for flip in 0..8 {
            // The last blocks of an answer correct the punctured places; the first ones open trees. A small VOLE has neither.
            let outcome = run(parameters, SESSION, |step, message| {
                let at = if message.is_empty() {
                    return;
                } else {
                    flip * message.len() / 8
                };
                if step == 2 || (outputs == 700 && step == 4) {
                    message[at] ^= 1;
                    if let Some(other) = message.get_mut(at + 16) {
                        *other ^= 1;
                    }
                }
            });
            caught += usize::from(matches!(outcome, Err(Error::Inconsistent)));
        }
        assert!(caught >= 6, "{caught} of 8 with {outputs} outputs");
    }
}

#[test]
fn a_cheating_receiver_is_found() {
    let parameters = Parameters::new(700, true).unwrap();
    let outcome = run(parameters, SESSION, |step, message| {
        if step == 1 {
            message
                .iter_mut()
                .skip(20_000)
                .for_each(|byte| *byte ^= 0x5a);
        }
    });
    assert!(matches!(outcome, Err(Error::Inconsistent)));
}

/// Messages and results as an independent slow model has them: tests/vectors/native/vole.py.
#[test]
fn a_run_is_the_models_byte_for_byte() {
    let vectors = parse(include_str!("../../../tests/vectors/native/vole.json"));
    for case in vectors.as_array().unwrap() {
        let entries = count(&case["entries"]);
        let parameters = Parameters::new(entries, case["malicious"].as_bool().unwrap()).unwrap();
        assert_eq!(parameters.digest().to_vec(), bytes(&case["digest"]));
        let (messages, noise, key) = run(parameters, SESSION, |_, _| ()).unwrap();
        let expected = case["messages"].as_array().unwrap();
        assert_eq!(messages.len(), expected.len());
        for (i, (message, expected)) in messages.iter().zip(expected).enumerate() {
            assert!(is_digest(expected, message), "message {i} of {entries}");
        }
        let sampled = |all: &[Block]| -> Vec<Block> {
            let some = all.iter().step_by((entries / 20).max(1));
            some.chain(all.last()).copied().collect()
        };
        assert_eq!(key.delta, block(&case["delta"]));
        assert_eq!(sampled(&noise.a), blocks(&case["a"]), "{entries}");
        assert_eq!(sampled(&noise.c), blocks(&case["c"]), "{entries}");
        assert_eq!(sampled(&key.b), blocks(&case["b"]), "{entries}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_message_makes_a_party_panic(
        step in 0usize..5, at: prop::sample::Index, value: u8, cut in prop::option::of(any::<prop::sample::Index>()),
        malicious: bool, large: bool,
    ) {
        let parameters = Parameters::new(if large { 1500 } else { 3 }, malicious).unwrap();
        let outcome = run(parameters, SESSION, |now, message| {
            if now == step && !message.is_empty() {
                let at = at.index(message.len());
                message[at] ^= value;
                if let Some(cut) = &cut {
                    message.truncate(cut.index(message.len()));
                }
            }
        });
        if cut.is_some() && step < 2 {
            prop_assert!(matches!(outcome, Err(Error::Malformed)));
        }
    }
}
