//! Oblivious transfers: base OTs on Ristretto, SoftSpoken extension, and the GGM trees both this and the VOLE puncture.

pub mod base;
pub mod ggm;
mod hash;
pub mod softspoken;
#[cfg(test)]
mod tests;
mod transpose;

pub use hash::PairHash;

/// Names one run of a protocol; the caller never uses one twice. It goes into every hash and every fixed key.
pub type Session = [u8; 32];
