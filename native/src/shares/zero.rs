//! Shares of zero between two parties (JOIN.md, `blind`, step 5): the same words, added by one and subtracted by the other.

/// Which of a pair a party is: the one that comes first in the roster adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Plus,
    Minus,
}

/// One value for each output, BLAKE3 in keyed, extended mode over a context: the job, the attempt, the statistic.
/// `key` is the pair's own, which the coordinator never holds; a context is used once under it.
pub fn zero_share(key: &[u8; 32], context: &[u8], outputs: usize, sign: Sign) -> Vec<u64> {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"fedsandbox zero sharing v1 ");
    hasher.update(context);
    let mut words = vec![0u64; outputs];
    hasher
        .finalize_xof()
        .fill(bytemuck::must_cast_slice_mut(&mut words));
    if sign == Sign::Minus {
        for word in &mut words {
            *word = word.wrapping_neg();
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_shares_add_to_zero_and_contexts_share_nothing() {
        let plus = zero_share(&[1; 32], b"a", 100, Sign::Plus);
        let minus = zero_share(&[1; 32], b"a", 100, Sign::Minus);
        assert!(
            plus.iter()
                .zip(&minus)
                .all(|(a, b)| a.wrapping_add(*b) == 0)
        );
        let other = zero_share(&[1; 32], b"b", 100, Sign::Plus);
        assert!(plus.iter().zip(&other).all(|(a, b)| a != b));
    }
}
