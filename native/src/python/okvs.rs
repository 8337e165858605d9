//! The key-value store, for tests against an independent model.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::buffer::{Buffer, Input};
use crate::block::{self, Block};
use crate::okvs::{self, Parameters};

/// Blocks of an encoding of at most `items` keys, in a join of `buckets` encodings.
#[pyfunction]
pub fn okvs_length(items: usize, buckets: usize) -> PyResult<usize> {
    Ok(Parameters::new(items, buckets)?.length())
}

/// The encoding that decodes each 16-byte key to its 16-byte value; RuntimeError if this seed fails.
#[pyfunction]
pub fn okvs_encode(
    py: Python<'_>,
    items: usize,
    buckets: usize,
    seed: Input,
    keys: Input,
    values: Input,
) -> PyResult<Buffer> {
    let parameters = Parameters::new(items, buckets)?;
    let (seed, keys, values) = (one(&seed)?, many(&keys)?, many(&values)?);
    if keys.len() != values.len() {
        return Err(PyValueError::new_err("each key has one value"));
    }
    let encoding = py.detach(|| okvs::encode(&parameters, seed, &keys, &values))?;
    Ok(Buffer::from(encoding))
}

/// What the 16-byte keys decode to; PeerError unless the encoding has the length of its parameters.
#[pyfunction]
pub fn okvs_decode(
    py: Python<'_>,
    items: usize,
    buckets: usize,
    seed: Input,
    keys: Input,
    encoding: Input,
) -> PyResult<Buffer> {
    let parameters = Parameters::new(items, buckets)?;
    let (seed, keys) = (one(&seed)?, many(&keys)?);
    let encoding = block::from_bytes(encoding.bytes(), parameters.length())?;
    let mut values = vec![0; keys.len()];
    py.detach(|| okvs::decode(&parameters, seed, &keys, &encoding, &mut values))?;
    Ok(Buffer::from(values))
}

fn one(bytes: &Input) -> PyResult<Block> {
    let bytes = bytes.bytes().try_into();
    Ok(Block::from_le_bytes(bytes.map_err(|_| {
        PyValueError::new_err("a seed has 16 bytes")
    })?))
}

fn many(bytes: &Input) -> PyResult<Vec<Block>> {
    let bytes = bytes.bytes();
    block::from_bytes(bytes, bytes.len() / block::BYTES)
        .map_err(|_| PyValueError::new_err("keys and values have 16 bytes each"))
}
