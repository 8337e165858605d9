//! The coordinator's matching of tags.

use pyo3::prelude::*;

use super::buffer::{Buffer, Input};
use super::keys::{elements, seed};
use crate::error::Error;
use crate::matching::{join, repeats};

/// For two to five parties' distinct 16-byte tags: each party's slots as 32-bit indices, in its order.
#[pyfunction]
pub fn match_tags(py: Python<'_>, parties: Vec<Input>, seed: Input) -> PyResult<Vec<Buffer>> {
    let seed = self::seed(&seed, "a seed")?;
    let slots = py.detach(|| {
        let parties = parties.iter().map(|tags| elements(tags.bytes()));
        join::match_tags(&parties.collect::<Result<Vec<_>, _>>()?, &seed)
    });
    Ok(slots?.into_iter().map(Buffer::from).collect())
}

/// Whether two rows that are present have equal hashes; by chance with probability rows² / 2^65.
#[pyfunction]
pub fn has_repeats(py: Python<'_>, hashes: Input, present: Input) -> PyResult<bool> {
    let (hashes, present) = (elements(hashes.bytes())?, present.bytes());
    if hashes.len() != present.len() {
        return Err(Error::Parameters("a byte of presence for each hash").into());
    }
    Ok(py.detach(|| repeats::has_repeats(hashes, present)))
}
