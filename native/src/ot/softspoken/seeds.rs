//! The seeds of the groups: trees of 16 leaves that the receiver grows and the sender, but for one leaf each, recovers.

use zeroize::Zeroizing;

use super::{BITS, DIGEST, GROUPS, SEEDS, mask};
use crate::block::{BYTES, Block};
use crate::error::{Error, Result};
use crate::ot::Session;
use crate::ot::ggm::Generator;
use crate::prg::Prg;

const PURPOSE: &str = "softspoken";

/// Of every group its seeds, by number.
pub type Seeds = Zeroizing<Vec<[Block; SEEDS]>>;

/// What the receiver grew.
pub struct Grown {
    pub seeds: Seeds,
    /// Both sums of every level of every tree, each under a string of its base OT.
    pub masked: Vec<Block>,
    /// Each group's sum of check values, and the hash of them all.
    pub digests: Vec<u8>,
}

/// Grows the trees of all groups from fresh roots, `keys` being both strings of every base OT.
pub fn grow(session: &Session, keys: &[[Block; 2]], prg: &mut Prg) -> Grown {
    let generator = Generator::new(session, PURPOSE);
    let mut grown = Grown {
        seeds: Zeroizing::new(Vec::with_capacity(GROUPS)),
        masked: Vec::with_capacity(2 * BITS * GROUPS),
        digests: Vec::with_capacity(DIGEST * (GROUPS + 1)),
    };
    let mut all = blake3::Hasher::new_keyed(session);
    for keys in keys.chunks_exact(BITS) {
        let mut leaves = Zeroizing::new([0; SEEDS]);
        let mut sums = [[0; 2]; BITS];
        generator.expand(prg.block(), &mut *leaves, &mut sums);
        for (sum, key) in sums.iter().zip(keys.iter().rev()) {
            grown.masked.extend([sum[0] ^ key[0], sum[1] ^ key[1]]);
        }
        let (group, checks) = finish_leaves(session, &leaves, SEEDS - 1);
        grown
            .digests
            .extend_from_slice(&checks.iter().fold([0; DIGEST], xor));
        for check in &checks {
            all.update(check);
        }
        grown.seeds.push(group);
    }
    grown.digests.extend_from_slice(all.finalize().as_bytes());
    grown
}

/// The seeds of every group by number relative to Δ_g, the unknown one first; leaf digests are checked where there are any.
pub fn recover(
    session: &Session,
    delta: Block,
    keys: &[Block],
    masked: &[Block],
    digests: &[u8],
) -> Result<Seeds> {
    let generator = Generator::new(session, PURPOSE);
    let mut all = blake3::Hasher::new_keyed(session);
    let mut seeds = Zeroizing::new(Vec::with_capacity(GROUPS));
    for (g, keys) in keys.chunks_exact(BITS).enumerate() {
        // The base OTs open the sides that Δ_g names, so that the path of the missing leaf is its complement.
        let number = (delta >> (BITS * g)) as usize & (SEEDS - 1);
        let known: [Block; BITS] = std::array::from_fn(|level| {
            let bit = BITS - 1 - level;
            let sums = &masked[2 * (BITS * g + level)..][..2];
            let side = mask(delta, BITS * g + bit);
            (sums[0] & !side) ^ (sums[1] & side) ^ keys[bit]
        });
        let mut leaves = Zeroizing::new([0; SEEDS]);
        generator.puncture(number ^ (SEEDS - 1), &known, &mut *leaves);
        let (group, mut checks) = finish_leaves(session, &leaves, number ^ (SEEDS - 1));
        if let Some(sum) = digests.chunks_exact(DIGEST).nth(g) {
            let others = checks[1..].iter().fold([0; DIGEST], xor);
            checks[0] = xor(others, sum.try_into().map_err(|_| Error::Malformed)?);
            // The receiver's order: by number, not relative to Δ_g.
            for x in 0..SEEDS {
                all.update(&checks[x ^ number]);
            }
        }
        seeds.push(group);
    }
    if !digests.is_empty() && *all.finalize().as_bytes() != digests[GROUPS * DIGEST..] {
        return Err(Error::Inconsistent);
    }
    for group in seeds.iter_mut() {
        group[0] = 0;
    }
    Ok(seeds)
}

/// Seed and check value of every leaf; place y holds those of leaf y ⊕ `shift`, moved there without an address that depends on it.
fn finish_leaves(
    session: &Session,
    leaves: &[Block; SEEDS],
    shift: usize,
) -> ([Block; SEEDS], [[u8; DIGEST]; SEEDS]) {
    let mut moved = Zeroizing::new(*leaves);
    for bit in 0..BITS {
        let swap = mask(shift as Block, bit);
        for y in (0..SEEDS).filter(|y| y & (1 << bit) == 0) {
            let change = (moved[y] ^ moved[y | (1 << bit)]) & swap;
            moved[y] ^= change;
            moved[y | (1 << bit)] ^= change;
        }
    }
    let mut seeds = [0; SEEDS];
    let mut checks = [[0; DIGEST]; SEEDS];
    for (leaf, (seed, check)) in moved.iter().zip(seeds.iter_mut().zip(checks.iter_mut())) {
        let mut output = blake3::Hasher::new_keyed(session)
            .update(b"fedsandbox softspoken leaf v1")
            .update(&leaf.to_le_bytes())
            .finalize_xof();
        let mut bytes = [0; BYTES];
        output.fill(&mut bytes);
        *seed = Block::from_le_bytes(bytes);
        output.fill(check);
    }
    (seeds, checks)
}

fn xor(mut a: [u8; DIGEST], b: &[u8; DIGEST]) -> [u8; DIGEST] {
    a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
    a
}
