//! S, who ends with Δ and B.

use zeroize::Zeroizing;

use crate::block::{self, Block};
use crate::error::{Error, Result};
use crate::field;
use crate::ot::base::{self, Chooser};
use crate::ot::ggm::Generator;
use crate::ot::{PairHash, Session, softspoken};
use crate::prg::Prg;
use crate::vole::code::Code;
use crate::vole::parameters::{Parameters, WEIGHT};
use crate::vole::{Key, check, gather, pprf, randomness};

/// S after its offer. `expand` is the heavy work and needs nothing of R: run it while R prepares its request.
pub struct Sender {
    parameters: Parameters,
    session: Session,
    delta: Zeroizing<Block>,
    chooser: Chooser,
    prg: Prg,
}

/// S with all outputs computed, awaiting R's request.
pub struct Expanded {
    parameters: Parameters,
    session: Session,
    delta: Zeroizing<Block>,
    chooser: Chooser,
    chunks: Vec<Chunk>,
}

/// A chunk's sums for R, and its outputs.
struct Chunk {
    sums: Zeroizing<Vec<[Block; 2]>>,
    totals: Zeroizing<Vec<Block>>,
    outputs: Zeroizing<Vec<Block>>,
}

/// S after its answer.
pub enum Sent {
    /// Without checks: done.
    Done(Key),
    /// With checks: R's challenge comes next.
    Check(Proving),
}

/// S of the malicious variant, awaiting R's challenge.
pub struct Proving {
    key: Key,
    sacrificed: Zeroizing<Block>,
    session: Session,
}

impl Sender {
    /// S's state and its offer. `seed` is secret and new for every session.
    pub fn start(parameters: Parameters, session: Session, seed: Block) -> (Self, Vec<u8>) {
        let mut prg = randomness(&session, b"S", seed);
        let delta = Zeroizing::new(prg.block());
        let (chooser, offer) = Chooser::start(&session, *delta, &mut prg);
        let sender = Self {
            parameters,
            session,
            delta,
            chooser,
            prg,
        };
        (sender, offer)
    }

    /// Expands and compresses every chunk.
    pub fn expand(mut self) -> Expanded {
        let parameters = self.parameters;
        let generator = Generator::new(&self.session, "vole");
        let mut chunks = Vec::with_capacity(parameters.chunks());
        let code = (parameters.chunks() > 0).then(|| Code::new(parameters.chunk()));
        for _ in 0..parameters.chunks() {
            let mut roots = Zeroizing::new(vec![0; WEIGHT]);
            self.prg.fill(&mut roots);
            let mut whole =
                pprf::expand(&generator, &roots, parameters.leaves(), parameters.depth());
            let outputs = code
                .iter()
                .flat_map(|code| code.compress(&mut whole.leaves));
            chunks.push(Chunk {
                outputs: Zeroizing::new(outputs.map(|[b]| b).collect()),
                sums: whole.sums,
                totals: whole.totals,
            });
        }
        Expanded {
            parameters,
            session: self.session,
            delta: self.delta,
            chooser: self.chooser,
            chunks,
        }
    }
}

impl Expanded {
    /// S's answer to R's request, and S's result or, with checks, the state that awaits R's challenge.
    pub fn answer(self, request: &[u8]) -> Result<(Sent, Vec<u8>)> {
        let parameters = self.parameters;
        if request.len() != parameters.request_bytes() {
            return Err(Error::Malformed);
        }
        let (reply, extension) = request.split_at(base::REPLY_BYTES);
        let keys = self.chooser.finish(reply)?;
        let delta = *self.delta;
        let tiles = parameters.tiles();
        let rows = softspoken::correlate(
            &self.session,
            delta,
            &keys,
            tiles,
            parameters.malicious(),
            extension,
        )?;
        let (direct, paths) = rows.split_at(parameters.direct() * softspoken::TILE);
        let direct: Zeroizing<Vec<Block>> =
            Zeroizing::new(direct.chunks_exact(softspoken::TILE).map(gather).collect());
        let answer = masked_sums(&self.session, delta, paths, &self.chunks)
            .into_iter()
            .chain(corrections(&direct, &self.chunks))
            .collect::<Vec<_>>();
        let mut b = Vec::with_capacity(parameters.chunks() * parameters.chunk());
        if self.chunks.is_empty() {
            b.extend_from_slice(&direct);
        }
        for (i, chunk) in self.chunks.iter().enumerate() {
            let reserved = if i + 1 < self.chunks.len() { WEIGHT } else { 0 };
            b.extend_from_slice(&chunk.outputs[reserved..]);
        }
        b.truncate(parameters.outputs());
        let key = Key { delta, b };
        let sent = if parameters.malicious() {
            let sacrificed = Zeroizing::new(direct[parameters.direct() - 1]);
            Sent::Check(Proving {
                key,
                sacrificed,
                session: self.session,
            })
        } else {
            Sent::Done(key)
        };
        Ok((sent, block::as_bytes(&answer).to_vec()))
    }
}

/// Both sums of every level of every tree, each under its OT's string.
fn masked_sums(session: &Session, delta: Block, rows: &[Block], chunks: &[Chunk]) -> Vec<Block> {
    let hash = PairHash::new(session);
    let mut masks: Vec<Block> = Vec::new();
    let sums: Vec<[Block; 2]> = chunks
        .iter()
        .flat_map(|chunk| chunk.sums.iter().copied())
        .collect();
    masks.extend_from_slice(&rows[..sums.len()]);
    let mut left = Zeroizing::new(masks);
    let mut right = Zeroizing::new(left.iter().map(|row| row ^ delta).collect::<Vec<_>>());
    hash.hash(&mut left, 0);
    hash.hash(&mut right, 0);
    let masks = left.iter().zip(right.iter());
    sums.iter()
        .zip(masks)
        .flat_map(|(sum, (l, r))| [sum[0] ^ l, sum[1] ^ r])
        .collect()
}

/// For every tree, the sum of its leaves plus the b of its noise entry.
fn corrections(direct: &[Block], chunks: &[Chunk]) -> Vec<Block> {
    let before = std::iter::once(direct).chain(chunks.iter().map(|chunk| chunk.outputs.as_slice()));
    let trees = chunks.iter().zip(before);
    trees
        .flat_map(|(chunk, noise)| chunk.totals.iter().zip(noise).map(|(total, b)| total ^ b))
        .collect()
}

impl Proving {
    /// S's result and its proof.
    pub fn prove(self, challenge: &[u8]) -> Result<(Key, Vec<u8>)> {
        let challenge = block::from_bytes(challenge, 2)?;
        let (point, change) = (challenge[0], challenge[1]);
        let sacrificed = *self.sacrificed ^ field::mul(change, self.key.delta);
        let value = check::combine(point, &self.key.b) ^ sacrificed;
        let proof = check::proof(&self.session, value);
        Ok((self.key, proof.to_vec()))
    }
}
