//! Join keys: canonical encoding of Arrow columns under keyed BLAKE3, CSPRNG permutations, tags.
