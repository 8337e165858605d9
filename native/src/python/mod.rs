//! sandbox._native: what Python sees. Arguments are buffers, results own their memory and are buffers too.

mod buffer;
mod prg;

use pyo3::prelude::*;

/// The extension module.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<buffer::Buffer>()?;
    module.add_function(wrap_pyfunction!(prg::expand, module)?)?;
    Ok(())
}
