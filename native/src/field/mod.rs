//! GF(2^128) with the polynomial x^128 + x^7 + x^2 + x + 1, coefficients in natural bit order.
//!
//! The field of GHASH (NIST SP 800-38D §6.3), whose blocks carry the coefficients the other way round. Time depends on
//! lengths alone, on every path.

mod portable;
mod simd;

use crate::block::Block;

/// The product of two elements.
pub fn mul(a: Block, b: Block) -> Block {
    simd::mul(a, b)
}

/// `out[i] += x[i]·delta`. Both slices are of one length.
pub fn axpy(out: &mut [Block], x: &[Block], delta: Block) {
    assert_eq!(out.len(), x.len());
    simd::axpy(out, x, delta);
}

/// `out[i] = out[i]·by[i] + plus[i]`, one step of Horner's rule at many points. All slices are of one length.
pub fn mul_add(out: &mut [Block], by: &[Block], plus: &[Block]) {
    assert_eq!(out.len(), by.len());
    assert_eq!(out.len(), plus.len());
    simd::mul_add(out, by, plus);
}

/// Σ a[i]·b[i], reduced once. Both slices are of one length.
pub fn inner(a: &[Block], b: &[Block]) -> Block {
    assert_eq!(a.len(), b.len());
    simd::inner(a, b)
}

/// a^-1 = a^(2^128 − 2) by the addition chain of Itoh and Tsujii (1988); 0 for 0.
pub fn inverse(a: Block) -> Block {
    // power = a^(2^bits − 1); each step doubles bits, and 127 = 2^7 − 1 ones are gathered in `ones`.
    let mut power = a;
    let mut ones = square_times(a, 1);
    for bits in [1, 2, 4, 8, 16, 32] {
        power = mul(power, square_times(power, bits));
        ones = mul(ones, square_times(power, 2 * bits));
    }
    ones
}

fn square_times(a: Block, times: u32) -> Block {
    (0..times).fold(a, |square, _| mul(square, square))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The field element of a GCM block: its leftmost bit is the coefficient of x^0.
    fn gcm(block: &str) -> Block {
        u128::from_str_radix(block, 16).unwrap().reverse_bits()
    }

    fn ghash(key: &str, blocks: &[&str]) -> Block {
        let key = gcm(key);
        blocks
            .iter()
            .fold(0, |hash, block| mul(hash ^ gcm(block), key))
    }

    #[test]
    fn x_to_the_128_reduces_by_the_polynomial() {
        assert_eq!(mul(1 << 127, 2), 0x87);
    }

    /// McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B: H, ciphertext and lengths of each case.
    #[test]
    fn ghash_agrees_with_the_published_vectors() {
        let case_2 = [
            "0388dace60b6a392f328c2b971b2fe78",
            "00000000000000000000000000000080",
        ];
        assert_eq!(
            ghash("66e94bd4ef8a2c3b884cfa59ca342b2e", &case_2),
            gcm("f38cbb1ad69223dcc3457ae5b6b0f885")
        );
        let case_3 = [
            "42831ec2217774244b7221b784d0d49c",
            "e3aa212f2c02a4e035c17e2329aca12e",
            "21d514b25466931c7d8f6a5aac84aa05",
            "1ba30b396a0aac973d58e091473f5985",
            "00000000000000000000000000000200",
        ];
        assert_eq!(
            ghash("b83b533708bf535d0aa6e52980d53b78", &case_3),
            gcm("7f1b32b81b820d02614f8895ac1d4eac")
        );
        let case_4 = [
            "feedfacedeadbeeffeedfacedeadbeef",
            "abaddad2000000000000000000000000",
            "42831ec2217774244b7221b784d0d49c",
            "e3aa212f2c02a4e035c17e2329aca12e",
            "21d514b25466931c7d8f6a5aac84aa05",
            "1ba30b396a0aac973d58e09100000000",
            "00000000000000a000000000000001e0",
        ];
        assert_eq!(
            ghash("b83b533708bf535d0aa6e52980d53b78", &case_4),
            gcm("698e57f70e6ecc7fd9463b7260a9ae5f")
        );
    }

    proptest! {
        #[test]
        fn multiplication_is_a_commutative_ring(a: u128, b: u128, c: u128) {
            prop_assert_eq!(mul(a, b), mul(b, a));
            prop_assert_eq!(mul(a, mul(b, c)), mul(mul(a, b), c));
            prop_assert_eq!(mul(a, b ^ c), mul(a, b) ^ mul(a, c));
            prop_assert_eq!(mul(a, 1), a);
        }

        #[test]
        fn an_element_times_its_inverse_is_one(a in 1u128..) {
            prop_assert_eq!(mul(a, inverse(a)), 1);
        }

        #[test]
        fn slices_agree_with_single_products(
            elements in prop::collection::vec(any::<(u128, u128, u128)>(), 0..40), delta: u128,
        ) {
            let a: Vec<_> = elements.iter().map(|e| e.0).collect();
            let b: Vec<_> = elements.iter().map(|e| e.1).collect();
            let c: Vec<_> = elements.iter().map(|e| e.2).collect();
            let mut out = a.clone();
            axpy(&mut out, &b, delta);
            let expected: Vec<_> = elements.iter().map(|e| e.0 ^ mul(e.1, delta)).collect();
            prop_assert_eq!(out, expected);
            let mut out = a.clone();
            mul_add(&mut out, &b, &c);
            let expected: Vec<_> = elements.iter().map(|e| mul(e.0, e.1) ^ e.2).collect();
            prop_assert_eq!(out, expected);
            let expected = elements.iter().fold(0, |sum, e| sum ^ mul(e.0, e.1));
            prop_assert_eq!(inner(&a, &b), expected);
        }
    }

    #[test]
    fn zero_has_no_inverse_and_gives_zero() {
        assert_eq!(inverse(0), 0);
    }

    /// `cargo test --release -- --ignored --nocapture nanoseconds_per_product`
    #[test]
    #[ignore = "a measurement, not a claim"]
    fn nanoseconds_per_product() {
        let delta = std::hint::black_box(!0 / 5);
        let x: Vec<Block> = (1..=4096u128).map(|i| i.wrapping_mul(!0 / 4097)).collect();
        let mut out = x.clone();
        let mut time = |name: &str, kernel: &mut dyn FnMut(&mut [Block])| {
            let best = (0..200).map(|_| {
                let start = std::time::Instant::now();
                kernel(&mut out);
                start.elapsed().as_secs_f64()
            });
            let best = best.fold(f64::INFINITY, f64::min);
            println!("{name}: {:.2} ns", best * 1e9 / 4096.0);
        };
        time("axpy", &mut |out| axpy(out, &x, delta));
        time("mul_add", &mut |out| mul_add(out, &x, &x));
        time("inner", &mut |out| out[0] = inner(out, &x));
        time("mul", &mut |out| {
            out.iter_mut().for_each(|o| *o = mul(*o, x[5]))
        });
        time("axpy, portable", &mut |out| portable::axpy(out, &x, delta));
    }
}
