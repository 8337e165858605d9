//! R's halves of a VOLE, made chunk by chunk.

use std::ops::Range;

use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::block::Block;
use crate::ot::Session;
use crate::ot::ggm::Generator;
use crate::vole::code::{self, Code};
use crate::vole::parameters::{Parameters, WEIGHT};
use crate::vole::pprf::{self, Opening, Pair, Steps};

/// Entries that one thread copies at a time.
const TASK: usize = 1 << 14;

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
    /// `known`, `corrections`: of every tree; `entries`: the first chunk's noise, or all outputs where there are no chunks.
    pub(super) fn new(
        parameters: Parameters,
        session: &Session,
        positions: Zeroizing<Vec<usize>>,
        known: Zeroizing<Vec<Block>>,
        corrections: Vec<Block>,
        entries: Zeroizing<Vec<Pair>>,
    ) -> Self {
        Self {
            parameters,
            positions,
            known,
            corrections,
            entries,
            chunks: (parameters.chunks() > 0).then(|| Chunks::new(&parameters, session)),
            done: 0,
            c: Zeroizing::new(Vec::with_capacity(parameters.outputs())),
        }
    }

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
