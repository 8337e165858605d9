//! Encoded keys to 128 bits by keyed BLAKE3: many short keys at once, each a block of the message of its own.

use blake3::IncrementCounter;
use blake3::platform::{Platform, words_from_le_bytes_32};
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use super::encoding::{BLOCK, Column, Keys};
use crate::block::{self, Block};
use crate::error::{Error, Result};

/// Flags of a message that is one block (BLAKE3 paper, §2.1): first and last of its chunk, root, keyed.
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 2;
const ROOT: u8 = 8;
const KEYED_HASH: u8 = 16;

/// Rows a thread takes at a time.
const TASK: usize = 64 * Keys::ROWS;

/// Hashes of rows, and 1 for each row that has a key, 0 for each that has a NULL in it (its hash is 0).
pub struct Hashed {
    pub hashes: Vec<Block>,
    pub present: Vec<u8>,
}

/// The first 128 bits of BLAKE3, keyed, of each row's encoded key; the rows come in chunks.
pub fn hash(chunks: &[Vec<Column<'_>>], key: &[u8; 32]) -> Result<Hashed> {
    let mut rows = 0;
    for columns in chunks {
        let height = columns.first().map(Column::rows);
        if height.is_none() || columns.iter().any(|column| Some(column.rows()) != height) {
            return Err(Error::Parameters(
                "a join key has columns, all of one length",
            ));
        }
        rows += height.unwrap_or(0);
    }
    let mut hashes = vec![0; rows];
    let mut present = vec![1; rows];
    let (mut hashes_left, mut present_left) = (&mut hashes[..], &mut present[..]);
    for columns in chunks {
        let height = columns[0].rows();
        let (hashes, present);
        (hashes, hashes_left) = hashes_left.split_at_mut(height);
        (present, present_left) = present_left.split_at_mut(height);
        hash_chunk(columns, key, hashes, present)?;
    }
    Ok(Hashed { hashes, present })
}

fn hash_chunk(
    columns: &[Column<'_>],
    key: &[u8; 32],
    hashes: &mut [Block],
    present: &mut [u8],
) -> Result<()> {
    hashes
        .par_chunks_mut(TASK)
        .zip(present.par_chunks_mut(TASK))
        .enumerate()
        .try_for_each(|(task, (hashes, present))| {
            hash_rows(columns, key, task * TASK, hashes, present)
        })
}

fn hash_rows(
    columns: &[Column<'_>],
    key: &[u8; 32],
    first: usize,
    hashes: &mut [Block],
    present: &mut [u8],
) -> Result<()> {
    let blocks = BlockHash::new(key);
    let mut keys = Keys::new();
    let parts = hashes
        .chunks_mut(Keys::ROWS)
        .zip(present.chunks_mut(Keys::ROWS));
    for (part, (hashes, present)) in parts.enumerate() {
        let first = first + part * Keys::ROWS;
        keys.clear(hashes.len());
        for column in columns {
            column.mask(first, present);
            column.append(first, &mut keys)?;
        }
        blocks.hash(&keys, hashes);
        for (i, (hash, present)) in hashes.iter_mut().zip(present.iter()).enumerate() {
            if *present == 0 {
                *hash = 0;
            } else if keys.is_long(i) {
                *hash = hash_long(columns, key, first + i)?;
            }
        }
    }
    keys.blocks.as_flattened_mut().zeroize();
    Ok(())
}

/// A key of several blocks, by the library's ordinary way.
fn hash_long(columns: &[Column<'_>], key: &[u8; 32], row: usize) -> Result<Block> {
    let mut message = Zeroizing::new(Vec::new());
    for column in columns {
        column.append_row(row, &mut message)?;
    }
    let filled = message.len().next_multiple_of(BLOCK);
    message.resize(filled, 0);
    Ok(first_128_bits(blake3::keyed_hash(key, &message).as_bytes()))
}

/// BLAKE3 of messages of exactly one block. `hash_many` is the library's own SIMD over equal-length inputs; it is public but
/// promised to nobody, so the lock file pins the library and a test holds it against the ordinary way.
struct BlockHash {
    platform: Platform,
    key: Zeroizing<[u32; 8]>,
}

impl BlockHash {
    fn new(key: &[u8; 32]) -> Self {
        Self {
            platform: Platform::detect(),
            key: Zeroizing::new(words_from_le_bytes_32(key)),
        }
    }

    fn hash(&self, keys: &Keys, hashes: &mut [Block]) {
        let messages: [&[u8; BLOCK]; Keys::ROWS] = std::array::from_fn(|i| &keys.blocks[i]);
        let mut out = [[0; 32]; Keys::ROWS];
        self.platform.hash_many(
            &messages[..hashes.len()],
            &self.key,
            0,
            IncrementCounter::No,
            KEYED_HASH | ROOT,
            CHUNK_START,
            CHUNK_END,
            out.as_flattened_mut(),
        );
        for (hash, out) in hashes.iter_mut().zip(&out) {
            *hash = first_128_bits(out);
        }
    }
}

fn first_128_bits(hash: &[u8; 32]) -> Block {
    let mut bytes = [0; block::BYTES];
    bytes.copy_from_slice(&hash[..block::BYTES]);
    Block::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::encoding::{Slice, Text};
    use super::*;
    use proptest::prelude::*;

    const KEY: &[u8; 32] = b"whats the Elvish word for friend";

    /// The independent way: every row encoded alone and hashed by the library's ordinary function.
    fn one_by_one(columns: &[Column<'_>]) -> Vec<Block> {
        (0..columns[0].rows())
            .map(|row| hash_long(columns, KEY, row).unwrap())
            .collect()
    }

    fn offsets<T: AsRef<[u8]>>(values: &[T]) -> (Vec<u8>, Vec<u8>) {
        let mut end = 0u32;
        let mut offsets = end.to_le_bytes().to_vec();
        for value in values {
            end += value.as_ref().len() as u32;
            offsets.extend_from_slice(&end.to_le_bytes());
        }
        let data = values.iter().flat_map(|v| v.as_ref().to_vec()).collect();
        (offsets, data)
    }

    proptest! {
        #[test]
        fn many_at_once_are_hashed_as_one_by_one(
            rows in prop::collection::vec((any::<i64>(), prop::collection::vec(any::<u8>(), 0..90)), 0..200),
        ) {
            let ints: Vec<u8> = rows.iter().flat_map(|row| row.0.to_le_bytes()).collect();
            let texts: Vec<&Vec<u8>> = rows.iter().map(|row| &row.1).collect();
            let (offsets, data) = offsets(&texts);
            let all = Slice { offset: 0, length: rows.len() };
            let chunk = || vec![
                Column::int64(&ints, None, all).unwrap(),
                Column::text(Text::Binary, &offsets, &data, None, all).unwrap(),
            ];
            let expected = one_by_one(&chunk());
            let hashed = hash(&[chunk(), chunk()], KEY).unwrap();
            prop_assert_eq!(hashed.hashes, [expected.clone(), expected].concat());
            prop_assert!(hashed.present.iter().all(|&flag| flag == 1));
        }
    }

    #[test]
    fn a_slice_is_hashed_as_its_rows_and_nulls_have_no_key() {
        let ints: Vec<u8> = (0..100i64).flat_map(i64::to_le_bytes).collect();
        let validity: Vec<u8> = (0..13)
            .map(|byte| 0b0101_1011u8.rotate_left(byte))
            .collect();
        let all = Slice {
            offset: 0,
            length: 100,
        };
        let whole = hash(
            &[vec![Column::int64(&ints, Some(&validity), all).unwrap()]],
            KEY,
        )
        .unwrap();
        let cut = Slice {
            offset: 13,
            length: 70,
        };
        let part = hash(
            &[vec![Column::int64(&ints, Some(&validity), cut).unwrap()]],
            KEY,
        )
        .unwrap();
        assert_eq!(part.hashes, whole.hashes[13..83]);
        assert_eq!(part.present, whole.present[13..83]);
        assert_eq!(whole.present.iter().filter(|&&flag| flag == 0).count(), 38);
        assert!(
            whole
                .hashes
                .iter()
                .zip(&whole.present)
                .all(|(h, p)| (*h == 0) == (*p == 0))
        );
    }

    #[test]
    fn columns_of_two_lengths_are_refused() {
        let one = Slice {
            offset: 0,
            length: 1,
        };
        let two = Slice {
            offset: 0,
            length: 2,
        };
        let ints = [0; 16];
        let columns = vec![
            Column::int64(&ints, None, one).unwrap(),
            Column::int64(&ints, None, two).unwrap(),
        ];
        assert!(hash(&[columns], KEY).is_err());
        assert!(hash(&[vec![]], KEY).is_err());
    }
}
