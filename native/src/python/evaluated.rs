//! Products that the coordinator evaluates, and that members may check: the parties' and its state machines.

use std::sync::Arc;

use pyo3::prelude::*;

use super::buffer::{Buffer, Input};
use super::shares::{SlotColumns, ended, short_seed};
use crate::shares::columns::Columns;
use crate::shares::inner::{Role, Shape};
use crate::shares::verified::Verified;
use crate::shares::{evaluated, verified};

enum Party {
    Plain(evaluated::Party<Arc<Columns>>),
    Verified(verified::Party),
}

/// One party of an inner product that the coordinator evaluates, and that both parties check if they share a seed for it.
#[pyclass(module = "sandbox._native")]
pub struct MaskedFactor(Option<Party>);

#[pymethods]
impl MaskedFactor {
    #[new]
    #[pyo3(signature = (own, peer_columns, width, seed_u, seed_v, seed_alpha=None, *, left))]
    fn new(
        own: &SlotColumns,
        peer_columns: usize,
        width: usize,
        seed_u: Input,
        seed_v: Input,
        seed_alpha: Option<Input>,
        left: bool,
    ) -> PyResult<Self> {
        let role = if left { Role::A } else { Role::B };
        let masks = (*short_seed(&seed_u)?, *short_seed(&seed_v)?);
        let own = Arc::clone(&own.0);
        Ok(Self(Some(match seed_alpha {
            None => Party::Plain(evaluated::Party::new(
                role,
                own,
                peer_columns,
                width,
                masks,
            )?),
            Some(seed) => Party::Verified(verified::Party::new(
                role,
                own,
                peer_columns,
                width,
                masks,
                *short_seed(&seed)?,
            )?),
        })))
    }

    fn next_message(&mut self, py: Python<'_>, chunks: usize) -> PyResult<Buffer> {
        let message = match self.0.as_mut().ok_or_else(ended)? {
            Party::Plain(party) => py.detach(|| party.next_message(chunks)),
            Party::Verified(party) => py.detach(|| party.next_message(chunks)),
        };
        Ok(message.into())
    }

    fn finish_left(&mut self, dealt: Input) -> PyResult<(Buffer, Buffer)> {
        Ok(match self.0.take().ok_or_else(ended)? {
            Party::Plain(party) => unchecked(party.finish_a(dealt.bytes())?.into()),
            Party::Verified(party) => checked(party.finish_a(dealt.bytes())?),
        })
    }

    fn finish_right(&mut self, seed_r: Input) -> PyResult<(Buffer, Buffer)> {
        let seed_r = short_seed(&seed_r)?;
        Ok(match self.0.take().ok_or_else(ended)? {
            Party::Plain(party) => unchecked(party.finish_b(*seed_r)?.into()),
            Party::Verified(party) => checked(party.finish_b(*seed_r)?),
        })
    }
}

fn unchecked(share: Buffer) -> (Buffer, Buffer) {
    (share, Vec::<u8>::new().into())
}

fn checked(end: Verified) -> (Buffer, Buffer) {
    (end.share.into(), end.check.into())
}

enum Coordinator {
    Plain(evaluated::Evaluator<u64>),
    Verified(verified::Evaluator),
}

/// The coordinator of a product of masked factors.
#[pyclass(module = "sandbox._native")]
pub struct Evaluator(Option<Coordinator>);

#[pymethods]
impl Evaluator {
    #[new]
    #[pyo3(signature = (slots, p, q, width, *, verified=false))]
    fn new(slots: usize, p: usize, q: usize, width: usize, verified: bool) -> PyResult<Self> {
        let shape = Shape { slots, p, q };
        Ok(Self(Some(if verified {
            Coordinator::Verified(verified::Evaluator::new(shape, width)?)
        } else {
            Coordinator::Plain(evaluated::Evaluator::new(shape, width)?)
        })))
    }

    fn absorb(&mut self, py: Python<'_>, a: Input, b: Input) -> PyResult<()> {
        let (a, b) = (a.bytes(), b.bytes());
        Ok(match self.0.as_mut().ok_or_else(ended)? {
            Coordinator::Plain(evaluator) => py.detach(|| evaluator.absorb(a, b)),
            Coordinator::Verified(evaluator) => py.detach(|| evaluator.absorb(a, b)),
        }?)
    }

    fn finish(&mut self, seed_r: Input) -> PyResult<Buffer> {
        let seed_r = short_seed(&seed_r)?;
        Ok(match self.0.take().ok_or_else(ended)? {
            Coordinator::Plain(evaluator) => evaluator.finish(*seed_r)?.into(),
            Coordinator::Verified(evaluator) => evaluator.finish(*seed_r)?.into(),
        })
    }
}
