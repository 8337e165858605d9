//! Claims about both sides of the extension.

use super::*;
use proptest::prelude::*;

const SESSION: Session = [8; 32];
const DELTA: Block = 0x1f2e_3d4c_5b6a_7988_0123_4567_89ab_cdef;

fn keys(seed: Block) -> (Vec<[Block; 2]>, Vec<Block>) {
    let mut prg = Prg::new(seed);
    let pairs: Vec<[Block; 2]> = (0..COUNT).map(|_| [prg.block(), prg.block()]).collect();
    let chosen = pairs
        .iter()
        .enumerate()
        .map(|(i, pair)| pair[(DELTA >> i) as usize & 1]);
    let chosen = chosen.collect();
    (pairs, chosen)
}

fn choices(tiles: usize) -> Vec<Block> {
    let mut choices = vec![0; tiles];
    Prg::new(99).fill(&mut choices);
    choices
}

#[test]
fn every_row_is_correlated() {
    for (tiles, malicious) in [
        (1, false),
        (64, false),
        (65, true),
        (200, true),
        (130, false),
    ] {
        let (pairs, chosen) = keys(1);
        let choices = choices(tiles);
        let (t, message) = choose(&SESSION, &pairs, &choices, malicious, &mut Prg::new(2));
        assert_eq!(message.len(), message_bytes(tiles, malicious));
        let q = correlate(&SESSION, DELTA, &chosen, tiles, malicious, &message).unwrap();
        assert_eq!((t.len(), q.len()), (TILE * tiles, TILE * tiles));
        for i in 0..t.len() {
            assert_eq!(
                q[i],
                t[i] ^ (mask(choices[i / TILE], i % TILE) & DELTA),
                "OT {i}"
            );
        }
    }
}

#[test]
fn a_receiver_whose_choices_differ_between_groups_is_caught() {
    let (pairs, chosen) = keys(3);
    let (_, message) = choose(&SESSION, &pairs, &choices(3), true, &mut Prg::new(4));
    let (trees, digests, ..) = layout(3, true);
    for at in [
        0,
        trees,
        trees + digests,
        message.len() - 1,
        message.len() - 2000,
    ] {
        let mut message = message.clone();
        // A flip in a tree or a correction may hit what Δ hides; some bit of a block of either side does not.
        message[at..at + 1]
            .iter_mut()
            .for_each(|byte| *byte ^= 0xff);
        message[at.saturating_sub(16)] ^= 1;
        let outcome = correlate(&SESSION, DELTA, &chosen, 3, true, &message);
        assert_eq!(outcome.err(), Some(Error::Inconsistent), "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_bytes_are_answered_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..20_000), malicious: bool, tiles in 1usize..20) {
        let (_, chosen) = keys(5);
        let _ = correlate(&SESSION, DELTA, &chosen, tiles, malicious, &bytes);
        let mut fitting = bytes;
        fitting.resize(message_bytes(tiles, malicious), 7);
        let _ = correlate(&SESSION, DELTA, &chosen, tiles, malicious, &fitting);
    }
}
