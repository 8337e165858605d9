//! Products on additive shares: the dealer's and the parties' state machines.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use zeroize::Zeroizing;

use super::buffer::{Buffer, Input};
use super::keys::{elements, seed};
use crate::block::Block;
use crate::shares::columns;
use crate::shares::inner::{self, Role, Shape};
use crate::shares::slotwise::{self, Pair};
use crate::shares::zero::{self, Sign};

/// Where a party's rows lie among the slots: made once for a matching.
#[pyclass(frozen, module = "sandbox._native")]
pub struct Placement(Arc<columns::Placement>);

#[pymethods]
impl Placement {
    #[new]
    #[pyo3(signature = (total, slots, order=None))]
    fn new(py: Python<'_>, total: usize, slots: Input, order: Option<Input>) -> PyResult<Self> {
        let slots = elements(slots.bytes())?;
        let order = order
            .as_ref()
            .map(|order| elements(order.bytes()))
            .transpose()?;
        let placement = py.detach(|| columns::Placement::new(total, slots, order))?;
        Ok(Self(Arc::new(placement)))
    }

    #[getter]
    fn slots(&self) -> usize {
        self.0.slots()
    }
}

/// A party's factor: M slots × columns of 64-bit words.
#[pyclass(frozen, module = "sandbox._native")]
pub struct SlotColumns(pub(super) Arc<columns::Columns>);

#[pymethods]
impl SlotColumns {
    #[staticmethod]
    fn placed(py: Python<'_>, placement: &Placement, columns: Vec<Input>) -> PyResult<Self> {
        let placed = py.detach(|| {
            let columns = columns.iter().map(|column| elements(column.bytes()));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            columns::Columns::placed(Arc::clone(&placement.0), &columns)
        });
        Ok(Self(Arc::new(placed?)))
    }

    #[staticmethod]
    fn dense(py: Python<'_>, slots: usize, columns: usize, words: Input) -> PyResult<Self> {
        let dense = py.detach(|| columns::Columns::dense(slots, columns, elements(words.bytes())?));
        Ok(Self(Arc::new(dense?)))
    }

    #[getter]
    fn slots(&self) -> usize {
        self.0.slots()
    }

    #[getter]
    fn columns(&self) -> usize {
        self.0.columns()
    }
}

/// XᵀY of two factors of one party.
#[pyfunction]
pub fn local_product(py: Python<'_>, x: &SlotColumns, y: &SlotColumns) -> PyResult<Buffer> {
    Ok(py.detach(|| inner::local(&x.0, &y.0))?.into())
}

/// The dealer's W_B of an inner product.
#[pyfunction]
pub fn deal_inner(
    py: Python<'_>,
    seed_a: Input,
    seed_b: Input,
    slots: usize,
    p: usize,
    q: usize,
) -> PyResult<Buffer> {
    let (a, b) = (short_seed(&seed_a)?, short_seed(&seed_b)?);
    Ok(py
        .detach(|| inner::deal(*a, *b, Shape { slots, p, q }))?
        .into())
}

/// One party of an inner product.
#[pyclass(module = "sandbox._native")]
pub struct InnerProduct(Option<inner::Party>);

#[pymethods]
impl InnerProduct {
    #[staticmethod]
    fn a(own: &SlotColumns, peer_columns: usize, seed: Input) -> PyResult<Self> {
        Self::new(Role::A, own, peer_columns, &seed)
    }

    #[staticmethod]
    fn b(own: &SlotColumns, peer_columns: usize, seed: Input) -> PyResult<Self> {
        Self::new(Role::B, own, peer_columns, &seed)
    }

    fn next_message(&mut self, py: Python<'_>, chunks: usize) -> PyResult<Buffer> {
        let party = self.party()?;
        Ok(py.detach(|| party.next_message(chunks)).into())
    }

    fn absorb(&mut self, py: Python<'_>, message: Input) -> PyResult<()> {
        let party = self.party()?;
        Ok(py.detach(|| party.absorb(message.bytes()))?)
    }

    #[pyo3(signature = (w_b=None))]
    fn finish(&mut self, w_b: Option<Input>) -> PyResult<Buffer> {
        let party = self.0.take().ok_or_else(ended)?;
        Ok(party.finish(w_b.as_ref().map(Input::bytes))?.into())
    }
}

impl InnerProduct {
    fn new(role: Role, own: &SlotColumns, peer_columns: usize, seed: &Input) -> PyResult<Self> {
        let party = inner::Party::new(role, Arc::clone(&own.0), peer_columns, *short_seed(seed)?)?;
        Ok(Self(Some(party)))
    }

    fn party(&mut self) -> PyResult<&mut inner::Party> {
        self.0.as_mut().ok_or_else(ended)
    }
}

/// The dealer of a slot-wise product.
#[pyclass(module = "sandbox._native")]
pub struct SlotwiseDealer(slotwise::Dealer);

#[pymethods]
impl SlotwiseDealer {
    #[new]
    fn new(
        seed_a: Input,
        seed_b: Input,
        slots: usize,
        p: usize,
        q: usize,
        pairs: Vec<Pair>,
    ) -> PyResult<Self> {
        let (a, b) = (short_seed(&seed_a)?, short_seed(&seed_b)?);
        Ok(Self(slotwise::Dealer::new(
            *a,
            *b,
            Shape { slots, p, q },
            pairs,
        )?))
    }

    fn next_message(&mut self, py: Python<'_>, chunks: usize) -> Buffer {
        py.detach(|| self.0.next_message(chunks)).into()
    }
}

/// One party of a slot-wise product.
#[pyclass(module = "sandbox._native")]
pub struct SlotwiseProduct(slotwise::Party);

#[pymethods]
impl SlotwiseProduct {
    #[staticmethod]
    fn a(own: &SlotColumns, peer_columns: usize, pairs: Vec<Pair>, seed: Input) -> PyResult<Self> {
        Self::new(Role::A, own, peer_columns, pairs, &seed)
    }

    #[staticmethod]
    fn b(own: &SlotColumns, peer_columns: usize, pairs: Vec<Pair>, seed: Input) -> PyResult<Self> {
        Self::new(Role::B, own, peer_columns, pairs, &seed)
    }

    fn next_message(&mut self, py: Python<'_>, chunks: usize) -> Buffer {
        py.detach(|| self.0.next_message(chunks)).into()
    }

    #[pyo3(signature = (message, w_b=None))]
    fn absorb(&mut self, py: Python<'_>, message: Input, w_b: Option<Input>) -> PyResult<Buffer> {
        let w_b = w_b.as_ref().map(Input::bytes);
        Ok(py.detach(|| self.0.absorb(message.bytes(), w_b))?.into())
    }
}

impl SlotwiseProduct {
    fn new(
        role: Role,
        own: &SlotColumns,
        peer_columns: usize,
        pairs: Vec<Pair>,
        seed: &Input,
    ) -> PyResult<Self> {
        let seed = short_seed(seed)?;
        let party = slotwise::Party::new(role, Arc::clone(&own.0), peer_columns, pairs, *seed)?;
        Ok(Self(party))
    }
}

/// Words of a pair's zero-sharing; one side's are the negatives of the other's.
#[pyfunction]
#[pyo3(signature = (key, context, outputs, *, negative))]
pub fn zero_share(key: Input, context: Input, outputs: usize, negative: bool) -> PyResult<Buffer> {
    let key = Zeroizing::new(seed(&key, "a key")?);
    let sign = if negative { Sign::Minus } else { Sign::Plus };
    Ok(zero::zero_share(&key, context.bytes(), outputs, sign).into())
}

pub(super) fn short_seed(bytes: &Input) -> PyResult<Zeroizing<Block>> {
    let bytes = bytes.bytes().try_into();
    let bytes = bytes.map_err(|_| PyValueError::new_err("a seed has 16 bytes"))?;
    Ok(Zeroizing::new(Block::from_le_bytes(bytes)))
}

pub(super) fn ended() -> PyErr {
    PyValueError::new_err("this product has ended")
}
