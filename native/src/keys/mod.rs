//! What leaves a provider in a join: hashed keys in a random order (JOIN.md, common front, steps 2 and 4).
//!
//! One keyed BLAKE3 is both the hash and the tag. Under a key that the coordinator never holds it is a PRF (Aumasson,
//! Neves, O'Connor, Wilcox-O'Hearn 2020, §4 of the BLAKE3 paper: keyed_hash is a PRF of variable-length input); its first
//! 128 bits are one too, so a second PRF over them would add a pass and no secrecy. What must be unlinkable
//! (two sessions, two phases) takes two keys of the key schedule.

pub mod encoding;
pub mod gather;
pub mod hash;
pub mod permutation;
