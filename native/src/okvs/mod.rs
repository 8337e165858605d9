//! Clustered oblivious key-value store over GF(2^128).
