//! R, who ends with A and C.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::block::{self, Block};
use crate::error::{Error, Result};
use crate::ot::{PairHash, Session, base, softspoken};
use crate::prg::Prg;
use crate::vole::expanding::Expanding;
use crate::vole::parameters::Parameters;
use crate::vole::pprf::Pair;
use crate::vole::{Noise, check, gather, randomness};

/// R before S's offer.
pub struct Receiver {
    parameters: Parameters,
    session: Session,
    prg: Prg,
}

/// R after its request, awaiting S's answer.
pub struct Awaiting {
    parameters: Parameters,
    session: Session,
    /// Where the noise of every tree of every chunk lies.
    positions: Zeroizing<Vec<usize>>,
    /// A and C of the entries made from OTs.
    direct: Zeroizing<Vec<Pair>>,
    /// The OT rows that choose the trees' paths.
    paths: Zeroizing<Vec<Block>>,
    prg: Prg,
}

/// R of the malicious variant, awaiting S's proof.
pub struct Checking {
    noise: Noise,
    expected: [u8; check::PROOF],
}

impl Receiver {
    /// `seed` is secret and new for every session.
    pub fn new(parameters: Parameters, session: Session, seed: Block) -> Self {
        let prg = randomness(&session, b"R", seed);
        Self {
            parameters,
            session,
            prg,
        }
    }

    /// R's request to S's offer.
    pub fn request(mut self, offer: &[u8]) -> Result<(Awaiting, Vec<u8>)> {
        let parameters = self.parameters;
        let (keys, mut message) = base::send(&self.session, offer, &mut self.prg)?;
        let positions = positions(&parameters, &mut self.prg);
        let mut choices = Zeroizing::new(Vec::with_capacity(parameters.tiles()));
        choices.resize(parameters.direct(), 0);
        self.prg.fill(&mut choices);
        choices.extend(path_choices(&positions, parameters.depth()).iter());
        let (rows, extension) = softspoken::choose(
            &self.session,
            &keys,
            &choices,
            parameters.malicious(),
            &mut self.prg,
        );
        message.extend_from_slice(&extension);
        let (direct, paths) = rows.split_at(parameters.direct() * softspoken::TILE);
        let entries = choices.iter().zip(direct.chunks_exact(softspoken::TILE));
        let awaiting = Awaiting {
            parameters,
            session: self.session,
            positions,
            direct: Zeroizing::new(
                entries
                    .map(|(a, rows)| Pair {
                        a: *a,
                        c: gather(rows),
                    })
                    .collect(),
            ),
            paths: Zeroizing::new(paths.to_vec()),
            prg: self.prg,
        };
        Ok((awaiting, message))
    }
}

/// One position for each tree, uniform among its leaves but for 2^-54.
fn positions(parameters: &Parameters, prg: &mut Prg) -> Zeroizing<Vec<usize>> {
    let mut words = Zeroizing::new(vec![0; parameters.trees()]);
    prg.fill(&mut words);
    let scaled = words
        .iter()
        .map(|word| (((word >> 64) * parameters.leaves() as u128) >> 64) as usize);
    Zeroizing::new(scaled.collect())
}

/// For every level of every tree the side that its path avoids, 128 to a block.
fn path_choices(positions: &[usize], depth: usize) -> Zeroizing<Vec<Block>> {
    let mut choices = Zeroizing::new(vec![
        0;
        (positions.len() * depth).div_ceil(softspoken::TILE)
    ]);
    for (tree, position) in positions.iter().enumerate() {
        for level in 0..depth {
            let avoided = !(position >> (depth - 1 - level)) & 1;
            let ot = tree * depth + level;
            choices[ot / softspoken::TILE] |= (avoided as Block) << (ot % softspoken::TILE);
        }
    }
    choices
}

impl Awaiting {
    /// R's result from S's answer, chunk by chunk, without checks; `Parameters` where there are some.
    pub fn expand(self, answer: &[u8]) -> Result<Expanding> {
        if self.parameters.malicious() {
            return Err(Error::Parameters("a VOLE with checks has a challenge"));
        }
        self.expanding(answer)
    }

    /// R's challenge to S's answer; `Parameters` for a VOLE without checks.
    pub fn challenge(mut self, answer: &[u8]) -> Result<(Checking, Vec<u8>)> {
        if !self.parameters.malicious() {
            return Err(Error::Parameters("a VOLE without checks has no challenge"));
        }
        let (session, point) = (self.session, self.prg.block());
        let sacrificed = self.direct.last().copied().unwrap_or_default();
        let mut a = Zeroizing::new(vec![0; self.parameters.outputs()]);
        let mut expanding = self.expanding(answer)?;
        while !expanding.next(&mut a).is_empty() {}
        let mut c = expanding.finish();
        let change = check::combine(point, &a) ^ sacrificed.a;
        let expected = check::proof(&session, check::combine(point, &c) ^ sacrificed.c);
        let noise = Noise {
            a: std::mem::take(&mut *a),
            c: std::mem::take(&mut *c),
        };
        let challenge = block::as_bytes(&[point, change]).to_vec();
        Ok((Checking { noise, expected }, challenge))
    }

    fn expanding(self, answer: &[u8]) -> Result<Expanding> {
        let parameters = self.parameters;
        if answer.len() != parameters.answer_bytes() {
            return Err(Error::Malformed);
        }
        let answer = block::from_bytes(answer, answer.len() / block::BYTES)?;
        let (masked, corrections) = answer.split_at(2 * parameters.path_ots());
        let known = self.open(masked);
        Ok(Expanding::new(
            parameters,
            &self.session,
            self.positions,
            known,
            corrections.to_vec(),
            self.direct,
        ))
    }

    /// The sum of the avoided side for every level of every tree.
    fn open(&self, masked: &[Block]) -> Zeroizing<Vec<Block>> {
        let depth = self.parameters.depth();
        let ots = self.parameters.path_ots();
        let mut known = Zeroizing::new(self.paths[..ots].to_vec());
        PairHash::new(&self.session).hash(&mut known, 0);
        for (ot, (known, sums)) in known.iter_mut().zip(masked.chunks_exact(2)).enumerate() {
            let side = self.positions[ot / depth] >> (depth - 1 - ot % depth) & 1;
            let left = 0u128.wrapping_sub(side as u128);
            *known ^= (sums[0] & left) ^ (sums[1] & !left);
        }
        known
    }
}

impl Checking {
    /// R's result if S's proof holds.
    pub fn finish(self, proof: &[u8]) -> Result<Noise> {
        if proof.len() != check::PROOF {
            return Err(Error::Malformed);
        }
        if bool::from(proof.ct_eq(&self.expected)) {
            Ok(self.noise)
        } else {
            Err(Error::Inconsistent)
        }
    }
}
