//! GF(2^128) from integer instructions alone; the path of machines without a carry-less multiply.
//!
//! Carry-less products come from integer ones with holes between the bits, so that carries fall into the holes
//! (Pornin, BearSSL, "Constant-time GHASH"): no table, no branch, no index depends on an operand.

use crate::block::Block;

/// Every fourth bit. Only the last column of the low word can hold 16 ones, one more than fits before the next, and what
/// it carries leaves the word.
const HOLES: u64 = 0x1111_1111_1111_1111;

pub fn mul(a: Block, b: Block) -> Block {
    reduce(wide(a, b, clmul))
}

pub fn axpy(out: &mut [Block], x: &[Block], delta: Block) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out ^= mul(x, delta);
    }
}

pub fn mul_add(out: &mut [Block], by: &[Block], plus: &[Block]) {
    for ((out, &by), &plus) in out.iter_mut().zip(by).zip(plus) {
        *out = mul(*out, by) ^ plus;
    }
}

pub fn inner(a: &[Block], b: &[Block]) -> Block {
    let sum = a.iter().zip(b).fold((0, 0), |(low, high), (&a, &b)| {
        let product = wide(a, b, clmul);
        (low ^ product.0, high ^ product.1)
    });
    reduce(sum)
}

/// The 256 bits of a product before reduction, low half first, by Karatsuba's three products of `clmul`.
#[inline(always)]
pub fn wide(a: Block, b: Block, clmul: impl Fn(u64, u64) -> u128) -> (u128, u128) {
    let (a0, a1) = (a as u64, (a >> 64) as u64);
    let (b0, b1) = (b as u64, (b >> 64) as u64);
    let (low, high) = (clmul(a0, b0), clmul(a1, b1));
    let middle = clmul(a0 ^ a1, b0 ^ b1) ^ low ^ high;
    (low ^ (middle << 64), high ^ (middle >> 64))
}

/// 256 bits modulo the polynomial: x^128 = x^7 + x^2 + x + 1, and once more for the 7 bits that this carries out.
#[inline(always)]
pub fn reduce((low, high): (u128, u128)) -> Block {
    let carried = (high >> 127) ^ (high >> 126) ^ (high >> 121);
    let high = high ^ carried;
    low ^ high ^ (high << 1) ^ (high << 2) ^ (high << 7)
}

/// The carry-less product of two words.
fn clmul(a: u64, b: u64) -> u128 {
    let low = clmul_low(a, b);
    // The product of the reversed words is the reversed product: its low half is our high half.
    let high = clmul_low(a.reverse_bits(), b.reverse_bits()).reverse_bits() >> 1;
    u128::from(low) | (u128::from(high) << 64)
}

/// The low 64 bits of a carry-less product.
fn clmul_low(a: u64, b: u64) -> u64 {
    let a: [u64; 4] = std::array::from_fn(|i| a & (HOLES << i));
    let b: [u64; 4] = std::array::from_fn(|i| b & (HOLES << i));
    (0..4).fold(0, |product, column| {
        let sum = (0..4).fold(0, |sum, i| sum ^ a[i].wrapping_mul(b[(4 + column - i) % 4]));
        product | (sum & (HOLES << column))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, bit by bit.
    fn schoolbook(a: Block, b: Block) -> Block {
        let mut product = 0;
        let mut power = a;
        for bit in 0..128 {
            product ^= if (b >> bit) & 1 == 1 { power } else { 0 };
            power = (power << 1) ^ if power >> 127 == 1 { 0x87 } else { 0 };
        }
        product
    }

    #[test]
    fn full_operands_do_not_overflow_the_holes() {
        for (a, b) in [
            (u128::MAX, u128::MAX),
            (u128::MAX, 1 << 127),
            (1 << 127, 1 << 127),
        ] {
            assert_eq!(mul(a, b), schoolbook(a, b));
        }
    }

    proptest! {
        #[test]
        fn a_product_is_the_schoolbook_one(a: u128, b: u128) {
            prop_assert_eq!(mul(a, b), schoolbook(a, b));
        }
    }
}
