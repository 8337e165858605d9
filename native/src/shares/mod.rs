//! X^T Y on additive shares over Z_2^64 with dealt randomness.
