//! Base OTs and their extension by themselves: thousands of messages where a session makes one.
#![no_main]

use std::sync::OnceLock;

use fedsandbox_fuzz::Input;
use fedsandbox_native::block::Block;
use fedsandbox_native::ot::{base, softspoken};
use fedsandbox_native::prg::Prg;
use libfuzzer_sys::fuzz_target;

const SESSION: [u8; 32] = [8; 32];
const DELTA: Block = 0x1f2e_3d4c_5b6a_7988_0123_4567_89ab_cdef;

/// The strings of honest base OTs, both and the chosen ones.
fn keys() -> &'static (Vec<[Block; 2]>, Vec<Block>) {
    static KEYS: OnceLock<(Vec<[Block; 2]>, Vec<Block>)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut prg = Prg::new(5);
        let pairs: Vec<[Block; 2]> = (0..base::COUNT)
            .map(|_| [prg.block(), prg.block()])
            .collect();
        let chosen = pairs
            .iter()
            .enumerate()
            .map(|(i, pair)| pair[(DELTA >> i) as usize & 1]);
        let chosen = chosen.collect();
        (pairs, chosen)
    })
}

/// What an honest receiver sends for each kind of extension: made once, since that takes longer than reading it.
fn honest(kind: usize) -> &'static [u8] {
    static HONEST: [OnceLock<Vec<u8>>; 32] = [const { OnceLock::new() }; 32];
    HONEST[kind].get_or_init(|| {
        let (tiles, malicious) = extension(kind);
        let choices: Vec<Block> = (0..tiles as Block).collect();
        softspoken::choose(&SESSION, &keys().0, &choices, malicious, &mut Prg::new(3)).1
    })
}

/// Tiles, and whether they are checked.
fn extension(kind: usize) -> (usize, bool) {
    (1 + kind / 2, kind % 2 != 0)
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let choice = input.byte();
    match choice & 7 {
        0 => {
            let (_, offer) = base::Chooser::start(&SESSION, DELTA, &mut Prg::new(1));
            let _ = base::send(&SESSION, &input.message(&offer), &mut Prg::new(2));
        }
        1 => {
            let (chooser, offer) = base::Chooser::start(&SESSION, DELTA, &mut Prg::new(1));
            let (_, reply) = base::send(&SESSION, &offer, &mut Prg::new(2)).unwrap();
            let _ = chooser.finish(&input.message(&reply));
        }
        _ => {
            let kind = usize::from(choice >> 3);
            let ((tiles, malicious), honest) = (extension(kind), honest(kind));
            let message = input.message(honest);
            let chosen = &keys().1;
            let outcome =
                softspoken::correlate(&SESSION, DELTA, chosen, tiles, malicious, &message);
            assert!(message.len() == honest.len() || outcome.is_err());
            assert!(message != honest || outcome.is_ok());
        }
    }
});
