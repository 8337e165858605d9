//! GGM trees of any number of leaves, whole and punctured (Boyle et al. 2019, figure 3), children by fixed-key AES.
//!
//! A node x has the children π₀(x) ⊕ x and π₁(x) ⊕ x. A party that gets, at every level, the sum of the nodes on the side
//! that its path avoids computes every leaf but one. The path of the punctured leaf is given by its bits, highest first.

use zeroize::Zeroizing;

use crate::block::Block;
use crate::ot::Session;
use crate::ot::hash::fixed_key;
use crate::prg::FixedKeyHash;

const BATCH: usize = 64;

/// The two permutations of a session's trees.
pub struct Generator {
    sides: [FixedKeyHash; 2],
}

/// Levels below the root of a tree with so many leaves.
pub fn depth(leaves: usize) -> usize {
    leaves.next_power_of_two().trailing_zeros() as usize
}

impl Generator {
    /// Trees of one purpose in one session.
    pub fn new(session: &Session, purpose: &str) -> Self {
        Self {
            sides: ["left", "right"].map(|side| {
                fixed_key(
                    session,
                    format!("fedsandbox ggm v1 {purpose} {side}").as_bytes(),
                )
            }),
        }
    }

    /// Fills `leaves` from the root, and for every level the sums of the left and of the right children.
    pub fn expand(&self, root: Block, leaves: &mut [Block], sums: &mut [[Block; 2]]) {
        let depth = depth(leaves.len());
        assert_eq!(sums.len(), depth);
        leaves[0] = root;
        for (level, sum) in sums.iter_mut().enumerate() {
            *sum = self.children(leaves, level, depth);
        }
    }

    /// Fills all `leaves` but the one at `position`, which becomes 0, from the sums of the sides its path avoids.
    pub fn puncture(&self, position: usize, known: &[Block], leaves: &mut [Block]) {
        let depth = depth(leaves.len());
        assert_eq!(known.len(), depth);
        leaves[0] = 0;
        for (level, known) in known.iter().enumerate() {
            let sums = self.children(leaves, level, depth);
            let on_path = position >> (depth - level - 1);
            let sibling = on_path ^ 1;
            // The children of the unknown node were computed as those of 0; the sibling's true value is what its side lacks.
            // Every node of the level is touched, so that no address depends on the path.
            let side = 0u128.wrapping_sub((sibling & 1) as Block);
            let change = known ^ (sums[0] & !side) ^ (sums[1] & side);
            let end = width(leaves.len(), level + 1, depth);
            for (i, node) in leaves[..end].iter_mut().enumerate() {
                *node = (*node ^ (change & equal(i, sibling))) & !equal(i, on_path);
            }
        }
    }

    /// Replaces the nodes of a level by those of the next, in place; the sums of both sides.
    fn children(&self, nodes: &mut [Block], level: usize, depth: usize) -> [Block; 2] {
        let parents = width(nodes.len(), level, depth);
        let end = width(nodes.len(), level + 1, depth);
        let mut sums = [0; 2];
        let mut buffers = Zeroizing::new([[0; BATCH]; 2]);
        // From the back, so that no parent is overwritten before it is read.
        for start in (0..parents).step_by(BATCH).rev() {
            let batch = &nodes[start..parents.min(start + BATCH)];
            let count = batch.len();
            let [left, right] = &mut *buffers;
            left[..count].copy_from_slice(batch);
            right[..count].copy_from_slice(batch);
            self.sides[0].hash_blocks(&mut left[..count]);
            self.sides[1].hash_blocks(&mut right[..count]);
            if 2 * (start + count) > end {
                right[count - 1] = 0;
            }
            let out = &mut nodes[2 * start..end.min(2 * (start + count))];
            for (pair, (l, r)) in out.chunks_mut(2).zip(left.iter().zip(right.iter())) {
                pair[0] = *l;
                sums[0] ^= l;
                sums[1] ^= r;
                if let Some(second) = pair.get_mut(1) {
                    *second = *r;
                }
            }
        }
        sums
    }
}

/// All ones if two node numbers are equal, in time that does not depend on them.
pub fn equal(a: usize, b: usize) -> Block {
    let difference = (a ^ b) as u64;
    let word = (difference.wrapping_sub(1) & !difference) >> 63;
    0u128.wrapping_sub(Block::from(word))
}

/// Nodes of a level above `leaves` leaves.
fn width(leaves: usize, level: usize, depth: usize) -> usize {
    leaves.div_ceil(1 << (depth - level))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_punctured_tree_has_every_leaf_but_one(root: Block, leaves in 2usize..700, at: prop::sample::Index) {
            let generator = Generator::new(&[1; 32], "test");
            let position = at.index(leaves);
            let depth = depth(leaves);
            let mut whole = vec![0; leaves];
            let mut sums = vec![[0; 2]; depth];
            generator.expand(root, &mut whole, &mut sums);
            let known: Vec<Block> = (0..depth)
                .map(|level| sums[level][1 - ((position >> (depth - level - 1)) & 1)])
                .collect();
            let mut punctured = vec![0; leaves];
            generator.puncture(position, &known, &mut punctured);
            prop_assert_ne!(whole[position], 0);
            whole[position] = 0;
            prop_assert_eq!(whole, punctured);
        }
    }

    #[test]
    fn leaves_follow_the_path_from_the_root() {
        let generator = Generator::new(&[2; 32], "test");
        let mut leaves = [0; 11];
        generator.expand(77, &mut leaves, &mut [[0; 2]; 4]);
        for (i, leaf) in leaves.iter().enumerate() {
            let mut node = [77];
            for level in (0..4).rev() {
                generator.sides[(i >> level) & 1].hash_blocks(&mut node);
            }
            assert_eq!(node[0], *leaf);
        }
    }
}
