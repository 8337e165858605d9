//! Products that a member can check: both parties and the coordinator.

use std::sync::Arc;

use pyo3::prelude::*;

use super::buffer::{Buffer, Input};
use super::shares::{SlotColumns, ended, short_seed};
use crate::shares::inner::{Role, Shape};
use crate::shares::verified;

/// One party of a product that the coordinator evaluates and both parties check.
#[pyclass(module = "sandbox._native")]
pub struct VerifiedFactor(Option<verified::Party>);

#[pymethods]
impl VerifiedFactor {
    #[new]
    #[pyo3(signature = (own, peer_columns, width, seed_u, seed_v, seed_alpha, *, left))]
    fn new(
        own: &SlotColumns,
        peer_columns: usize,
        width: usize,
        seed_u: Input,
        seed_v: Input,
        seed_alpha: Input,
        left: bool,
    ) -> PyResult<Self> {
        let role = if left { Role::A } else { Role::B };
        let masks = (*short_seed(&seed_u)?, *short_seed(&seed_v)?);
        let alpha = *short_seed(&seed_alpha)?;
        let own = Arc::clone(&own.0);
        let party = verified::Party::new(role, own, peer_columns, width, masks, alpha)?;
        Ok(Self(Some(party)))
    }

    fn next_message(&mut self, py: Python<'_>, chunks: usize) -> PyResult<Buffer> {
        let party = self.0.as_mut().ok_or_else(ended)?;
        Ok(py.detach(|| party.next_message(chunks)).into())
    }

    fn finish_left(&mut self, dealt: Input) -> PyResult<(Buffer, Buffer)> {
        let end = self.end()?.finish_a(dealt.bytes())?;
        Ok((end.share.into(), end.check.into()))
    }

    fn finish_right(&mut self, seed_r: Input) -> PyResult<(Buffer, Buffer)> {
        let end = self.end()?.finish_b(*short_seed(&seed_r)?)?;
        Ok((end.share.into(), end.check.into()))
    }
}

impl VerifiedFactor {
    fn end(&mut self) -> PyResult<verified::Party> {
        self.0.take().ok_or_else(ended)
    }
}

/// The coordinator of a product that both parties check.
#[pyclass(module = "sandbox._native")]
pub struct VerifiedEvaluator(Option<verified::Evaluator>);

#[pymethods]
impl VerifiedEvaluator {
    #[new]
    fn new(slots: usize, p: usize, q: usize, width: usize) -> PyResult<Self> {
        let shape = Shape { slots, p, q };
        Ok(Self(Some(verified::Evaluator::new(shape, width)?)))
    }

    fn absorb(&mut self, py: Python<'_>, a: Input, b: Input) -> PyResult<()> {
        let evaluator = self.0.as_mut().ok_or_else(ended)?;
        Ok(py.detach(|| evaluator.absorb(a.bytes(), b.bytes()))?)
    }

    fn finish(&mut self, seed_r: Input) -> PyResult<Buffer> {
        let evaluator = self.0.take().ok_or_else(ended)?;
        Ok(evaluator.finish(*short_seed(&seed_r)?)?.into())
    }
}
