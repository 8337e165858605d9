//! Memory across the border without a copy: Python's buffers read in place, Rust's results read by Python in place.
//!
//! The only unsafe code outside the SIMD files: the buffer protocol is a C interface.

use std::ffi::{c_int, c_void};
use std::slice;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use zeroize::Zeroizing;

use crate::block::Block;
use crate::psi::session::Message;

/// An argument's bytes, held in place for as long as this lives: `bytes`, and whatever is exported read-only, of any element type.
pub struct Input(PyUntypedBuffer);

impl Input {
    pub fn bytes(&self) -> &[u8] {
        let length = self.0.len_bytes();
        if length == 0 {
            return &[];
        }
        // SAFETY: the exporter keeps `length` contiguous bytes at this address while the buffer is held (checked at
        // extraction), and exported them read-only, so that nobody writes while the slice is read without the GIL.
        unsafe { slice::from_raw_parts(self.0.buf_ptr().cast::<u8>(), length) }
    }
}

impl<'py> FromPyObject<'_, 'py> for Input {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let buffer = PyUntypedBuffer::get(&object)?;
        if !buffer.is_c_contiguous() || !buffer.readonly() {
            return Err(PyBufferError::new_err(
                "a kernel reads contiguous, read-only bytes",
            ));
        }
        Ok(Self(buffer))
    }
}

/// A result in Rust's own memory that `pyarrow.py_buffer`, `numpy.frombuffer` and `bytes` read as it is.
#[pyclass(frozen, module = "sandbox._native")]
pub struct Buffer(Memory);

/// A kernel's own vector, kept as it is: reading it as bytes needs no copy, freeing it needs its type. What is secret is wiped.
enum Memory {
    Bytes(Vec<u8>),
    Indices(Vec<u32>),
    Words(Vec<u64>),
    Blocks(Vec<Block>),
    SecretWords(Zeroizing<Vec<u64>>),
    SecretBlocks(Zeroizing<Vec<Block>>),
}

impl Buffer {
    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Memory::Bytes(bytes) => bytes,
            Memory::Indices(indices) => bytemuck::must_cast_slice(indices),
            Memory::Words(words) => bytemuck::must_cast_slice(words),
            Memory::Blocks(blocks) => bytemuck::must_cast_slice(blocks),
            Memory::SecretWords(words) => bytemuck::must_cast_slice(words),
            Memory::SecretBlocks(blocks) => bytemuck::must_cast_slice(blocks),
        }
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Memory::Bytes(bytes))
    }
}

impl From<Vec<u32>> for Buffer {
    fn from(indices: Vec<u32>) -> Self {
        Self(Memory::Indices(indices))
    }
}

impl From<Vec<u64>> for Buffer {
    fn from(words: Vec<u64>) -> Self {
        Self(Memory::Words(words))
    }
}

impl From<Vec<Block>> for Buffer {
    fn from(blocks: Vec<Block>) -> Self {
        Self(Memory::Blocks(blocks))
    }
}

impl From<Zeroizing<Vec<u64>>> for Buffer {
    fn from(words: Zeroizing<Vec<u64>>) -> Self {
        Self(Memory::SecretWords(words))
    }
}

impl From<Zeroizing<Vec<Block>>> for Buffer {
    fn from(blocks: Zeroizing<Vec<Block>>) -> Self {
        Self(Memory::SecretBlocks(blocks))
    }
}

impl From<Message> for Buffer {
    fn from(message: Message) -> Self {
        match message {
            Message::Bytes(bytes) => bytes.into(),
            Message::Blocks(blocks) => blocks.into(),
        }
    }
}

#[pymethods]
impl Buffer {
    fn __len__(&self) -> usize {
        self.bytes().len()
    }

    /// # Safety
    /// CPython calls it with a valid `view`, as the buffer protocol has it.
    unsafe fn __getbuffer__(
        slf: PyRef<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let bytes = slf.bytes();
        let address = bytes.as_ptr().cast_mut().cast::<c_void>();
        let length = bytes.len() as ffi::Py_ssize_t;
        // SAFETY: the vector never moves or changes (the class is frozen), the view takes a reference to this object, and
        // read-only = 1 makes PyBuffer_FillInfo refuse whoever asks to write.
        let filled =
            unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), address, length, 1, flags) };
        if filled == 0 {
            Ok(())
        } else {
            Err(PyErr::fetch(slf.py()))
        }
    }

    /// # Safety
    /// CPython calls it with a view that `__getbuffer__` filled; nothing has to be released.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {}
}
