//! Products on additive shares over Z_2^64 (JOIN.md, `blind`, steps 3–5), by Beaver triples (Beaver 1991) that the
//! coordinator deals from the parties' own seeds. All arithmetic wraps; what could exceed 64 bits takes two limbs, made by the caller.
//!
//! A holds X (M slots × p columns), B holds Y (M × q). A's seed gives U (M × p) and W_A, B's gives V (M × q). They exchange
//! D = X − U (A→B) and E = Y − V (B→A), each as uniform as its mask. The dealer, from both seeds, sends B alone W_B = U∘V − W_A,
//! ∘ being the product in question, so that it can shift a result but cannot choose a mask. Then
//!   A keeps  Z_A = X∘E + W_A,    B keeps  Z_B = D∘V + W_B,
//!   Z_A + Z_B = X∘(Y − V) + (X − U)∘V + U∘V = X∘Y,
//! for every bilinear ∘: the inner products XᵀY (`inner`: p × q numbers) and slot-wise products x_i·y_j
//! (`slotwise`: M numbers for each pair asked for, themselves a factor of the next product).
//!
//! Streams go by chunks of `CHUNK` slots, the last one shorter; within a chunk column after column; 8 bytes a word, little-endian
//! ("wire order"). Word number w of a mask in wire order is word w of AES-128-CTR under its sub-seed. A message is one
//! or more whole chunks. A seed serves one product and is never used again.
//!
//! A coordinator that shifts a product of two is caught in `verified`, over wider words; one that deals wrong is not.

pub mod columns;
pub mod evaluated;
pub mod inner;
mod mask;
mod packed;
mod simd;
pub mod slotwise;
mod stream;
pub mod verified;
pub mod word;
pub mod zero;

/// Slots per chunk; even, so that a chunk of a mask begins at a block of AES.
pub const CHUNK: usize = 2048;

/// Most columns of a factor.
pub const MAX_COLUMNS: usize = 64;
