use std::collections::BTreeSet;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::field;
use crate::prg::Prg;

type Secret = Zeroizing<Vec<Block>>;

/// A VOLE from a trusted dealer: the protocol's own input, without the protocol that makes it.
fn dealt(length: usize, seed: Block) -> (Secret, Vec<Block>, Block, Secret) {
    let mut generator = Prg::new(seed);
    let delta = generator.block();
    let (mut a, mut b) = (vec![0; length], vec![0; length]);
    generator.fill(&mut a);
    generator.fill(&mut b);
    let mut c = b.clone();
    field::axpy(&mut c, &a, delta);
    (Zeroizing::new(a), c, delta, Zeroizing::new(b))
}

fn keys(range: std::ops::Range<u64>) -> Vec<Block> {
    range
        .map(|i| {
            let digest = blake3::hash(&i.to_le_bytes());
            Block::from_le_bytes(digest.as_bytes()[..16].try_into().unwrap())
        })
        .collect()
}

fn intersect(sizes: Sizes, ours: &[Block], theirs: &[Block], seed: Block) -> BTreeSet<Block> {
    let (a, c, delta, b) = dealt(sizes.encoding().unwrap().length(), seed);
    let mask = sizes.malicious.then_some(seed ^ 2);
    let (receiver, request) = receiver(sizes, ours, seed ^ 1, &a, &c);
    assert_eq!(16 * request.len(), sizes.request_bytes().unwrap());
    let answered = answer(sizes, theirs, delta, b, &request, mask).unwrap();
    assert_eq!(answered.len(), sizes.answer_bytes());
    let own = receiver.compare(mask).unwrap();
    let found = matches(&own, &answered, sizes.value_bytes());
    those(ours, &found)
}

fn those(ours: &[Block], found: &[u8]) -> BTreeSet<Block> {
    assert_eq!(found.len(), ours.len());
    let matched = ours.iter().zip(found).filter(|(_, found)| **found == 1);
    matched.map(|(key, _)| *key).collect()
}

fn receiver(
    sizes: Sizes,
    keys: &[Block],
    seed: Block,
    a: &[Block],
    c: &[Block],
) -> (Receiver, Vec<Block>) {
    let mut encoded = Encoded::new(sizes, keys, &mut Prg::new(seed)).unwrap();
    let sums = encoded.encoding().iter_mut().zip(a);
    sums.for_each(|(p, a)| *p ^= a);
    let request = encoded.part(0..a.len()).to_vec();
    (encoded.sent(Zeroizing::new(c.to_vec())), request)
}

/// The sender's answer to a request that comes in pieces of 1, 2, 4 … blocks.
fn answer(
    sizes: Sizes,
    keys: &[Block],
    delta: Block,
    b: Secret,
    request: &[Block],
    mask: Mask,
) -> Result<Vec<u8>> {
    let mut answering = Answering::new(sizes, Zeroizing::new(keys.to_vec()), delta, b)?;
    let (mut rest, mut size) = (request, 1);
    while !rest.is_empty() {
        let piece;
        (piece, rest) = rest.split_at(size.min(rest.len()));
        answering.absorb(piece)?;
        size *= 2;
    }
    answering.finish(mask, &[3; 32])
}

/// The whole reply to a message.
fn replied(receiver: &mut session::Receiver, message: &[u8]) -> Result<Vec<u8>> {
    receiver.take(message)?;
    let mut reply = Vec::new();
    while let Some(part) = receiver.next_part()? {
        reply.extend_from_slice(&part);
    }
    Ok(reply)
}

fn plain(ours: &[Block], theirs: &[Block]) -> BTreeSet<Block> {
    let theirs: BTreeSet<_> = theirs.iter().collect();
    ours.iter()
        .filter(|key| theirs.contains(key))
        .copied()
        .collect()
}

#[test]
fn the_intersection_is_the_plain_one() {
    let edge = 1u64 << 14; // Items of a bin of the encoding.
    for (ours, theirs) in [
        (0..1, 0..1),
        (0..1, 1..2),
        (0..1, 0..1000),
        (0..1000, 999..1000),
        (0..500, 500..1000),
        (0..500, 0..500),
        (0..edge, edge / 2..edge),
        (0..edge + 1, edge / 2..2 * edge),
        (0..3 * edge, 2 * edge..5 * edge),
    ] {
        let (ours, theirs) = (keys(ours), keys(theirs));
        for malicious in [false, true] {
            let sizes = Sizes {
                receiver: ours.len(),
                sender: theirs.len(),
                malicious,
                buckets: 1,
            };
            assert_eq!(intersect(sizes, &ours, &theirs, 5), plain(&ours, &theirs));
        }
    }
}

#[test]
fn padded_sets_have_no_other_intersection() {
    let (ours, theirs) = (keys(0..100), keys(50..170));
    let sizes = Sizes {
        receiver: 1000,
        sender: 700,
        malicious: false,
        buckets: 1,
    };
    assert_eq!(intersect(sizes, &ours, &theirs, 6), plain(&ours, &theirs));
    assert!(intersect(sizes, &[], &theirs, 7).is_empty());
    assert!(intersect(sizes, &ours, &[], 8).is_empty());
}

/// Without Δ in it the answer would be a function of the request and the sender's keys, open to a dictionary.
#[test]
fn the_answer_changes_when_delta_alone_changes() {
    let theirs = keys(0..10);
    let sizes = Sizes {
        receiver: 10,
        sender: 10,
        malicious: false,
        buckets: 1,
    };
    let (a, c, delta, b) = dealt(sizes.encoding().unwrap().length(), 9);
    let (_, request) = receiver(sizes, &keys(5..15), 1, &a, &c);
    let first = answer(sizes, &theirs, delta, b.clone(), &request, None).unwrap();
    let second = answer(sizes, &theirs, delta ^ 1, b, &request, None).unwrap();
    let width = sizes.value_bytes();
    assert!(
        first
            .chunks(width)
            .zip(second.chunks(width))
            .all(|(a, b)| a != b)
    );
}

#[test]
fn messages_of_another_length_are_malformed() {
    let ours = keys(0..10);
    let sizes = Sizes {
        receiver: 10,
        sender: 10,
        malicious: false,
        buckets: 1,
    };
    let (a, c, delta, b) = dealt(sizes.encoding().unwrap().length(), 9);
    let (_, request) = receiver(sizes, &ours, 1, &a, &c);
    let longer = [&request[..], &[0]].concat();
    for wrong in [&longer, &request[1..], &[]] {
        let refused = answer(sizes, &ours, delta, b.clone(), wrong, None);
        assert_eq!(refused, Err(Error::Malformed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]
    #[test]
    fn any_two_sets_meet_in_their_intersection(start in 0u64..50, ours in 1u64..200, theirs in 1u64..200, seed: Block) {
        let (ours, theirs) = (keys(0..ours), keys(start..start + theirs));
        let sizes = Sizes { receiver: ours.len() + 5, sender: theirs.len(), malicious: seed & 1 == 1, buckets: 1 };
        prop_assert_eq!(intersect(sizes, &ours, &theirs, seed), plain(&ours, &theirs));
    }
}

fn run(
    sizes: Sizes,
    ours: &[Block],
    theirs: &[Block],
    tamper: impl Fn(usize, &mut Vec<u8>),
) -> Result<Vec<u8>> {
    let session = [7; 32];
    let mut receiver = session::Receiver::new(sizes, session, &[1; 32])?;
    let (mut sender, mut message) = session::Sender::start(sizes, session, &[2; 32])?;
    let mut step = 0;
    loop {
        tamper(step, &mut message);
        assert!(step < 20);
        if receiver.wants_keys() {
            receiver.take_keys(ours)?;
        }
        let reply = replied(&mut receiver, &message)?;
        if let Some(own) = receiver.take_values() {
            let answer = &message[..sizes.answer_bytes()];
            return Ok(matches(&own, answer, sizes.value_bytes()));
        }
        receiver.catch_up()?;
        if sender.wants_keys() {
            sender.take_keys(theirs.to_vec())?;
        }
        message = sender.advance(&reply)?;
        step += 1;
    }
}

#[test]
fn a_session_ends_with_the_intersection_against_either_peer() {
    let (ours, theirs) = (keys(0..3000), keys(1000..5000));
    for (ours, malicious) in [(&ours[..], false), (&ours, true), (&ours[..10], false)] {
        let sizes = Sizes {
            receiver: ours.len() + 100,
            sender: 4000,
            malicious,
            buckets: 1,
        };
        let found = run(sizes, ours, &theirs, |_, _| {}).unwrap();
        assert_eq!(those(ours, &found), plain(ours, &theirs));
    }
}

/// Whatever the sender alters in its proof, its commitment's opening or a length, the receiver ends without a result.
#[test]
fn an_altered_message_of_a_malicious_sender_ends_the_session() {
    let (ours, theirs) = (keys(0..300), keys(100..500));
    let sizes = Sizes {
        receiver: 300,
        sender: 400,
        malicious: true,
        buckets: 1,
    };
    let last = |message: &mut Vec<u8>| *message.last_mut().unwrap() ^= 1;
    for altered in 1..4 {
        let outcome = run(sizes, &ours, &theirs, |step, message| {
            if step == altered {
                last(message);
            }
        });
        assert_eq!(outcome, Err(Error::Inconsistent), "step {altered}");
    }
    for shortened in 0..4 {
        let outcome = run(sizes, &ours, &theirs, |step, message| {
            if step == shortened {
                message.pop();
            }
        });
        assert_eq!(outcome, Err(Error::Malformed), "step {shortened}");
    }
}

/// A session without its keys goes no further than its VOLE, and not on with an error's state either.
#[test]
fn keys_that_are_missing_end_nothing_and_let_nothing_out() {
    let sizes = Sizes {
        receiver: 10,
        sender: 10,
        malicious: false,
        buckets: 1,
    };
    let mut receiver = session::Receiver::new(sizes, [7; 32], &[1; 32]).unwrap();
    let (mut sender, offer) = session::Sender::start(sizes, [7; 32], &[2; 32]).unwrap();
    let answer = sender
        .advance(&replied(&mut receiver, &offer).unwrap())
        .unwrap();
    assert!(receiver.wants_keys());
    assert!(matches!(
        replied(&mut receiver, &answer),
        Err(Error::Parameters(_))
    ));
    receiver.take_keys(&keys(0..10)).unwrap();
    assert!(replied(&mut receiver, &answer).is_ok());
}

#[test]
fn no_message_is_taken_before_the_reply_to_the_last_is_all_said() {
    let sizes = Sizes {
        receiver: 10,
        sender: 10,
        malicious: false,
        buckets: 1,
    };
    let (mut receiver, _, answer) = up_to_keys(sizes);
    receiver.take_keys(&keys(0..10)).unwrap();
    receiver.take(&answer).unwrap();
    let values = vec![0; sizes.answer_bytes()];
    for all_said in [false, true] {
        assert!(matches!(receiver.take(&values), Err(Error::Parameters(_))));
        assert_eq!(receiver.next_part().unwrap().is_none(), all_said);
    }
    receiver.take(&values).unwrap();
    assert!(matches!(receiver.awaits(), Err(Error::Parameters(_))));
}

/// Both parties with everything said that no key touches, and the sender's last word of it.
fn up_to_keys(sizes: Sizes) -> (session::Receiver, session::Sender, Vec<u8>) {
    let mut receiver = session::Receiver::new(sizes, [7; 32], &[1; 32]).unwrap();
    let (mut sender, mut message) = session::Sender::start(sizes, [7; 32], &[2; 32]).unwrap();
    while !receiver.wants_keys() {
        let reply = replied(&mut receiver, &message).unwrap();
        message = sender.advance(&reply).unwrap();
    }
    (receiver, sender, message)
}

/// Without keys all of an encoding is zero, so that what leaves are the masks: none is missing, none occurs twice.
#[test]
fn every_block_of_an_encoding_leaves_under_a_mask_of_its_own() {
    // A VOLE without chunks, of one, and of two, the last with the outputs that would be the next one's noise.
    for (receiver, parts) in [(3, 1), (900, 1), (160_000, 2)] {
        for malicious in [false, true] {
            let sizes = Sizes {
                receiver,
                sender: 2,
                malicious,
                buckets: 1,
            };
            let (mut party, _, message) = up_to_keys(sizes);
            party.take_keys(&[]).unwrap();
            party.take(&message).unwrap();
            let (mut blocks, mut said) = (Vec::new(), 0);
            while let Some(part) = party.next_part().unwrap() {
                blocks.extend_from_slice(&block::from_bytes(&part, part.len() / 16).unwrap());
                said += 1;
            }
            assert_eq!(said, if malicious { 1 } else { parts });
            let length = sizes.request_bytes().unwrap() / 16 + usize::from(malicious);
            assert_eq!(blocks.len(), length);
            let distinct: std::collections::HashSet<_> = blocks.into_iter().collect();
            assert!(distinct.len() == length && !distinct.contains(&0));
        }
    }
}

#[test]
fn a_piece_of_no_whole_blocks_or_of_too_many_ends_the_senders_session() {
    let sizes = Sizes {
        receiver: 10,
        sender: 10,
        malicious: false,
        buckets: 1,
    };
    let (mut receiver, mut sender, message) = up_to_keys(sizes);
    let unasked = sender.absorb(&[]);
    assert!(matches!(unasked, Err(Error::Parameters(_))));
    receiver.take_keys(&keys(0..10)).unwrap();
    let mut masked = replied(&mut receiver, &message).unwrap();
    let whole = masked.len();
    masked.extend([0; 16]);
    for (before, piece) in [
        (0, 1),
        (0, 17),
        (16, 15),
        (32, 24),
        (0, whole + 16),
        (whole, 16),
    ] {
        let (_, mut sender, _) = up_to_keys(sizes);
        sender.take_keys(keys(5..15)).unwrap();
        sender.absorb(&masked[..before]).unwrap();
        assert_eq!(
            sender.absorb(&masked[before..][..piece]),
            Err(Error::Malformed)
        );
        assert_eq!(sender.awaits(), Ok(None));
        assert!(sender.absorb(&masked[..16]).is_err());
        assert_eq!(sender.advance(&[]), Err(Error::Malformed));
    }
}

#[test]
fn digests_tell_every_parameter_apart() {
    let sizes = |receiver, sender, malicious, buckets| Sizes {
        receiver,
        sender,
        malicious,
        buckets,
    };
    let all = [
        sizes(100, 100, false, 1),
        sizes(100, 100, true, 1),
        sizes(101, 100, false, 1),
        sizes(100, 101, false, 1),
        sizes(100, 100, false, 2),
        sizes(1 << 20, 100, false, 1),
    ];
    let digests: BTreeSet<_> = all.iter().map(|each| each.digest().unwrap()).collect();
    assert_eq!(digests.len(), all.len());
    assert_eq!(all[0].digest(), sizes(100, 100, false, 1).digest());
}

/// Exactly, for two buckets: P[more than `most` of `keys` fall on one side] · 2 is at most 2^-41, and one less is not enough.
#[test]
fn a_bucket_is_padded_to_the_least_bound_that_holds() {
    for keys in [1usize, 10, 100, 1000] {
        let most = bucket_keys(keys, 2).unwrap();
        let tail = |least: usize| {
            let mut term = 0.5f64.powi(keys as i32);
            let mut terms = vec![term];
            for load in 1..=keys {
                term *= (keys + 1 - load) as f64 / load as f64;
                terms.push(term);
            }
            2.0 * terms[least.min(keys + 1)..].iter().rev().sum::<f64>()
        };
        let allowed = 0.5f64.powi(41);
        assert!(tail(most + 1) <= allowed, "{keys}");
        assert!(tail(most) > allowed, "{keys}");
    }
    assert_eq!(bucket_keys(1000, 1), Ok(1000));
    let largest = bucket_keys(1 << 26, 16).unwrap();
    assert!(
        largest > 1 << 22 && largest < (1 << 22) + (1 << 22) / 250,
        "{largest}"
    );
}
