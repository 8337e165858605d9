//! Rows in another order: columns and tags by a permutation.

use rayon::prelude::*;

use crate::error::{Error, Result};

const TASK: usize = 1 << 14;
const OUTSIDE: Error = Error::Parameters("an index lies outside the rows");

/// `values[order[i]]` for each i, the values being those of all parts. `read` makes an element of its bytes.
pub fn gather<const W: usize, T: Copy + Default + Send + Sync>(
    parts: &[&[[u8; W]]],
    order: &[[u8; 4]],
    read: fn([u8; W]) -> T,
) -> Result<Vec<T>> {
    let mut out = vec![T::default(); order.len()];
    out.par_chunks_mut(TASK)
        .zip(order.par_chunks(TASK))
        .try_for_each(|(out, order)| {
            for (out, index) in out.iter_mut().zip(order) {
                let index = u32::from_le_bytes(*index) as usize;
                *out = read(*element(parts, index).ok_or(OUTSIDE)?);
            }
            Ok(())
        })?;
    Ok(out)
}

#[inline(always)]
fn element<'a, const W: usize>(parts: &[&'a [[u8; W]]], mut index: usize) -> Option<&'a [u8; W]> {
    for part in parts {
        if index < part.len() {
            return Some(&part[index]);
        }
        index -= part.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_in_the_order_asked_for() {
        let values = [10u64, 11, 12].map(u64::to_le_bytes);
        let order = [2u32, 0, 0].map(u32::to_le_bytes);
        for parts in [
            vec![&values[..]],
            vec![&values[..1], &[], &values[1..2], &values[2..]],
        ] {
            assert_eq!(
                gather(&parts, &order, u64::from_le_bytes),
                Ok(vec![12, 10, 10])
            );
        }
    }

    #[test]
    fn an_index_outside_is_refused() {
        let order = [1u32.to_le_bytes()];
        assert_eq!(
            gather(&[&[[0; 8]]], &order, u64::from_le_bytes),
            Err(OUTSIDE)
        );
    }
}
