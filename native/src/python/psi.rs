//! Both parties of a private set intersection.

use std::borrow::Cow;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::buffer::{Buffer, Input};
use super::keys::seed;
use crate::block::{self, Block};
use crate::error::Error;
use crate::psi::{self, Sizes, session};

/// What a session's key must name, so that two builds that differ cannot open each other's frames.
#[pyfunction]
#[pyo3(signature = (receiver, sender, *, malicious, buckets = 1))]
pub fn psi_digest(
    receiver: usize,
    sender: usize,
    malicious: bool,
    buckets: usize,
) -> PyResult<Buffer> {
    let sizes = Sizes {
        receiver,
        sender,
        malicious,
        buckets,
    };
    Ok(sizes.digest()?.to_vec().into())
}

/// What a bucket of a set of so many keys is padded to.
#[pyfunction]
pub fn bucket_keys(keys: usize, buckets: usize) -> PyResult<usize> {
    Ok(psi::bucket_keys(keys, buckets)?)
}

/// For each own 16-byte value a byte, 1 if its first `width` bytes occur in `answer`, else 0.
#[pyfunction]
pub fn psi_matches(py: Python<'_>, own: Input, answer: Input, width: usize) -> PyResult<Buffer> {
    if !(1..=16).contains(&width) || !answer.bytes().len().is_multiple_of(width) {
        return Err(Error::Malformed.into());
    }
    let own = blocks(&own)?;
    let found = py.detach(|| psi::matches(&own, answer.bytes(), width));
    Ok(found.into())
}

/// 16 bytes each, in place where they are aligned.
fn blocks(bytes: &Input) -> PyResult<Cow<'_, [Block]>> {
    let bytes = bytes.bytes();
    Ok(block::read(bytes, bytes.len() / block::BYTES)?)
}

/// The party that learns which of its keys the other has.
#[pyclass(module = "sandbox._native")]
pub struct PsiReceiver(session::Receiver);

#[pymethods]
impl PsiReceiver {
    #[new]
    #[pyo3(signature = (receiver, sender, session, secret, *, malicious, buckets = 1))]
    fn new(
        receiver: usize,
        sender: usize,
        session: Input,
        secret: Input,
        malicious: bool,
        buckets: usize,
    ) -> PyResult<Self> {
        let sizes = Sizes {
            receiver,
            sender,
            malicious,
            buckets,
        };
        let (session, secret) = (seed(&session, "a session")?, seed(&secret, "a secret")?);
        Ok(Self(session::Receiver::new(sizes, session, &secret)?))
    }

    fn wants_keys(&self) -> bool {
        self.0.wants_keys()
    }

    fn take_keys(&mut self, py: Python<'_>, keys: Input) -> PyResult<()> {
        let keys = blocks(&keys)?;
        Ok(py.detach(|| self.0.take_keys(&keys))?)
    }

    fn awaits(&self) -> PyResult<Option<usize>> {
        Ok(self.0.awaits()?)
    }

    fn take(&mut self, py: Python<'_>, message: Input) -> PyResult<()> {
        Ok(py.detach(|| self.0.take(message.bytes()))?)
    }

    fn next_part(&mut self, py: Python<'_>) -> PyResult<Option<Buffer>> {
        Ok(py.detach(|| self.0.next_part())?.map(Buffer::from))
    }

    fn catch_up(&mut self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.0.catch_up())?)
    }

    fn take_values(&mut self) -> PyResult<Buffer> {
        let values = self.0.take_values();
        let values = values.ok_or_else(|| PyValueError::new_err("there are no values to take"))?;
        Ok(values.into())
    }

    #[getter]
    fn value_bytes(&self) -> usize {
        self.0.sizes().value_bytes()
    }
}

/// The party that learns nothing.
#[pyclass(module = "sandbox._native")]
pub struct PsiSender(session::Sender);

#[pymethods]
impl PsiSender {
    #[staticmethod]
    #[pyo3(signature = (receiver, sender, session, secret, *, malicious, buckets = 1))]
    fn start(
        receiver: usize,
        sender: usize,
        session: Input,
        secret: Input,
        malicious: bool,
        buckets: usize,
    ) -> PyResult<(Self, Buffer)> {
        let sizes = Sizes {
            receiver,
            sender,
            malicious,
            buckets,
        };
        let (session, secret) = (seed(&session, "a session")?, seed(&secret, "a secret")?);
        let (sender, offer) = session::Sender::start(sizes, session, &secret)?;
        Ok((Self(sender), offer.into()))
    }

    fn wants_keys(&self) -> bool {
        self.0.wants_keys()
    }

    fn take_keys(&mut self, py: Python<'_>, keys: Input) -> PyResult<()> {
        let keys = blocks(&keys)?.into_owned();
        Ok(py.detach(|| self.0.take_keys(keys))?)
    }

    fn awaits(&self) -> PyResult<Option<usize>> {
        Ok(self.0.awaits()?)
    }

    fn advance(&mut self, py: Python<'_>, message: Input) -> PyResult<Buffer> {
        Ok(py.detach(|| self.0.advance(message.bytes()))?.into())
    }

    fn absorbs(&self) -> bool {
        self.0.absorbs()
    }

    fn absorb(&mut self, py: Python<'_>, piece: Input) -> PyResult<()> {
        Ok(py.detach(|| self.0.absorb(piece.bytes()))?)
    }
}
