//! The test of two members' values for equality.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use zeroize::Zeroizing;

use super::buffer::{Buffer, Input};
use super::keys::seed;
use super::shares::ended;
use crate::equality::Party;

/// One party of a test for equality.
#[pyclass(module = "sandbox._native")]
pub struct Equality(Option<Party>);

#[pymethods]
impl Equality {
    #[staticmethod]
    fn start(session: Input, value: Input, entropy: Input) -> PyResult<(Self, Buffer)> {
        let session = Zeroizing::new(seed(&session, "a session")?);
        let entropy = entropy.bytes().try_into();
        let entropy = entropy.map_err(|_| PyValueError::new_err("a scalar is made of 64 bytes"))?;
        let (party, point) = Party::start(&session, value.bytes(), entropy);
        Ok((Self(Some(party)), point.to_vec().into()))
    }

    #[pyo3(signature = (point, *, left))]
    fn finish(&mut self, point: Input, left: bool) -> PyResult<(Buffer, Buffer)> {
        let party = self.0.take().ok_or_else(ended)?;
        let proofs = party.finish(point.bytes(), left)?;
        Ok((proofs.own.to_vec().into(), proofs.peers.to_vec().into()))
    }
}
