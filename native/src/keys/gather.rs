//! Rows in another order: columns and tags by a permutation.

use rayon::prelude::*;

use crate::block::{self, Block};
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

/// The last `width` bytes, 1 to 16, of `tags[order[i]]` for each i: of a pseudorandom tag as much as a join needs.
pub fn shortened(parts: &[&[[u8; 16]]], width: usize, order: &[[u8; 4]]) -> Result<Vec<u8>> {
    let mut out = vec![0; width * order.len()];
    out.par_chunks_mut(width * TASK)
        .zip(order.par_chunks(TASK))
        .try_for_each(|(out, order)| {
            for (out, index) in out.chunks_exact_mut(width).zip(order) {
                let index = u32::from_le_bytes(*index) as usize;
                let tag = element(parts, index).ok_or(OUTSIDE)?;
                out.copy_from_slice(&tag[tag.len() - width..]);
            }
            Ok(())
        })?;
    Ok(out)
}

/// Tags that `shortened` made, as long as before; zeros stand for what was left out.
pub fn lengthened(tags: &[u8], width: usize) -> Vec<Block> {
    tags.par_chunks_exact(width)
        .with_min_len(TASK)
        .map(|short| {
            let mut tag = [0; block::BYTES];
            tag[block::BYTES - width..].copy_from_slice(short);
            Block::from_le_bytes(tag)
        })
        .collect()
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
    fn a_shortened_tag_keeps_its_last_bytes() {
        let tags: Vec<[u8; 16]> = (0..3u8)
            .map(|n| std::array::from_fn(|i| 16 * n + i as u8))
            .collect();
        let order = [2u32, 0].map(u32::to_le_bytes);
        let short = shortened(&[&tags[..1], &tags[1..]], 3, &order).unwrap();
        assert_eq!(short, [45, 46, 47, 13, 14, 15]);
        let long = lengthened(&short, 3).into_iter().map(Block::to_le_bytes);
        let zeros = [0; 13];
        let expected = [[45, 46, 47], [13, 14, 15]].map(|kept| [&zeros[..], &kept].concat());
        assert!(long.eq(expected.map(|tag| <[u8; 16]>::try_from(tag).unwrap())));
        assert_eq!(shortened(&[&tags], 3, &[3u32.to_le_bytes()]), Err(OUTSIDE));
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
