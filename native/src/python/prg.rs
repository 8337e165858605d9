//! The generator, for tests against an independent one and for masks that Python asks for.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::buffer::{Buffer, Input};
use crate::block::Block;
use crate::prg::Prg;

/// The first `blocks` 16-byte blocks of AES-128-CTR under a 16-byte seed, counter from 0, little-endian.
#[pyfunction]
pub fn expand(py: Python<'_>, seed: Input, blocks: usize) -> PyResult<Buffer> {
    let seed = Block::from_le_bytes(
        seed.bytes()
            .try_into()
            .map_err(|_| PyValueError::new_err("a seed has 16 bytes"))?,
    );
    let stream = py.detach(|| {
        let mut out = vec![0; blocks];
        Prg::new(seed).fill(&mut out);
        out
    });
    Ok(Buffer::from(stream))
}
