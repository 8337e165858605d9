//! S, who ends with Δ and B.

use zeroize::Zeroizing;

use crate::block::{self, Block};
use crate::error::{Error, Result};
use crate::field;
use crate::ot::base::{self, Chooser};
use crate::ot::ggm::Generator;
use crate::ot::{PairHash, Session, softspoken};
use crate::prg::Prg;
use crate::vole::code::{self, Code};
use crate::vole::parameters::{Parameters, WEIGHT};
use crate::vole::pprf::{self, Sums};
use crate::vole::{Key, check, gather, randomness};

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
    chunks: Vec<Sums>,
    /// B of the noise of every chunk but the first.
    reserved: Zeroizing<Vec<Block>>,
    b: Zeroizing<Vec<Block>>,
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
        let p = self.parameters;
        let mut chunks = Vec::with_capacity(p.chunks());
        let mut reserved = Zeroizing::new(Vec::with_capacity(p.trees()));
        let mut b = Zeroizing::new(vec![0; p.outputs().max(p.made())]);
        if p.chunks() > 0 {
            let generator = Generator::new(&self.session, "vole");
            let code = Code::new(p.chunk());
            let mut leaves = Zeroizing::new(vec![0; 2 * p.chunk()]);
            let mut mixed = Zeroizing::new(vec![0; 2 * p.chunk()]);
            let mut roots = Zeroizing::new(vec![0; WEIGHT]);
            for i in 0..p.chunks() {
                self.prg.fill(&mut roots);
                chunks.push(pprf::expand(&generator, &roots, &mut leaves));
                // The next chunk overwrites what is reserved for its noise.
                let out = &mut b[i * (p.chunk() - WEIGHT)..][..p.chunk()];
                code::accumulate(&mut leaves);
                code.compress(&leaves, |sum, _| sum, &mut mixed, out);
                reserved.extend_from_slice(&out[p.chunk() - WEIGHT..]);
            }
            reserved.truncate(p.trees() - WEIGHT);
        }
        Expanded {
            parameters: p,
            session: self.session,
            delta: self.delta,
            chooser: self.chooser,
            chunks,
            reserved,
            b,
        }
    }
}

impl Expanded {
    /// S's answer to R's request, and S's result or, with checks, the state that awaits R's challenge.
    pub fn answer(mut self, request: &[u8]) -> Result<(Sent, Vec<u8>)> {
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
        let mut answer = masked_sums(&self.session, delta, paths, &self.chunks);
        let totals = self.chunks.iter().flat_map(|chunk| chunk.totals.iter());
        let noise = direct
            .iter()
            .take(parameters.chunks().min(1) * WEIGHT)
            .chain(self.reserved.iter());
        answer.extend(totals.zip(noise).map(|(total, b)| total ^ b));
        let mut b = std::mem::take(&mut *self.b);
        if parameters.chunks() == 0 {
            b.copy_from_slice(&direct[..parameters.outputs()]);
        }
        // Not beyond the capacity that is wiped with the key.
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
fn masked_sums(session: &Session, delta: Block, rows: &[Block], chunks: &[Sums]) -> Vec<Block> {
    let hash = PairHash::new(session);
    let sums = chunks.iter().flat_map(|chunk| chunk.levels.iter());
    let mut left = Zeroizing::new(rows.to_vec());
    let mut right = Zeroizing::new(rows.iter().map(|row| row ^ delta).collect::<Vec<_>>());
    hash.hash(&mut left, 0);
    hash.hash(&mut right, 0);
    let masks = left.iter().zip(right.iter());
    sums.zip(masks)
        .flat_map(|(sum, (left, right))| [sum[0] ^ left, sum[1] ^ right])
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
