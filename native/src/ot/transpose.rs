//! Transposing bit matrices of 128 × 128 (Warren, Hacker's Delight §7.3), in time that does not depend on the bits.

use crate::block::Block;

/// Bit j of row i becomes bit i of row j.
pub fn transpose(rows: &mut [Block; 128]) {
    let mut width = 64;
    let mut mask = u128::MAX >> 64;
    while width > 0 {
        for start in (0..128).step_by(2 * width) {
            for i in start..start + width {
                let swap = ((rows[i] >> width) ^ rows[i + width]) & mask;
                rows[i] ^= swap << width;
                rows[i + width] ^= swap;
            }
        }
        width /= 2;
        mask ^= mask << width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prg::Prg;

    #[test]
    fn every_bit_finds_its_place() {
        let mut rows = [0; 128];
        Prg::new(3).fill(&mut rows);
        let before = rows;
        transpose(&mut rows);
        for (i, row) in before.iter().enumerate() {
            for (j, column) in rows.iter().enumerate() {
                assert_eq!((row >> j) & 1, (column >> i) & 1);
            }
        }
    }
}
