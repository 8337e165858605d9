//! Regular noise as punctured GGM trees (Boyle et al. 2018, §4), for all trees of a chunk together.
//!
//! S expands whole trees of random roots: their leaves are its shares. R gets, by OT, all leaves but the one where its noise entry y
//! lies. S sends the sum of a tree's leaves plus its b of a VOLE c = y·Δ + b; R, who holds c, adds that to all it has and finds
//! leaf + y·Δ in the place it lacked.

use std::ops::BitXorAssign;

use rayon::prelude::*;
use zeroize::{DefaultIsZeroes, Zeroizing};

use crate::block::Block;
use crate::ot::ggm::{self, Generator};

/// An entry of C beside the entry of A in the same place: one cache line serves both.
#[derive(Clone, Copy, Default)]
#[repr(C, align(32))]
pub struct Pair {
    pub c: Block,
    pub a: Block,
}

impl DefaultIsZeroes for Pair {}

impl BitXorAssign for Pair {
    fn bitxor_assign(&mut self, other: Self) {
        self.c ^= other.c;
        self.a ^= other.a;
    }
}

/// What S tells R of a chunk's trees.
pub struct Sums {
    /// For each level of each tree, the sums of left and of right children.
    pub levels: Zeroizing<Vec<[Block; 2]>>,
    /// The sum of each tree's leaves.
    pub totals: Zeroizing<Vec<Block>>,
}

/// Fills `leaves`, tree by tree, from a root for each.
pub fn expand(generator: &Generator, roots: &[Block], leaves: &mut [Block]) -> Sums {
    let size = leaves.len() / roots.len();
    let depth = ggm::depth(size);
    let mut levels = Zeroizing::new(vec![[0; 2]; roots.len() * depth]);
    leaves
        .par_chunks_exact_mut(size)
        .zip(levels.par_chunks_exact_mut(depth))
        .zip(roots)
        .for_each(|((leaves, levels), root)| generator.expand(*root, leaves, levels));
    let last = levels
        .chunks_exact(depth)
        .map(|tree| tree[depth - 1][0] ^ tree[depth - 1][1]);
    Sums {
        totals: Zeroizing::new(last.collect()),
        levels,
    }
}

/// What R knows of one tree.
pub struct Opening<'a> {
    /// Where the noise entry lies.
    pub position: usize,
    /// For each level, the sum of the side that the path avoids.
    pub known: &'a [Block],
    /// The noise entry y, and S's correction plus c.
    pub noise: Pair,
}

/// Fills `leaves`, tree by tree, with all but the noise's, where R's share of leaf + y·Δ comes.
pub fn puncture(generator: &Generator, openings: &[Opening<'_>], leaves: &mut [Block]) {
    let size = leaves.len() / openings.len();
    leaves
        .par_chunks_exact_mut(size)
        .zip(openings)
        .for_each(|(leaves, opening)| {
            generator.puncture(opening.position, opening.known, leaves);
            let total = leaves.iter().fold(opening.noise.c, |sum, leaf| sum ^ leaf);
            for (i, leaf) in leaves.iter_mut().enumerate() {
                *leaf ^= total & ggm::equal(i, opening.position);
            }
        });
}

/// Prefix sums of the noise itself, which change once in every tree: a table of trees instead of a vector of leaves.
pub struct Steps {
    size: u32,
    /// For each tree, the sum of all noise before it, its noise and where that lies.
    trees: Zeroizing<Vec<(Block, Block, u64)>>,
}

impl Steps {
    pub fn new(openings: &[Opening<'_>], size: usize) -> Self {
        let mut sum = 0;
        let trees = openings.iter().map(|opening| {
            let before = sum;
            sum ^= opening.noise.a;
            (before, opening.noise.a, opening.position as u64)
        });
        Self {
            size: size as u32,
            trees: Zeroizing::new(trees.collect()),
        }
    }

    /// The sum of all noise up to a place, in time that depends on neither position nor noise.
    pub fn at(&self, place: usize) -> Block {
        let (tree, leaf) = (place as u32 / self.size, place as u32 % self.size);
        let (before, noise, position) = self.trees[tree as usize];
        let short = u64::from(leaf).wrapping_sub(position) >> 63;
        before ^ (noise & Block::from(short).wrapping_sub(1))
    }
}
