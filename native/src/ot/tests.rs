//! Trees, hashes and transfers as an independent slow model has them: tests/vectors/native/ot.py.

use serde_json::Value;

use super::ggm::{Generator, depth};
use super::{PairHash, Session, base, softspoken};
use crate::block::Block;
use crate::prg::Prg;
use crate::vectors::{block, blocks, bytes, count, is_digest, is_digest_of, parse};

fn vectors() -> (Value, Session, Block) {
    let vectors = parse(include_str!("../../../tests/vectors/native/ot.json"));
    let session = bytes(&vectors["session"]).try_into().expect("32 bytes");
    let delta = block(&vectors["delta"]);
    (vectors, session, delta)
}

#[test]
fn trees_are_the_models_whole_and_punctured() {
    let (vectors, session, _) = vectors();
    let generator = Generator::new(&session, "test");
    for tree in vectors["trees"].as_array().unwrap() {
        let size = count(&tree["leaves"]);
        let (mut leaves, mut sums) = (vec![0; size], vec![[0; 2]; depth(size)]);
        generator.expand(77, &mut leaves, &mut sums);
        assert!(is_digest_of(&tree["whole"], &leaves), "{size}");
        for (sums, expected) in sums.iter().zip(tree["sums"].as_array().unwrap()) {
            assert_eq!(sums.to_vec(), blocks(expected));
        }
        let known = blocks(&tree["known"]);
        generator.puncture(count(&tree["position"]), &known, &mut leaves);
        assert!(is_digest_of(&tree["punctured"], &leaves), "{size}");
    }
}

#[test]
fn pairs_are_hashed_as_the_model_has_them() {
    let (vectors, session, _) = vectors();
    let pairs = &vectors["pair_hash"];
    let mut hashed = blocks(&pairs["in"]);
    PairHash::new(&session).hash(&mut hashed, count(&pairs["first"]) as u128);
    assert_eq!(hashed, blocks(&pairs["out"]));
}

#[test]
fn base_transfers_are_the_models_byte_for_byte() {
    let (vectors, session, delta) = vectors();
    let expected = &vectors["base"];
    let (chooser, offer) = base::Chooser::start(&session, delta, &mut Prg::new(1));
    assert!(is_digest(&expected["offer"], &offer));
    let (pairs, reply) = base::send(&session, &offer, &mut Prg::new(2)).unwrap();
    assert_eq!(reply, bytes(&expected["reply"]));
    assert!(is_digest_of(&expected["pairs"], pairs.as_flattened()));
    assert_eq!(
        chooser.finish(&reply).unwrap()[..2],
        blocks(&expected["chosen"])
    );
}

#[test]
fn the_extension_is_the_models_byte_for_byte() {
    let (vectors, session, delta) = vectors();
    let mut prg = Prg::new(5);
    let keys: Vec<[Block; 2]> = (0..base::COUNT)
        .map(|_| [prg.block(), prg.block()])
        .collect();
    let chosen = |(i, pair): (usize, &[Block; 2])| pair[(delta >> i) as usize & 1];
    let chosen: Vec<Block> = keys.iter().enumerate().map(chosen).collect();
    for case in vectors["extension"].as_array().unwrap() {
        let tiles = count(&case["tiles"]);
        let malicious = case["malicious"].as_bool().unwrap();
        let mut choices = vec![0; tiles];
        Prg::new(99).fill(&mut choices);
        let (t, message) =
            softspoken::choose(&session, &keys, &choices, malicious, &mut Prg::new(2));
        assert!(is_digest(&case["message"], &message), "{tiles} tiles");
        assert!(is_digest_of(&case["t"], &t));
        let q = softspoken::correlate(&session, delta, &chosen, tiles, malicious, &message);
        assert!(is_digest_of(&case["q"], &q.unwrap()));
    }
}
