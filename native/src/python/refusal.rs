//! A kernel's refusal as Python's exception.

use pyo3::create_exception;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::error::Error;

create_exception!(
    sandbox._native,
    PeerError,
    PyValueError,
    "A peer's bytes do not have the shape that the session fixed, or failed a check."
);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Malformed | Error::Inconsistent => PeerError::new_err(text),
            Error::Parameters(_) => PyValueError::new_err(text),
            Error::Exhausted => PyRuntimeError::new_err(text),
        }
    }
}
