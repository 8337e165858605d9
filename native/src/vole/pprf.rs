//! Regular noise as punctured GGM trees (Boyle et al. 2018, §4), for all trees of a chunk together.
//!
//! S expands whole trees of random roots: their leaves are its shares. R gets, by OT, all leaves but the one where its noise entry y
//! lies. S sends the sum of a tree's leaves plus its b of a VOLE c = y·Δ + b; R, who holds c, adds that to all it has and finds
//! leaf + y·Δ in the place it lacked.

use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::block::Block;
use crate::ot::ggm::Generator;

/// S's side of a chunk.
pub struct Whole {
    /// Leaves, tree by tree.
    pub leaves: Zeroizing<Vec<[Block; 1]>>,
    /// For each level of each tree, the sums of left and of right children.
    pub sums: Zeroizing<Vec<[Block; 2]>>,
    /// The sum of each tree's leaves.
    pub totals: Zeroizing<Vec<Block>>,
}

/// Expands a tree of `leaves` leaves from each root.
pub fn expand(generator: &Generator, roots: &[Block], leaves: usize, depth: usize) -> Whole {
    let mut whole = Whole {
        leaves: Zeroizing::new(vec![[0; 1]; roots.len() * leaves]),
        sums: Zeroizing::new(vec![[0; 2]; roots.len() * depth]),
        totals: Zeroizing::new(vec![0; roots.len()]),
    };
    whole
        .leaves
        .par_chunks_exact_mut(leaves)
        .zip(whole.sums.par_chunks_exact_mut(depth))
        .zip(whole.totals.par_iter_mut())
        .zip(roots)
        .for_each(|(((leaves, sums), total), root)| {
            generator.expand(*root, bytemuck::must_cast_slice_mut(leaves), sums);
            let last = sums.last().expect("a tree has a level");
            *total = last[0] ^ last[1];
        });
    whole
}

/// What R knows of one tree.
pub struct Opening<'a> {
    /// Where the noise entry lies; what is read for a tree, and how long it takes, follows from its size, but addresses follow the path.
    pub position: usize,
    /// For each level, the sum of the side that the path avoids.
    pub known: &'a [Block],
    /// The noise entry.
    pub noise: Block,
    /// S's correction plus c.
    pub correction: Block,
}

/// R's leaves beside its noise, entry by entry, tree by tree.
pub fn puncture(
    generator: &Generator,
    openings: &[Opening<'_>],
    leaves: usize,
) -> Zeroizing<Vec<[Block; 2]>> {
    let mut pairs = Zeroizing::new(vec![[0; 2]; openings.len() * leaves]);
    pairs
        .par_chunks_exact_mut(leaves)
        .zip(openings)
        .for_each_init(
            || Zeroizing::new(vec![0; leaves]),
            |scratch, (pairs, opening)| {
                generator.puncture(opening.position, opening.known, scratch);
                let mut sum = opening.correction;
                for (pair, leaf) in pairs.iter_mut().zip(scratch.iter()) {
                    *pair = [*leaf, 0];
                    sum ^= leaf;
                }
                pairs[opening.position] = [sum, opening.noise];
            },
        );
    pairs
}
