//! Both parties of an intersection from the first message to the last: VOLE, masks, encoding, values.
//!
//! S→R offer, R→S request, S→R answer; against a malicious peer R→S challenge, S→R proof and, with the answer, S's commitment
//! to its half of the mask; then R→S masked encoding (with R's half), S→R values (with S's half and its opening).
//! The length of the message that each state awaits follows from the sizes alone. Keys come late: until `wants_keys`, no
//! message depends on them, so that a party can read its rows while the VOLE runs.

mod receiver;
mod sender;

pub use receiver::{Message, Receiver};
pub use sender::Sender;

use blake3::Hasher;

use super::Sizes;
use crate::block::{self, Block};
use crate::error::Result;
use crate::ot::Session;
use crate::prg::Prg;
use crate::vole::Parameters;

const COMMITMENT: usize = blake3::OUT_LEN;
/// S's half of the mask and the randomness that hides it until then.
const OPENING: usize = 2 * block::BYTES;

fn parameters(sizes: Sizes) -> Result<Parameters> {
    Parameters::new(sizes.encoding()?.length(), sizes.malicious)
}

/// `bytes` where the peer may be malicious.
fn extra(sizes: Sizes, bytes: usize) -> usize {
    if sizes.malicious { bytes } else { 0 }
}

fn commitment(session: &Session, opening: &[u8]) -> [u8; COMMITMENT] {
    *Hasher::new_keyed(session)
        .update(b"fedsandbox psi mask v1")
        .update(opening)
        .finalize()
        .as_bytes()
}

fn first_block(bytes: &[u8]) -> Block {
    let (blocks, _) = bytes.as_chunks();
    Block::from_le_bytes(blocks[0])
}

/// A party's independent seeds, from one secret of 32 bytes.
fn seeds(secret: &[u8; 32]) -> (Block, Prg) {
    let [vole, own] = ["fedsandbox psi vole v1", "fedsandbox psi own v1"]
        .map(|context| first_block(&blake3::derive_key(context, secret)));
    (vole, Prg::new(own))
}
