//! Silent VOLE over GF(2^128): punctured PRFs, compressing code, chunks.
