//! Hot kernels of fedsandbox, and nothing else: what is not on the path of every row is Python.
//!
//! Every function is pure: randomness and keys are passed in, bytes go in and bytes come out. `unsafe` is
//! confined to the files named `simd.rs`, each with a portable path beside it that is chosen at run time and tested
//! against it, and to `python/buffer.rs`, where memory crosses the border without a copy.

#[cfg(not(target_endian = "little"))]
compile_error!(
    "blocks are written to the wire as they lie in memory: only little-endian machines are supported"
);

pub mod block;
pub mod equality;
pub mod error;
pub mod field;
pub mod keys;
pub mod matching;
pub mod okvs;
pub mod ot;
pub mod prg;
pub mod psi;
pub mod shares;
#[cfg(test)]
mod vectors;
pub mod vole;

#[cfg(feature = "python")]
mod python;
