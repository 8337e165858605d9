//! Inner products of columns modulo 2^64: AVX-512 multiplies eight words at once, elsewhere the compiler's ordinary code.

/// sum[i·q + j] += ⟨x_i, y_j⟩ for columns of `height` words, one after the other.
pub fn accumulate(x: &[u64], y: &[u64], height: usize, sum: &mut [u64]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
    {
        // SAFETY: this machine has every feature that `wide` is compiled for.
        return unsafe { wide(x, y, height, sum) };
    }
    body(x, y, height, sum);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
fn wide(x: &[u64], y: &[u64], height: usize, sum: &mut [u64]) {
    body(x, y, height, sum);
}

/// Slots taken at a time, so that a strip of all columns stays in cache.
const STRIP: usize = 256;

#[inline(always)]
fn body(x: &[u64], y: &[u64], height: usize, sum: &mut [u64]) {
    let q = y.len() / height;
    for start in (0..height).step_by(STRIP) {
        let strip = start..height.min(start + STRIP);
        for (x, sum) in x.chunks_exact(height).zip(sum.chunks_exact_mut(q)) {
            let x = &x[strip.clone()];
            for (y, sum) in y.chunks(4 * height).zip(sum.chunks_mut(4)) {
                if sum.len() == 4 {
                    let columns = [0, 1, 2, 3].map(|j| &y[j * height..][strip.clone()]);
                    let four = dots(x, columns);
                    for (sum, dot) in sum.iter_mut().zip(four) {
                        *sum = sum.wrapping_add(dot);
                    }
                } else {
                    for (y, sum) in y.chunks_exact(height).zip(sum) {
                        *sum = sum.wrapping_add(dots(x, [&y[strip.clone()]])[0]);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn dots<const N: usize>(x: &[u64], y: [&[u64]; N]) -> [u64; N] {
    let mut sums = [0u64; N];
    let y = y.map(|column| &column[..x.len()]);
    for (k, &x) in x.iter().enumerate() {
        for (sum, y) in sums.iter_mut().zip(&y) {
            *sum = sum.wrapping_add(x.wrapping_mul(y[k]));
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_path_is_the_schoolbook_product(p in 1usize..7, q in 1usize..11, height in 1usize..600, seed: u64) {
            let word = |i: usize| (seed ^ i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).wrapping_mul(seed | 1);
            let x: Vec<u64> = (0..p * height).map(word).collect();
            let y: Vec<u64> = (0..q * height).map(|i| word(i + 10_000)).collect();
            let mut expected = vec![7u64; p * q];
            for i in 0..p {
                for j in 0..q {
                    for k in 0..height {
                        let product = x[i * height + k].wrapping_mul(y[j * height + k]);
                        expected[i * q + j] = expected[i * q + j].wrapping_add(product);
                    }
                }
            }
            let mut portable = vec![7u64; p * q];
            body(&x, &y, height, &mut portable);
            prop_assert_eq!(&portable, &expected);
            let mut dispatched = vec![7u64; p * q];
            accumulate(&x, &y, height, &mut dispatched);
            prop_assert_eq!(dispatched, expected);
        }
    }
}
