//! GF(2^128) with the polynomial x^128 + x^7 + x^2 + x + 1, coefficients in natural bit order.

use crate::block::Block;

/// x^128 modulo the polynomial.
const REDUCTION: u128 = 0x87;

/// The product of two elements, in time that depends on neither.
pub fn mul(a: Block, b: Block) -> Block {
    let mut product = 0;
    let mut power = a;
    for bit in 0..128 {
        product ^= power & 0u128.wrapping_sub((b >> bit) & 1);
        power = (power << 1) ^ (REDUCTION & 0u128.wrapping_sub(power >> 127));
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn x_to_the_128_reduces_by_the_polynomial() {
        assert_eq!(mul(1 << 127, 2), REDUCTION);
    }

    proptest! {
        #[test]
        fn multiplication_is_a_commutative_ring(a: u128, b: u128, c: u128) {
            prop_assert_eq!(mul(a, b), mul(b, a));
            prop_assert_eq!(mul(a, mul(b, c)), mul(mul(a, b), c));
            prop_assert_eq!(mul(a, b ^ c), mul(a, b) ^ mul(a, c));
            prop_assert_eq!(mul(a, 1), a);
        }
    }
}
