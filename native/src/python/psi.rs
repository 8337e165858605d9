//! Both parties of a private set intersection.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::buffer::{Buffer, Input};
use super::keys::{elements, seed};
use crate::block::Block;
use crate::psi::Sizes;
use crate::psi::session;

/// What a session's key must name, so that two builds that differ cannot open each other's frames.
#[pyfunction]
#[pyo3(signature = (receiver, sender, *, malicious))]
pub fn psi_digest(receiver: usize, sender: usize, malicious: bool) -> PyResult<Buffer> {
    let sizes = Sizes {
        receiver,
        sender,
        malicious,
    };
    Ok(sizes.digest()?.to_vec().into())
}

fn keys(bytes: &Input) -> PyResult<Vec<Block>> {
    let keys = elements(bytes.bytes())?;
    Ok(keys.iter().map(|key| Block::from_le_bytes(*key)).collect())
}

/// The party that learns which of its keys the other has.
#[pyclass(module = "sandbox._native")]
pub struct PsiReceiver(session::Receiver);

#[pymethods]
impl PsiReceiver {
    #[new]
    #[pyo3(signature = (receiver, sender, session, secret, *, malicious))]
    fn new(
        receiver: usize,
        sender: usize,
        session: Input,
        secret: Input,
        malicious: bool,
    ) -> PyResult<Self> {
        let sizes = Sizes {
            receiver,
            sender,
            malicious,
        };
        let (session, secret) = (seed(&session, "a session")?, seed(&secret, "a secret")?);
        Ok(Self(session::Receiver::new(sizes, session, &secret)?))
    }

    fn wants_keys(&self) -> bool {
        self.0.wants_keys()
    }

    fn take_keys(&mut self, py: Python<'_>, keys: Input) -> PyResult<()> {
        let keys = self::keys(&keys)?;
        Ok(py.detach(|| self.0.take_keys(keys))?)
    }

    fn awaits(&self) -> PyResult<Option<usize>> {
        Ok(self.0.awaits()?)
    }

    fn advance(&mut self, py: Python<'_>, message: Input) -> PyResult<Buffer> {
        Ok(py.detach(|| self.0.advance(message.bytes()))?.into())
    }

    fn catch_up(&mut self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.0.catch_up())?)
    }

    fn matches(&self) -> PyResult<Buffer> {
        let indices = self.0.matches();
        let indices =
            indices.ok_or_else(|| PyValueError::new_err("the values have not come yet"))?;
        Ok(indices.to_vec().into())
    }
}

/// The party that learns nothing.
#[pyclass(module = "sandbox._native")]
pub struct PsiSender(session::Sender);

#[pymethods]
impl PsiSender {
    #[staticmethod]
    #[pyo3(signature = (receiver, sender, session, secret, *, malicious))]
    fn start(
        receiver: usize,
        sender: usize,
        session: Input,
        secret: Input,
        malicious: bool,
    ) -> PyResult<(Self, Buffer)> {
        let sizes = Sizes {
            receiver,
            sender,
            malicious,
        };
        let (session, secret) = (seed(&session, "a session")?, seed(&secret, "a secret")?);
        let (sender, offer) = session::Sender::start(sizes, session, &secret)?;
        Ok((Self(sender), offer.into()))
    }

    fn wants_keys(&self) -> bool {
        self.0.wants_keys()
    }

    fn take_keys(&mut self, py: Python<'_>, keys: Input) -> PyResult<()> {
        let keys = self::keys(&keys)?;
        Ok(py.detach(|| self.0.take_keys(keys))?)
    }

    fn awaits(&self) -> PyResult<Option<usize>> {
        Ok(self.0.awaits()?)
    }

    fn advance(&mut self, py: Python<'_>, message: Input) -> PyResult<Buffer> {
        Ok(py.detach(|| self.0.advance(message.bytes()))?.into())
    }
}
