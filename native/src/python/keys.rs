//! Hashed join keys, permutations and rows in another order.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::buffer::{Buffer, Input};
use crate::block::{self, Block};
use crate::error::Error;
use crate::keys::encoding::{Column, Slice, Text};
use crate::keys::gather::{gather, lengthened, shortened};
use crate::keys::{hash, permutation as order};

/// One column of a join key: an Arrow array's buffers, offset and length.
#[pyclass(frozen, module = "sandbox._native")]
pub struct KeyColumn {
    values: Values,
    validity: Option<Input>,
    rows: Slice,
}

enum Values {
    Int64(Input),
    Text {
        text: Text,
        offsets: Input,
        data: Input,
        large: bool,
    },
}

#[pymethods]
impl KeyColumn {
    #[staticmethod]
    fn int64(values: Input, validity: Option<Input>, offset: usize, length: usize) -> Self {
        Self {
            values: Values::Int64(values),
            validity,
            rows: Slice { offset, length },
        }
    }

    #[staticmethod]
    #[pyo3(signature = (offsets, data, validity, offset, length, *, large))]
    fn utf8(
        offsets: Input,
        data: Input,
        validity: Option<Input>,
        offset: usize,
        length: usize,
        large: bool,
    ) -> Self {
        Self::text(
            Text::Utf8,
            offsets,
            data,
            validity,
            Slice { offset, length },
            large,
        )
    }

    #[staticmethod]
    #[pyo3(signature = (offsets, data, validity, offset, length, *, large))]
    fn binary(
        offsets: Input,
        data: Input,
        validity: Option<Input>,
        offset: usize,
        length: usize,
        large: bool,
    ) -> Self {
        Self::text(
            Text::Binary,
            offsets,
            data,
            validity,
            Slice { offset, length },
            large,
        )
    }
}

impl KeyColumn {
    fn text(
        text: Text,
        offsets: Input,
        data: Input,
        validity: Option<Input>,
        rows: Slice,
        large: bool,
    ) -> Self {
        let values = Values::Text {
            text,
            offsets,
            data,
            large,
        };
        Self {
            values,
            validity,
            rows,
        }
    }

    fn column(&self) -> Result<Column<'_>, Error> {
        let validity = self.validity.as_ref().map(Input::bytes);
        match &self.values {
            Values::Int64(values) => Column::int64(values.bytes(), validity, self.rows),
            Values::Text {
                text,
                offsets,
                data,
                large,
            } => {
                let read = if *large {
                    Column::large_text
                } else {
                    Column::text
                };
                read(*text, offsets.bytes(), data.bytes(), validity, self.rows)
            }
        }
    }
}

/// The 128-bit keyed hash of each row's key, and a byte per row: 1, or 0 where a column is NULL. Rows come in chunks.
#[pyfunction]
pub fn hash_keys(
    py: Python<'_>,
    chunks: Vec<Vec<Py<KeyColumn>>>,
    key: Input,
) -> PyResult<(Buffer, Buffer)> {
    let key = seed(&key, "a key")?;
    let chunks: Vec<Vec<&KeyColumn>> = chunks
        .iter()
        .map(|columns| columns.iter().map(Py::get).collect())
        .collect();
    let hashed = py.detach(|| {
        let chunks: Vec<Vec<Column<'_>>> = chunks
            .iter()
            .map(|columns| columns.iter().map(|column| column.column()).collect())
            .collect::<Result<_, _>>()?;
        hash::hash(&chunks, &key)
    })?;
    Ok((hashed.hashes.into(), hashed.present.into()))
}

/// Whether every text of a column is ASCII, not empty, and has no blank at either end.
#[pyfunction]
pub fn is_plain(py: Python<'_>, column: &KeyColumn) -> PyResult<bool> {
    Ok(py.detach(|| column.column()?.is_plain())?)
}

/// A uniform permutation of 0..items from a 32-byte seed, as 32-bit indices.
#[pyfunction]
pub fn permutation(py: Python<'_>, seed: Input, items: usize) -> PyResult<Buffer> {
    let seed = self::seed(&seed, "a seed")?;
    Ok(py.detach(|| order::permutation(&seed, items))?.into())
}

/// `values[order]` for elements of 4, 8 or 16 bytes, the values being those of all parts; `order` are 32-bit indices.
#[pyfunction]
pub fn take(py: Python<'_>, parts: Vec<Input>, width: usize, order: Input) -> PyResult<Buffer> {
    let parts: Vec<&[u8]> = parts.iter().map(Input::bytes).collect();
    let order = elements(order.bytes())?;
    let taken = py.detach(|| match width {
        4 => gather(&cut(&parts)?, order, u32::from_le_bytes).map(Buffer::from),
        8 => gather(&cut(&parts)?, order, u64::from_le_bytes).map(Buffer::from),
        16 => gather(&cut(&parts)?, order, Block::from_le_bytes).map(Buffer::from),
        _ => Err(Error::Parameters("elements have 4, 8 or 16 bytes")),
    });
    Ok(taken?)
}

/// The last `width` bytes of `tags[order]`, the 16-byte tags being those of all parts; `order` are 32-bit indices.
#[pyfunction]
pub fn shorten_tags(
    py: Python<'_>,
    parts: Vec<Input>,
    width: usize,
    order: Input,
) -> PyResult<Buffer> {
    tag_width(width)?;
    let parts: Vec<&[u8]> = parts.iter().map(Input::bytes).collect();
    let order = elements(order.bytes())?;
    Ok(py.detach(|| shortened(&cut(&parts)?, width, order))?.into())
}

/// 16-byte tags of shortened ones; PeerError unless they are whole.
#[pyfunction]
pub fn lengthen_tags(py: Python<'_>, tags: Input, width: usize) -> PyResult<Buffer> {
    tag_width(width)?;
    if !tags.bytes().len().is_multiple_of(width) {
        return Err(Error::Malformed.into());
    }
    Ok(py.detach(|| lengthened(tags.bytes(), width)).into())
}

fn tag_width(width: usize) -> Result<(), Error> {
    let fits = (1..=block::BYTES).contains(&width);
    fits.then_some(())
        .ok_or(Error::Parameters("a tag leaves with 1 to 16 bytes"))
}

fn cut<'a, const W: usize>(parts: &[&'a [u8]]) -> Result<Vec<&'a [[u8; W]]>, Error> {
    parts.iter().map(|part| elements(part)).collect()
}

/// The elements of a buffer, at whatever address.
pub(super) fn elements<const W: usize>(bytes: &[u8]) -> Result<&[[u8; W]], Error> {
    let (elements, rest) = bytes.as_chunks();
    rest.is_empty().then_some(elements).ok_or(Error::Malformed)
}

pub(super) fn seed(bytes: &Input, what: &str) -> PyResult<[u8; 32]> {
    let bytes = bytes.bytes().try_into();
    bytes.map_err(|_| PyValueError::new_err(format!("{what} has 32 bytes")))
}
