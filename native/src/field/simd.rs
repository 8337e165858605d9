//! GF(2^128) on carry-less multipliers: VPCLMULQDQ four elements at a time, PCLMULQDQ or PMULL one at a time, else
//! the portable path. The machine is asked once (the standard library keeps the answer).

use super::portable;
use crate::block::Block;

/// Calls the widest path that this machine has.
macro_rules! dispatch {
    ($name:ident($($argument:expr),*)) => {{
        #[cfg(target_arch = "x86_64")]
        {
            if wide::available() {
                // SAFETY: available() has found every feature that `wide` is compiled for.
                return unsafe { wide::$name($($argument),*) };
            }
            if single::available() {
                // SAFETY: available() has found every feature that `single` is compiled for.
                return unsafe { single::$name($($argument),*) };
            }
        }
        #[cfg(target_arch = "aarch64")]
        if single::available() {
            // SAFETY: available() has found every feature that `single` is compiled for.
            return unsafe { single::$name($($argument),*) };
        }
        portable::$name($($argument),*)
    }};
}

#[inline]
pub fn mul(a: Block, b: Block) -> Block {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if single::available() {
        // SAFETY: available() has found every feature that `single` is compiled for.
        return unsafe { single::mul(a, b) };
    }
    portable::mul(a, b)
}

pub fn axpy(out: &mut [Block], x: &[Block], delta: Block) {
    dispatch!(axpy(out, x, delta))
}

pub fn mul_add(out: &mut [Block], by: &[Block], plus: &[Block]) {
    dispatch!(mul_add(out, by, plus))
}

pub fn inner(a: &[Block], b: &[Block]) -> Block {
    dispatch!(inner(a, b))
}

/// One element at a time on PCLMULQDQ or PMULL.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod single {
    use super::portable::{reduce, wide};
    use crate::block::Block;

    #[cfg(target_arch = "x86_64")]
    pub fn available() -> bool {
        is_x86_feature_detected!("pclmulqdq")
    }

    #[cfg(target_arch = "aarch64")]
    pub fn available() -> bool {
        std::arch::is_aarch64_feature_detected!("aes")
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "pclmulqdq")]
    fn clmul(a: u64, b: u64) -> u128 {
        use std::arch::x86_64::{_mm_clmulepi64_si128, _mm_set_epi64x};
        let (a, b) = (_mm_set_epi64x(0, a as i64), _mm_set_epi64x(0, b as i64));
        bytemuck::must_cast(_mm_clmulepi64_si128::<0>(a, b))
    }

    #[cfg(target_arch = "aarch64")]
    #[inline]
    #[target_feature(enable = "aes")]
    fn clmul(a: u64, b: u64) -> u128 {
        std::arch::aarch64::vmull_p64(a, b)
    }

    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "pclmulqdq"))]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "aes"))]
    pub fn mul(a: Block, b: Block) -> Block {
        reduce(wide(a, b, |a, b| clmul(a, b)))
    }

    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "pclmulqdq"))]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "aes"))]
    pub fn axpy(out: &mut [Block], x: &[Block], delta: Block) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out ^= reduce(wide(x, delta, |a, b| clmul(a, b)));
        }
    }

    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "pclmulqdq"))]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "aes"))]
    pub fn mul_add(out: &mut [Block], by: &[Block], plus: &[Block]) {
        for ((out, &by), &plus) in out.iter_mut().zip(by).zip(plus) {
            *out = reduce(wide(*out, by, |a, b| clmul(a, b))) ^ plus;
        }
    }

    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "pclmulqdq"))]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "aes"))]
    pub fn inner(a: &[Block], b: &[Block]) -> Block {
        let (mut low, mut high) = (0, 0);
        for (&a, &b) in a.iter().zip(b) {
            let product = wide(a, b, |a, b| clmul(a, b));
            low ^= product.0;
            high ^= product.1;
        }
        reduce((low, high))
    }
}

/// Four elements at a time on VPCLMULQDQ with AVX-512; what is left over goes through `single`.
#[cfg(target_arch = "x86_64")]
mod wide {
    use super::single;
    use crate::block::Block;
    use std::arch::x86_64::*;

    const LANES: usize = 4;

    pub fn available() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("vpclmulqdq")
            && single::available()
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(blocks: &[Block; LANES]) -> __m512i {
        // SAFETY: the array is 64 readable bytes; the load needs no alignment.
        unsafe { _mm512_loadu_si512(blocks.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(blocks: &mut [Block; LANES], value: __m512i) {
        // SAFETY: the array is 64 writable bytes; the store needs no alignment.
        unsafe { _mm512_storeu_si512(blocks.as_mut_ptr().cast(), value) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    fn product(a: __m512i, b: __m512i) -> [__m512i; 3] {
        [
            _mm512_clmulepi64_epi128::<0x00>(a, b),
            _mm512_xor_si512(
                _mm512_clmulepi64_epi128::<0x01>(a, b),
                _mm512_clmulepi64_epi128::<0x10>(a, b),
            ),
            _mm512_clmulepi64_epi128::<0x11>(a, b),
        ]
    }

    /// Two multiplications by x^7 + x^2 + x + 1: first of the top word, then of the word below with what that carried.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
    fn reduce([low, middle, high]: [__m512i; 3]) -> __m512i {
        let polynomial = _mm512_set1_epi64(0x87);
        let low = _mm512_xor_si512(low, _mm512_bslli_epi128::<8>(middle));
        let high = _mm512_xor_si512(high, _mm512_bsrli_epi128::<8>(middle));
        let top = _mm512_clmulepi64_epi128::<0x01>(high, polynomial);
        let low = _mm512_xor_si512(low, _mm512_bslli_epi128::<8>(top));
        let high = _mm512_xor_si512(high, _mm512_bsrli_epi128::<8>(top));
        _mm512_xor_si512(low, _mm512_clmulepi64_epi128::<0x00>(high, polynomial))
    }

    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,pclmulqdq")]
    pub fn axpy(out: &mut [Block], x: &[Block], delta: Block) {
        let factor = load(&[delta; LANES]);
        let (out, out_rest) = out.as_chunks_mut::<LANES>();
        let (x, x_rest) = x.as_chunks::<LANES>();
        for (out, x) in out.iter_mut().zip(x) {
            let term = reduce(product(load(x), factor));
            store(out, _mm512_xor_si512(load(out), term));
        }
        single::axpy(out_rest, x_rest, delta);
    }

    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,pclmulqdq")]
    pub fn mul_add(out: &mut [Block], by: &[Block], plus: &[Block]) {
        let (out, out_rest) = out.as_chunks_mut::<LANES>();
        let (by, by_rest) = by.as_chunks::<LANES>();
        let (plus, plus_rest) = plus.as_chunks::<LANES>();
        for ((out, by), plus) in out.iter_mut().zip(by).zip(plus) {
            let term = reduce(product(load(out), load(by)));
            store(out, _mm512_xor_si512(term, load(plus)));
        }
        single::mul_add(out_rest, by_rest, plus_rest);
    }

    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq,pclmulqdq")]
    pub fn inner(a: &[Block], b: &[Block]) -> Block {
        let (a, a_rest) = a.as_chunks::<LANES>();
        let (b, b_rest) = b.as_chunks::<LANES>();
        let mut sum = [_mm512_setzero_si512(); 3];
        for (a, b) in a.iter().zip(b) {
            let product = product(load(a), load(b));
            for (sum, part) in sum.iter_mut().zip(product) {
                *sum = _mm512_xor_si512(*sum, part);
            }
        }
        let mut lanes = [0; LANES];
        store(&mut lanes, reduce(sum));
        lanes
            .iter()
            .fold(single::inner(a_rest, b_rest), |sum, lane| sum ^ lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Slices = (Vec<Block>, Vec<Block>, Block);

    /// One path's results for all four functions.
    macro_rules! results {
        ($path:ident, $slices:expr) => {{
            let (a, b, delta): &Slices = $slices;
            let (mut sums, mut steps) = (a.clone(), a.clone());
            $path::axpy(&mut sums, b, *delta);
            $path::mul_add(&mut steps, b, a);
            (sums, steps, $path::inner(a, b))
        }};
    }

    fn slices() -> impl Strategy<Value = Slices> {
        (
            prop::collection::vec(any::<(u128, u128)>(), 0..30),
            any::<u128>(),
        )
            .prop_map(|(pairs, delta)| {
                (
                    pairs.iter().map(|p| p.0).collect(),
                    pairs.iter().map(|p| p.1).collect(),
                    delta,
                )
            })
    }

    proptest! {
        #[test]
        fn every_path_of_this_machine_agrees_with_the_portable_one(slices in slices()) {
            let expected = results!(portable, &slices);
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            if single::available() {
                // SAFETY: available() has found every feature that `single` is compiled for.
                prop_assert_eq!(&expected, &unsafe { results!(single, &slices) });
                // SAFETY: the same.
                let product = unsafe { single::mul(slices.2, !slices.2) };
                prop_assert_eq!(product, portable::mul(slices.2, !slices.2));
            }
            #[cfg(target_arch = "x86_64")]
            if wide::available() {
                // SAFETY: available() has found every feature that `wide` is compiled for.
                prop_assert_eq!(&expected, &unsafe { results!(wide, &slices) });
            }
        }
    }
}
