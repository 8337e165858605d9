//! The check against a malicious S: one more entry of VOLE is given up to compare a random combination of all others
//! (Weng et al. 2021, Wolverine, §4.2; Rindal–Raghuraman 2022 use the same).
//!
//! R draws X after S is bound to its answer and sends it with a_x + ΣX^i·A_i, which a_x hides. S returns a hash of what C must then add up
//! to. Wrong shares pass with probability m/2^128, unless S guessed noise positions right: that much Wolverine's functionality concedes.

use crate::block::Block;
use crate::field;
use crate::ot::Session;

pub const PROOF: usize = blake3::OUT_LEN;
const BATCH: usize = 1024;

/// Σ X^(i+1)·values[i].
pub fn combine(point: Block, values: &[Block]) -> Block {
    let powers = std::iter::successors(Some(point), |power| Some(field::mul(*power, point)));
    let powers: Vec<Block> = powers.take(BATCH).collect();
    let batches = values.chunks(BATCH).rev();
    batches.fold(0, |sum, batch| {
        field::mul(sum, powers[BATCH - 1]) ^ field::inner(&powers[..batch.len()], batch)
    })
}

/// What S sends for the value that both must hold.
pub fn proof(session: &Session, value: Block) -> [u8; PROOF] {
    *blake3::Hasher::new_keyed(session)
        .update(b"fedsandbox vole check v1")
        .update(&value.to_le_bytes())
        .finalize()
        .as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prg::Prg;

    #[test]
    fn batches_add_up_to_the_polynomial() {
        for length in [0, 1, BATCH, 2 * BATCH + 3] {
            let mut values = vec![0; length];
            Prg::new(1).fill(&mut values);
            let plain = values
                .iter()
                .rev()
                .fold(0, |sum, value| field::mul(sum ^ value, 5));
            assert_eq!(combine(5, &values), plain);
        }
    }
}
