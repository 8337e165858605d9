//! SoftSpoken OT extension with k = 4 (Roy 2022, figures 8–10), from 128 base OTs to correlated OTs q = t ⊕ u·Δ.
//!
//! Four base OTs at a time carry a punctured GGM tree of 16 seeds, of which the sender lacks number Δ_g; the streams of
//! all seeds sum to a choice vector, and weighted by their numbers to four columns. The receiver sends what makes every group's
//! choice vector its own: 32 bits for each OT. With `malicious`, the trees are checked by their leaves' hashes and the columns by a
//! polynomial hash over GF(2^128) at a point that the message itself fixes (Fiat–Shamir), masked by 128 further OTs; both
//! leave a cheating receiver what a guess of bits of Δ gives it, at the price of being caught with the probability of a wrong guess.

use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::block::{self, BYTES, Block};
use crate::error::{Error, Result};
use crate::field;
use crate::ot::Session;
use crate::ot::base::COUNT;
use crate::ot::ggm::Generator;
use crate::ot::transpose::transpose;
use crate::prg::Prg;

/// Base OTs of a group, k.
const BITS: usize = 4;
const SEEDS: usize = 1 << BITS;
const GROUPS: usize = COUNT / BITS;
/// OTs are made in tiles of as many as a block has bits.
pub const TILE: usize = 128;
/// Blocks of a stream that are summed at a time: 16 streams of 64 blocks stay in the first cache.
const BATCH: usize = 64;
const DIGEST: usize = blake3::OUT_LEN;
const PURPOSE: &str = "softspoken";

/// Bytes of the receiver's message for so many tiles.
pub fn message_bytes(tiles: usize, malicious: bool) -> usize {
    let (trees, sums, columns, proof) = layout(tiles, malicious);
    trees + sums + columns + proof
}

/// The parts of a message in their order: masked sums of trees, leaf digests, corrections, column hashes.
fn layout(tiles: usize, malicious: bool) -> (usize, usize, usize, usize) {
    let trees = GROUPS * BITS * 2 * BYTES;
    if malicious {
        (
            trees,
            (GROUPS + 1) * DIGEST,
            GROUPS * (tiles + 1) * BYTES,
            (1 + COUNT) * BYTES,
        )
    } else {
        (trees, 0, GROUPS * tiles * BYTES, 0)
    }
}

/// The receiver's side: the rows t for the choices, 128 of them in each block, and its message.
pub fn choose(
    session: &Session,
    keys: &[[Block; 2]],
    choices: &[Block],
    malicious: bool,
    prg: &mut Prg,
) -> (Zeroizing<Vec<Block>>, Vec<u8>) {
    let wanted = choices.len();
    // Room for the masking tile, so that no unwiped copy is left behind.
    let mut all_choices = Zeroizing::new(Vec::with_capacity(wanted + 1));
    all_choices.extend_from_slice(choices);
    let mut choices = all_choices;
    let mut message = Vec::with_capacity(message_bytes(wanted, malicious));
    let generator = Generator::new(session, PURPOSE);
    let mut digests = Vec::new();
    let mut all = blake3::Hasher::new_keyed(session);
    let mut seeds = Zeroizing::new(Vec::with_capacity(GROUPS));
    for keys in keys.chunks_exact(BITS) {
        let mut leaves = Zeroizing::new([0; SEEDS]);
        let mut sums = [[0; 2]; BITS];
        generator.expand(prg.block(), &mut *leaves, &mut sums);
        for (sum, key) in sums.iter().zip(keys.iter().rev()) {
            message.extend_from_slice(block::as_bytes(&[sum[0] ^ key[0], sum[1] ^ key[1]]));
        }
        let (group, checks) = finish_leaves(session, &leaves, SEEDS - 1);
        digests.extend_from_slice(&checks.iter().fold([0; DIGEST], xor));
        for check in &checks {
            all.update(check);
        }
        seeds.push(group);
    }
    if malicious {
        message.extend_from_slice(&digests);
        message.extend_from_slice(all.finalize().as_bytes());
        choices.push(prg.block());
    }
    let (columns, sums) = expand(&seeds, 0, choices.len());
    for group in sums.chunks_exact(choices.len()) {
        let correction: Vec<Block> = group
            .iter()
            .zip(choices.iter())
            .map(|(a, b)| a ^ b)
            .collect();
        message.extend_from_slice(block::as_bytes(&correction));
    }
    if malicious {
        let hash = ColumnHash::new(session, &message, wanted);
        message.extend_from_slice(block::as_bytes(&[hash.of(&choices)]));
        let hashes: Vec<Block> = columns
            .chunks_exact(choices.len())
            .map(|c| hash.of(c))
            .collect();
        message.extend_from_slice(block::as_bytes(&hashes));
    }
    (rows(&columns, wanted), message)
}

/// The sender's side: the rows q, from its choice Δ in the base OTs and the strings these gave it.
pub fn correlate(
    session: &Session,
    delta: Block,
    keys: &[Block],
    tiles: usize,
    malicious: bool,
    message: &[u8],
) -> Result<Zeroizing<Vec<Block>>> {
    if message.len() != message_bytes(tiles, malicious) {
        return Err(Error::Malformed);
    }
    let (trees, digests, corrections, _) = layout(tiles, malicious);
    let length = tiles + usize::from(malicious);
    let (masked, rest) = message.split_at(trees);
    let (digests, rest) = rest.split_at(digests);
    let (corrections, proof) = rest.split_at(corrections);
    let masked = block::from_bytes(masked, GROUPS * BITS * 2)?;
    let corrections = block::from_bytes(corrections, GROUPS * length)?;
    let seeds = recover_seeds(session, delta, keys, &masked, digests)?;
    let (mut columns, _) = expand(&seeds, 1, length);
    for (j, column) in columns.chunks_exact_mut(length).enumerate() {
        let chosen = mask(delta, j);
        let correction = &corrections[(j / BITS) * length..][..length];
        for (value, change) in column.iter_mut().zip(correction) {
            *value ^= change & chosen;
        }
    }
    if malicious {
        let proof = block::from_bytes(proof, 1 + COUNT)?;
        let hash = ColumnHash::new(
            session,
            &message[..message.len() - (1 + COUNT) * BYTES],
            tiles,
        );
        let mut differences = 0;
        for (j, column) in columns.chunks_exact(length).enumerate() {
            differences |= hash.of(column) ^ proof[1 + j] ^ (proof[0] & mask(delta, j));
        }
        if differences != 0 {
            return Err(Error::Inconsistent);
        }
    }
    Ok(rows(&columns, tiles))
}

/// The seeds of every group by number relative to Δ_g, the unknown one first; leaf digests are checked where there are any.
fn recover_seeds(
    session: &Session,
    delta: Block,
    keys: &[Block],
    masked: &[Block],
    digests: &[u8],
) -> Result<Zeroizing<Vec<[Block; SEEDS]>>> {
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

/// All ones if bit `i` is set, in time that does not depend on it.
fn mask(value: Block, i: usize) -> Block {
    0u128.wrapping_sub((value >> i) & 1)
}

/// Of every group, the streams summed with the bits of their seeds' numbers (128 columns), and summed plainly; seeds before `first` count as 0.
fn expand(
    seeds: &[[Block; SEEDS]],
    first: usize,
    length: usize,
) -> (Zeroizing<Vec<Block>>, Zeroizing<Vec<Block>>) {
    let mut columns = Zeroizing::new(vec![0; COUNT * length]);
    let mut sums = Zeroizing::new(vec![0; GROUPS * length]);
    columns
        .par_chunks_mut(BITS * length)
        .zip(sums.par_chunks_mut(length))
        .zip(seeds)
        .for_each(|((columns, sums), seeds)| {
            let mut streams: Vec<Prg> = seeds[first..].iter().map(|seed| Prg::new(*seed)).collect();
            let mut buffers = Zeroizing::new([[0; BATCH]; SEEDS]);
            for start in (0..length).step_by(BATCH) {
                let count = BATCH.min(length - start);
                for (stream, buffer) in streams.iter_mut().zip(&mut buffers[first..]) {
                    stream.fill(&mut buffer[..count]);
                }
                buffers[..first].fill([0; BATCH]);
                fold(&mut buffers, |bit, values| {
                    columns[bit * length + start..][..count].copy_from_slice(&values[..count]);
                });
                sums[start..start + count].copy_from_slice(&buffers[0][..count]);
            }
        });
    (columns, sums)
}

/// Sums 16 buffers into the first by halves; what the upper half of a bit adds up to is that bit's column.
fn fold(buffers: &mut [[Block; BATCH]; SEEDS], mut column: impl FnMut(usize, &[Block])) {
    for bit in (0..BITS).rev() {
        let half = 1 << bit;
        let (lower, upper) = buffers[..2 * half].split_at_mut(half);
        let mut sums = [0; BATCH];
        for (lower, upper) in lower.iter_mut().zip(upper) {
            for ((sum, low), high) in sums.iter_mut().zip(lower).zip(upper) {
                *sum ^= *high;
                *low ^= *high;
            }
        }
        column(bit, &sums);
    }
}

/// The first `tiles` tiles of the columns as rows, one for each OT.
fn rows(columns: &[Block], tiles: usize) -> Zeroizing<Vec<Block>> {
    let length = columns.len() / COUNT;
    let mut rows = Zeroizing::new(vec![0; TILE * tiles]);
    rows.par_chunks_exact_mut(TILE)
        .enumerate()
        .for_each(|(tile, rows)| {
            let square: &mut [Block; TILE] = rows.try_into().expect("a tile");
            for (j, row) in square.iter_mut().enumerate() {
                *row = columns[j * length + tile];
            }
            transpose(square);
        });
    rows
}

/// Σ X^(i+1)·c[i] + c[last]: linear, and two different columns collide with probability length/2^128 over X.
struct ColumnHash {
    powers: Vec<Block>,
}

impl ColumnHash {
    fn new(session: &Session, transcript: &[u8], length: usize) -> Self {
        let mut bytes = [0; BYTES];
        blake3::Hasher::new_keyed(session)
            .update(b"fedsandbox softspoken check v1")
            .update(transcript)
            .finalize_xof()
            .fill(&mut bytes);
        let point = Block::from_le_bytes(bytes);
        let powers = std::iter::successors(Some(point), |power| Some(field::mul(*power, point)));
        Self {
            powers: powers.take(length).collect(),
        }
    }

    fn of(&self, column: &[Block]) -> Block {
        let (last, rest) = column.split_last().expect("a masking tile");
        field::inner(&self.powers, rest) ^ last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SESSION: Session = [8; 32];
    const DELTA: Block = 0x1f2e_3d4c_5b6a_7988_0123_4567_89ab_cdef;

    fn keys(seed: Block) -> (Vec<[Block; 2]>, Vec<Block>) {
        let mut prg = Prg::new(seed);
        let pairs: Vec<[Block; 2]> = (0..COUNT).map(|_| [prg.block(), prg.block()]).collect();
        let chosen = pairs
            .iter()
            .enumerate()
            .map(|(i, pair)| pair[(DELTA >> i) as usize & 1]);
        let chosen = chosen.collect();
        (pairs, chosen)
    }

    fn choices(tiles: usize) -> Vec<Block> {
        let mut choices = vec![0; tiles];
        Prg::new(99).fill(&mut choices);
        choices
    }

    #[test]
    fn every_row_is_correlated() {
        for (tiles, malicious) in [
            (1, false),
            (64, false),
            (65, true),
            (200, true),
            (130, false),
        ] {
            let (pairs, chosen) = keys(1);
            let choices = choices(tiles);
            let (t, message) = choose(&SESSION, &pairs, &choices, malicious, &mut Prg::new(2));
            assert_eq!(message.len(), message_bytes(tiles, malicious));
            let q = correlate(&SESSION, DELTA, &chosen, tiles, malicious, &message).unwrap();
            assert_eq!((t.len(), q.len()), (TILE * tiles, TILE * tiles));
            for i in 0..t.len() {
                assert_eq!(
                    q[i],
                    t[i] ^ (mask(choices[i / TILE], i % TILE) & DELTA),
                    "OT {i}"
                );
            }
        }
    }

    #[test]
    fn a_receiver_whose_choices_differ_between_groups_is_caught() {
        let (pairs, chosen) = keys(3);
        let (_, message) = choose(&SESSION, &pairs, &choices(3), true, &mut Prg::new(4));
        let (trees, digests, ..) = layout(3, true);
        for at in [
            0,
            trees,
            trees + digests,
            message.len() - 1,
            message.len() - 2000,
        ] {
            let mut message = message.clone();
            // A flip in a tree or a correction may hit what Δ hides; some bit of a block of either side does not.
            message[at..at + 1]
                .iter_mut()
                .for_each(|byte| *byte ^= 0xff);
            message[at.saturating_sub(16)] ^= 1;
            let outcome = correlate(&SESSION, DELTA, &chosen, 3, true, &message);
            assert_eq!(outcome.err(), Some(Error::Inconsistent), "byte {at}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_bytes_are_answered_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..20_000), malicious: bool, tiles in 1usize..20) {
            let (_, chosen) = keys(5);
            let _ = correlate(&SESSION, DELTA, &chosen, tiles, malicious, &bytes);
            let mut fitting = bytes;
            fitting.resize(message_bytes(tiles, malicious), 7);
            let _ = correlate(&SESSION, DELTA, &chosen, tiles, malicious, &fitting);
        }
    }
}
