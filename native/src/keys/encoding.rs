//! The canonical encoding of a join key: what two providers must agree on byte for byte.
//!
//! A key is its columns' values in order. A value is a kind (one byte) and then
//! - int64: 8 bytes, two's complement, little-endian;
//! - utf8, binary: the length in bytes (4 bytes, little-endian) and the bytes.
//!
//! The key is filled with zeros to a multiple of 64 bytes, BLAKE3's block. No kind is zero, so a reader knows at each byte
//! what follows and where the key ends: the encoding is injective over all kinds, lengths and numbers of columns.
//! utf8 and large_utf8 are one kind, as their values are equal in SQL. Unicode and other normal forms come before.

use crate::error::{Error, Result};

/// Bytes of a block of BLAKE3, which an encoded key fills up.
pub const BLOCK: usize = 64;

const INT64: u8 = 1;
const UTF8: u8 = 2;
const BINARY: u8 = 3;

/// A column of join keys as Arrow lays it out, cut to the rows in question.
pub struct Column<'a> {
    values: Values<'a>,
    validity: Option<Validity<'a>>,
}

/// What a column holds; offsets may be narrow (utf8, binary) or wide (large_utf8, large_binary).
enum Values<'a> {
    Int64(&'a [[u8; 8]]),
    Narrow(u8, &'a [[u8; 4]], &'a [u8]),
    Wide(u8, &'a [[u8; 8]], &'a [u8]),
}

/// Text or plain bytes: they never collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    Utf8,
    Binary,
}

impl Text {
    fn kind(self) -> u8 {
        match self {
            Text::Utf8 => UTF8,
            Text::Binary => BINARY,
        }
    }
}

/// Arrow's validity bitmap: bit `first + row`, least significant first, is 1 where the row has a value.
struct Validity<'a> {
    bits: &'a [u8],
    first: usize,
}

/// Which rows of Arrow's buffers are meant: an array's own `offset` and `length`.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    pub offset: usize,
    pub length: usize,
}

impl<'a> Column<'a> {
    /// A column of 64-bit integers; narrower ones are widened before.
    pub fn int64(values: &'a [u8], validity: Option<&'a [u8]>, rows: Slice) -> Result<Self> {
        Ok(Self {
            values: Values::Int64(cut(values, rows, 0)?),
            validity: Validity::cut(validity, rows)?,
        })
    }

    /// A column of utf8 or binary values, offsets of 32 bits.
    pub fn text(
        text: Text,
        offsets: &'a [u8],
        data: &'a [u8],
        validity: Option<&'a [u8]>,
        rows: Slice,
    ) -> Result<Self> {
        Ok(Self {
            values: Values::Narrow(text.kind(), cut(offsets, rows, 1)?, data),
            validity: Validity::cut(validity, rows)?,
        })
    }

    /// A column of large_utf8 or large_binary values, offsets of 64 bits.
    pub fn large_text(
        text: Text,
        offsets: &'a [u8],
        data: &'a [u8],
        validity: Option<&'a [u8]>,
        rows: Slice,
    ) -> Result<Self> {
        Ok(Self {
            values: Values::Wide(text.kind(), cut(offsets, rows, 1)?, data),
            validity: Validity::cut(validity, rows)?,
        })
    }

    /// Rows that the column has.
    pub fn rows(&self) -> usize {
        match self.values {
            Values::Int64(values) => values.len(),
            Values::Narrow(_, offsets, _) => offsets.len() - 1,
            Values::Wide(_, offsets, _) => offsets.len() - 1,
        }
    }

    /// Whether every text is ASCII, not empty, and has no blank at either end. NULL is, and so are integers.
    pub fn is_plain(&self) -> Result<bool> {
        match self.values {
            Values::Int64(_) => Ok(true),
            Values::Narrow(_, offsets, data) => self.all_plain(|row| narrow(offsets, data, row)),
            Values::Wide(_, offsets, data) => self.all_plain(|row| wide(offsets, data, row)),
        }
    }

    fn all_plain(&self, text: impl Fn(usize) -> Result<&'a [u8]>) -> Result<bool> {
        for row in 0..self.rows() {
            let text = text(row)?;
            let plain = match text {
                [b' ', ..] | [.., b' '] | [] => false,
                text => is_ascii(text),
            };
            let null = || matches!(&self.validity, Some(validity) if validity.bit(row) == 0);
            if !plain && !null() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Clears `present` of the rows `first..` that are NULL here.
    pub(super) fn mask(&self, first: usize, present: &mut [u8]) {
        if let Some(validity) = &self.validity {
            for (i, flag) in present.iter_mut().enumerate() {
                *flag &= validity.bit(first + i);
            }
        }
    }

    /// Appends the rows `first..` to `keys`, one each.
    pub(super) fn append(&self, first: usize, keys: &mut Keys) -> Result<()> {
        let rows = first..first + keys.rows;
        match self.values {
            Values::Int64(values) => {
                for (i, value) in values[rows].iter().enumerate() {
                    keys.append_int64(i, value);
                }
            }
            Values::Narrow(kind, offsets, data) => {
                for (i, row) in rows.enumerate() {
                    keys.append_text(i, kind, narrow(offsets, data, row)?);
                }
            }
            Values::Wide(kind, offsets, data) => {
                for (i, row) in rows.enumerate() {
                    keys.append_text(i, kind, wide(offsets, data, row)?);
                }
            }
        }
        Ok(())
    }

    /// Appends one row to a key that does not fit a block.
    pub(super) fn append_row(&self, row: usize, key: &mut Vec<u8>) -> Result<()> {
        let (kind, text) = match self.values {
            Values::Int64(values) => {
                key.push(INT64);
                key.extend_from_slice(&values[row]);
                return Ok(());
            }
            Values::Narrow(kind, offsets, data) => (kind, narrow(offsets, data, row)?),
            Values::Wide(kind, offsets, data) => (kind, wide(offsets, data, row)?),
        };
        key.push(kind);
        key.extend_from_slice(&length(text));
        key.extend_from_slice(text);
        Ok(())
    }
}

impl<'a> Validity<'a> {
    fn cut(bits: Option<&'a [u8]>, rows: Slice) -> Result<Option<Self>> {
        let Some(bits) = bits else { return Ok(None) };
        let end = rows.offset.checked_add(rows.length);
        if end.is_none_or(|end| end.div_ceil(8) > bits.len()) {
            return Err(Error::Parameters(
                "a validity bitmap is shorter than its column",
            ));
        }
        let first = rows.offset;
        Ok(Some(Self { bits, first }))
    }

    fn bit(&self, row: usize) -> u8 {
        let at = self.first + row;
        (self.bits[at / 8] >> (at % 8)) & 1
    }
}

/// The elements `offset..offset + length + more` of a buffer.
fn cut<const W: usize>(buffer: &[u8], rows: Slice, more: usize) -> Result<&[[u8; W]]> {
    let (elements, _) = buffer.as_chunks::<W>();
    // Arrow allows a column of no rows to have no offsets at all.
    if rows.length == 0 && more == 1 {
        return Ok(&[[0; W]]);
    }
    rows.length
        .checked_add(more)
        .and_then(|length| rows.offset.checked_add(length))
        .and_then(|end| elements.get(rows.offset..end))
        .ok_or(Error::Parameters(
            "a column's buffer is shorter than its rows",
        ))
}

const OUTSIDE: Error = Error::Parameters("a column's offsets lie outside its data");

fn narrow<'a>(offsets: &[[u8; 4]], data: &'a [u8], row: usize) -> Result<&'a [u8]> {
    let start = u32::from_le_bytes(offsets[row]) as usize;
    let end = u32::from_le_bytes(offsets[row + 1]) as usize;
    data.get(start..end).ok_or(OUTSIDE)
}

fn wide<'a>(offsets: &[[u8; 8]], data: &'a [u8], row: usize) -> Result<&'a [u8]> {
    let start = usize::try_from(u64::from_le_bytes(offsets[row])).map_err(|_| OUTSIDE)?;
    let end = usize::try_from(u64::from_le_bytes(offsets[row + 1])).map_err(|_| OUTSIDE)?;
    let text = data.get(start..end).ok_or(OUTSIDE)?;
    if u32::try_from(text.len()).is_err() {
        return Err(Error::Parameters("a join key has 4 GiB or more"));
    }
    Ok(text)
}

/// The length prefix. Both readers above have made sure that it fits.
fn length(text: &[u8]) -> [u8; 4] {
    (text.len() as u32).to_le_bytes()
}

/// Rows encoded side by side, a block each, as BLAKE3's SIMD takes them.
pub(super) struct Keys {
    pub blocks: [[u8; BLOCK]; Keys::ROWS],
    used: [usize; Keys::ROWS],
    pub rows: usize,
}

impl Keys {
    pub const ROWS: usize = 64;

    pub fn new() -> Self {
        Self {
            blocks: [[0; BLOCK]; Self::ROWS],
            used: [0; Self::ROWS],
            rows: 0,
        }
    }

    /// Forgets what it held and makes room for `rows` rows.
    pub fn clear(&mut self, rows: usize) {
        self.blocks = [[0; BLOCK]; Self::ROWS];
        self.used = [0; Self::ROWS];
        self.rows = rows;
    }

    /// Whether a row needs more than a block, so that what stands in its block is of no use.
    pub fn is_long(&self, row: usize) -> bool {
        self.used[row] > BLOCK
    }

    fn append_int64(&mut self, row: usize, value: &[u8; 8]) {
        if let Some(room) = self.room(row, 9) {
            room[0] = INT64;
            room[1..].copy_from_slice(value);
        }
    }

    fn append_text(&mut self, row: usize, kind: u8, text: &[u8]) {
        if let Some(room) = self.room(row, 5 + text.len()) {
            room[0] = kind;
            room[1..5].copy_from_slice(&length(text));
            copy_short(&mut room[5..], text);
        }
    }

    fn room(&mut self, row: usize, size: usize) -> Option<&mut [u8]> {
        let start = self.used[row];
        let end = start.saturating_add(size);
        self.used[row] = end;
        self.blocks[row].get_mut(start..end)
    }
}

/// The library's own is made for long texts.
fn is_ascii(text: &[u8]) -> bool {
    let (eights, rest) = text.as_chunks::<8>();
    let high = eights
        .iter()
        .fold(0, |all, &eight| all | u64::from_le_bytes(eight));
    let rest = rest.iter().fold(0, |all, &byte| all | byte);
    high & 0x8080_8080_8080_8080 == 0 && rest < 0x80
}

/// Copies less than a block: its first and last bytes, which overlap. A call would take longer than that.
fn copy_short(to: &mut [u8], from: &[u8]) {
    match from.len() {
        0..4 => to.copy_from_slice(from),
        4..8 => copy_ends::<4>(to, from),
        8..16 => copy_ends::<8>(to, from),
        16..32 => copy_ends::<16>(to, from),
        _ => copy_ends::<32>(to, from),
    }
}

/// Copies the first and the last `W` bytes, of `2 * W` at most.
fn copy_ends<const W: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<W>(), from.first_chunk()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<W>(), from.last_chunk()) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: Slice = Slice {
        offset: 0,
        length: 2,
    };

    #[test]
    fn buffers_shorter_than_their_rows_are_refused() {
        assert!(Column::int64(&[0; 15], None, ROWS).is_err());
        assert!(Column::int64(&[0; 16], Some(&[]), ROWS).is_err());
        assert!(Column::text(Text::Utf8, &[0; 8], &[], None, ROWS).is_err());
        let far = Slice {
            offset: usize::MAX,
            length: 1,
        };
        assert!(Column::int64(&[0; 16], None, far).is_err());
        assert!(Column::large_text(Text::Utf8, &[0; 16], &[], None, far).is_err());
    }

    #[test]
    fn offsets_outside_the_data_are_refused() {
        let offsets: Vec<u8> = [0u32, 2, 1]
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect();
        let column = Column::text(Text::Binary, &offsets, b"ab", None, ROWS).unwrap();
        let mut key = Vec::new();
        assert!(column.append_row(0, &mut key).is_ok());
        assert_eq!(column.append_row(1, &mut key), Err(OUTSIDE));
        assert_eq!(key, b"\x03\x02\0\0\0ab");
    }

    #[test]
    fn texts_are_plain_or_not() {
        let plain = |text: &[u8], validity: Option<&[u8]>| {
            let offsets: Vec<u8> = [0, 1, 1 + text.len() as u32]
                .into_iter()
                .flat_map(u32::to_le_bytes)
                .collect();
            let data = [b"a", text].concat();
            let column = Column::text(Text::Utf8, &offsets, &data, validity, ROWS).unwrap();
            column.is_plain().unwrap()
        };
        for text in ["SN0012", "a b", "\t", "!", "~\x7f"] {
            assert!(plain(text.as_bytes(), None), "{text:?}");
        }
        for text in [
            "",
            " ",
            " a",
            "a ",
            "é",
            "a long one that ends otherwise\u{a0}",
        ] {
            assert!(!plain(text.as_bytes(), None), "{text:?}");
            assert!(!plain(text.as_bytes(), Some(&[0b10])), "{text:?}");
            assert!(plain(text.as_bytes(), Some(&[0b01])), "{text:?}");
        }
    }

    #[test]
    fn a_key_longer_than_a_block_is_noticed() {
        let mut keys = Keys::new();
        keys.clear(2);
        keys.append_text(0, UTF8, &[b'x'; 59]);
        keys.append_text(1, UTF8, &[b'x'; 60]);
        assert!(!keys.is_long(0));
        assert!(keys.is_long(1));
    }
}
