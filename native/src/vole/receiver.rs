//! R, who ends with A and C.

use std::ops::Range;

use rayon::prelude::*;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::block::{self, Block};
use crate::error::{Error, Result};
use crate::ot::ggm::Generator;
use crate::ot::{PairHash, Session, base, softspoken};
use crate::prg::Prg;
use crate::vole::code::{self, Code};
use crate::vole::parameters::{Parameters, WEIGHT};
use crate::vole::pprf::{self, Opening, Pair, Steps};
use crate::vole::{Noise, check, gather, randomness};

/// Entries that one thread copies at a time.
const TASK: usize = 1 << 14;

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
        let mut c = expanding.c;
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
        Ok(Expanding {
            parameters,
            corrections: corrections.to_vec(),
            known,
            positions: self.positions,
            entries: self.direct,
            chunks: (parameters.chunks() > 0).then(|| Chunks::new(&parameters, &self.session)),
            done: 0,
            c: Zeroizing::new(Vec::with_capacity(parameters.outputs())),
        })
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

/// R's result on its way.
pub struct Expanding {
    parameters: Parameters,
    positions: Zeroizing<Vec<usize>>,
    known: Zeroizing<Vec<Block>>,
    corrections: Vec<Block>,
    /// Noise of the chunk that comes next, or all outputs.
    entries: Zeroizing<Vec<Pair>>,
    chunks: Option<Chunks>,
    /// Chunks that are done.
    done: usize,
    c: Zeroizing<Vec<Block>>,
}

impl Expanding {
    /// Makes the next chunk and adds its A to `onto`, as long as all outputs; where it lies there, an empty range at the
    /// end.
    pub fn next(&mut self, onto: &mut [Block]) -> Range<usize> {
        let first = self.c.len();
        if first < self.parameters.outputs() {
            match self.chunks.take() {
                None => append(&mut self.c, onto, &self.entries),
                Some(mut chunks) => {
                    self.next_chunk(&mut chunks, onto);
                    self.chunks = Some(chunks);
                }
            }
        }
        first..self.c.len()
    }

    /// C, once all is done.
    pub fn finish(self) -> Zeroizing<Vec<Block>> {
        self.c
    }

    fn next_chunk(&mut self, chunks: &mut Chunks, onto: &mut [Block]) {
        let (parameters, depth) = (self.parameters, self.parameters.depth());
        let trees = WEIGHT * self.done..WEIGHT * (self.done + 1);
        self.done += 1;
        let openings: Vec<Opening<'_>> = trees
            .zip(self.entries.iter())
            .map(|(tree, entry)| Opening {
                position: self.positions[tree],
                known: &self.known[tree * depth..][..depth],
                noise: Pair {
                    a: entry.a,
                    c: entry.c ^ self.corrections[tree],
                },
            })
            .collect();
        pprf::puncture(&chunks.generator, &openings, &mut chunks.leaves);
        code::accumulate(&mut chunks.leaves);
        let steps = Steps::new(&openings, parameters.leaves());
        let pair = |c, place| Pair {
            c,
            a: steps.at(place),
        };
        chunks
            .code
            .compress(&chunks.leaves, pair, &mut chunks.mixed, &mut chunks.out);
        let (kept, reserved) = chunks.out.split_at(parameters.chunk() - WEIGHT);
        append(&mut self.c, onto, kept);
        if self.done == parameters.chunks() {
            append(&mut self.c, onto, reserved);
        }
        self.entries = Zeroizing::new(reserved.to_vec());
    }
}

/// What all chunks are made with, and in.
struct Chunks {
    generator: Generator,
    code: Code,
    leaves: Zeroizing<Vec<Block>>,
    mixed: Zeroizing<Vec<Pair>>,
    out: Zeroizing<Vec<Pair>>,
}

impl Chunks {
    fn new(parameters: &Parameters, session: &Session) -> Self {
        Self {
            generator: Generator::new(session, "vole"),
            code: Code::new(parameters.chunk()),
            leaves: Zeroizing::new(vec![0; 2 * parameters.chunk()]),
            mixed: Zeroizing::new(vec![Pair::default(); 2 * parameters.chunk()]),
            out: Zeroizing::new(vec![Pair::default(); parameters.chunk()]),
        }
    }
}

/// Splits entries into A, which is added to `a`, and C, until there are as many as `a` has room for.
fn append(c: &mut Vec<Block>, a: &mut [Block], entries: &[Pair]) {
    let a = &mut a[c.len()..];
    let entries = &entries[..a.len().min(entries.len())];
    c.par_extend(entries.par_iter().with_min_len(TASK).map(|entry| entry.c));
    a.par_iter_mut()
        .zip(entries)
        .with_min_len(TASK)
        .for_each(|(a, entry)| *a ^= entry.a);
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
