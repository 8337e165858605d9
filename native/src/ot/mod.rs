//! Oblivious transfers: base OTs on Ristretto, SoftSpoken extension.
