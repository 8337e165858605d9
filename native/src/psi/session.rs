//! Both parties of an intersection from the first message to the last: VOLE, masks, encoding, values.
//!
//! S→R offer, R→S request, S→R answer; against a malicious peer R→S challenge, S→R proof and, with the answer, S's commitment
//! to its half of the mask; then R→S masked encoding (with R's half), S→R values (with S's half and its opening).
//! The length of the message that each state awaits follows from the sizes alone. Keys come late: until `wants_keys`, no
//! message depends on them, so that a party can read its rows while the VOLE runs.

use std::ops::Deref;

use blake3::Hasher;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Mask, Sizes};
use crate::block::{self, Block};
use crate::error::{Error, Result};
use crate::ot::Session;
use crate::prg::Prg;
use crate::vole::{self, Parameters};

const COMMITMENT: usize = blake3::OUT_LEN;
/// S's half of the mask and the randomness that hides it until then.
const OPENING: usize = 2 * block::BYTES;

fn parameters(sizes: Sizes) -> Result<Parameters> {
    Parameters::new(sizes.encoding()?.length(), sizes.malicious)
}

/// `bytes` where the peer may be malicious.
fn extra(sizes: Sizes, bytes: usize) -> usize {
    if sizes.malicious { bytes } else { 0 }
}

fn commitment(session: &Session, opening: &[u8]) -> [u8; COMMITMENT] {
    *Hasher::new_keyed(session)
        .update(b"fedsandbox psi mask v1")
        .update(opening)
        .finalize()
        .as_bytes()
}

fn first_block(bytes: &[u8]) -> Block {
    let (blocks, _) = bytes.as_chunks();
    Block::from_le_bytes(blocks[0])
}

/// A party's independent seeds, from one secret of 32 bytes.
fn seeds(secret: &[u8; 32]) -> (Block, Prg) {
    let [vole, own] = ["fedsandbox psi vole v1", "fedsandbox psi own v1"]
        .map(|context| first_block(&blake3::derive_key(context, secret)));
    (vole, Prg::new(own))
}

const UNSAID: Error = Error::Parameters("the reply is not all said yet");

/// What a receiver sends, as it was made.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    Bytes(Vec<u8>),
    Blocks(Vec<Block>),
}

impl Deref for Message {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Blocks(blocks) => block::as_bytes(blocks),
        }
    }
}

/// The party that learns which of its keys the other has.
pub struct Receiver {
    sizes: Sizes,
    session: Session,
    encoded: Option<super::Encoded>,
    own: Prg,
    state: Receiving,
    reply: Option<Message>,
}

enum Receiving {
    Offer(vole::Receiver),
    Answer(vole::Awaiting),
    Masking(Box<vole::Expanding>, super::Encoded),
    Proof(vole::Checking, [u8; COMMITMENT]),
    Values(super::Receiver, Block, [u8; COMMITMENT]),
    Done(Option<Zeroizing<Vec<Block>>>),
    Failed,
}

impl Receiver {
    /// `secret` is drawn for this session alone.
    pub fn new(sizes: Sizes, session: Session, secret: &[u8; 32]) -> Result<Self> {
        let (seed, own) = seeds(secret);
        let state = Receiving::Offer(vole::Receiver::new(parameters(sizes)?, session, seed));
        Ok(Self {
            sizes,
            session,
            encoded: None,
            own,
            state,
            reply: None,
        })
    }

    /// What the sets are padded to.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Whether the next message to be sent is the first that depends on keys, and there are none yet.
    pub fn wants_keys(&self) -> bool {
        let masks_next = match self.state {
            Receiving::Answer(_) => !self.sizes.malicious,
            Receiving::Proof(..) => true,
            _ => false,
        };
        masks_next && self.encoded.is_none()
    }

    /// Encodes the keys, once: distinct, at most `sizes.receiver`.
    pub fn take_keys(&mut self, keys: &[Block]) -> Result<()> {
        if keys.len() > self.sizes.receiver {
            return Err(Error::Parameters("more keys than the set is padded to"));
        }
        self.encoded = Some(super::Encoded::new(self.sizes, keys, &mut self.own)?);
        Ok(())
    }

    /// Bytes of the message that comes next, which may be 0; None at the end.
    pub fn awaits(&self) -> Result<Option<usize>> {
        let parameters = parameters(self.sizes)?;
        Ok(Some(match &self.state {
            Receiving::Offer(_) => parameters.offer_bytes(),
            Receiving::Answer(_) => parameters.answer_bytes() + extra(self.sizes, COMMITMENT),
            Receiving::Proof(..) => parameters.check_bytes().1,
            Receiving::Values(..) => self.sizes.answer_bytes() + extra(self.sizes, OPENING),
            Receiving::Masking(..) => return Err(UNSAID),
            Receiving::Done(_) | Receiving::Failed => return Ok(None),
        }))
    }

    /// Takes the message that comes next; the parts of the reply follow, all of which must be asked for. After an error
    /// nothing follows.
    pub fn take(&mut self, message: &[u8]) -> Result<()> {
        if self.awaits()? != Some(message.len()) {
            return Err(Error::Malformed);
        }
        if self.wants_keys() {
            return Err(Error::Parameters("the keys come first"));
        }
        let (state, reply) = match std::mem::replace(&mut self.state, Receiving::Failed) {
            Receiving::Offer(vole) => {
                let (awaiting, request) = vole.request(message)?;
                (Receiving::Answer(awaiting), Message::Bytes(request))
            }
            Receiving::Answer(awaiting) if self.sizes.malicious => {
                let (answer, commitment) = message.split_at(message.len() - COMMITMENT);
                let (checking, challenge) = awaiting.challenge(answer)?;
                let committed = commitment.try_into().map_err(|_| Error::Malformed)?;
                (
                    Receiving::Proof(checking, committed),
                    Message::Bytes(challenge),
                )
            }
            Receiving::Answer(awaiting) => {
                let expanding = Box::new(awaiting.expand(message)?);
                self.state = Receiving::Masking(expanding, self.encoded()?);
                return Ok(());
            }
            Receiving::Proof(checking, committed) => {
                let mut noise = checking.finish(message)?;
                let mut encoded = self.encoded()?;
                let sums = encoded.encoding().iter_mut().zip(&noise.a);
                sums.for_each(|(p, a)| *p ^= a);
                let mut message = encoded.part(0..noise.a.len()).to_vec();
                let half = self.own.block();
                message.push(half);
                let receiver = encoded.sent(Zeroizing::new(std::mem::take(&mut noise.c)));
                (
                    Receiving::Values(receiver, half, committed),
                    Message::Blocks(message),
                )
            }
            Receiving::Values(receiver, half, committed) => {
                let opening = &message[self.sizes.answer_bytes()..];
                let mask = self.mask(half, opening, &committed)?;
                (
                    Receiving::Done(Some(receiver.compare(mask)?)),
                    Message::Bytes(Vec::new()),
                )
            }
            Receiving::Masking(..) => return Err(UNSAID),
            Receiving::Done(_) | Receiving::Failed => {
                return Err(Error::Parameters("the intersection has ended"));
            }
        };
        (self.state, self.reply) = (state, Some(reply));
        Ok(())
    }

    /// The next part of the reply to the last message, made when it is asked for; None once all is said.
    pub fn next_part(&mut self) -> Result<Option<Message>> {
        if let Some(reply) = self.reply.take() {
            return Ok(Some(reply));
        }
        let Receiving::Masking(expanding, encoded) = &mut self.state else {
            return Ok(None);
        };
        let range = expanding.next(encoded.encoding());
        if !range.is_empty() {
            return Ok(Some(Message::Blocks(encoded.part(range).to_vec())));
        }
        let masked = std::mem::replace(&mut self.state, Receiving::Failed);
        if let Receiving::Masking(expanding, encoded) = masked {
            let receiver = encoded.sent(expanding.finish());
            self.state = Receiving::Values(receiver, 0, [0; COMMITMENT]);
        }
        Ok(None)
    }

    /// Does what no message waits for, after one was sent; the next one does it else.
    pub fn catch_up(&mut self) -> Result<()> {
        match &mut self.state {
            Receiving::Values(receiver, ..) => receiver.decode(),
            _ => Ok(()),
        }
    }

    /// What is compared with the values, with which the last message begins, once they have come; once.
    pub fn take_values(&mut self) -> Option<Zeroizing<Vec<Block>>> {
        match &mut self.state {
            Receiving::Done(values) => values.take(),
            _ => None,
        }
    }

    fn encoded(&mut self) -> Result<super::Encoded> {
        let encoded = self.encoded.take();
        encoded.ok_or(Error::Parameters("the keys come first"))
    }

    fn mask(&self, half: Block, opening: &[u8], committed: &[u8; COMMITMENT]) -> Result<Mask> {
        if !self.sizes.malicious {
            return Ok(None);
        }
        if bool::from(commitment(&self.session, opening).ct_eq(committed)) {
            Ok(Some(half ^ first_block(opening)))
        } else {
            Err(Error::Inconsistent)
        }
    }
}

/// The party that learns nothing.
pub struct Sender {
    sizes: Sizes,
    session: Session,
    keys: Option<Zeroizing<Vec<Block>>>,
    secret: Zeroizing<[u8; 32]>,
    opening: Zeroizing<[u8; OPENING]>,
    state: Sending,
}

enum Sending {
    Request(Box<vole::Sender>),
    Challenge(vole::Proving),
    Masked(vole::Key),
    Answering(Box<super::Answering>),
    Done,
}

impl Sender {
    /// The sender and its first message. `secret` is drawn for this session.
    pub fn start(sizes: Sizes, session: Session, secret: &[u8; 32]) -> Result<(Self, Vec<u8>)> {
        let (seed, mut own) = seeds(secret);
        let (vole, offer) = vole::Sender::start(parameters(sizes)?, session, seed);
        let mut halves = Zeroizing::new([0; 2]);
        own.fill(halves.as_mut());
        let mut opening = Zeroizing::new([0; OPENING]);
        opening.copy_from_slice(block::as_bytes(halves.as_ref()));
        let secret = Zeroizing::new(blake3::derive_key("fedsandbox psi values v1", secret));
        let state = Sending::Request(Box::new(vole));
        Ok((
            Self {
                sizes,
                session,
                keys: None,
                secret,
                opening,
                state,
            },
            offer,
        ))
    }

    /// Whether the next message to be sent is the first that depends on keys, and there are none yet.
    pub fn wants_keys(&self) -> bool {
        matches!(self.state, Sending::Masked(_)) && self.keys.is_none()
    }

    /// Takes the keys: distinct, at most `sizes.sender`.
    pub fn take_keys(&mut self, keys: Vec<Block>) -> Result<()> {
        if keys.len() > self.sizes.sender {
            return Err(Error::Parameters("more keys than the set is padded to"));
        }
        self.keys = Some(Zeroizing::new(keys));
        Ok(())
    }

    /// Bytes of the message that comes next, which may be 0; None at the end.
    pub fn awaits(&self) -> Result<Option<usize>> {
        let parameters = parameters(self.sizes)?;
        Ok(Some(match &self.state {
            Sending::Request(_) => parameters.request_bytes(),
            Sending::Challenge(_) => parameters.check_bytes().0,
            Sending::Masked(_) => self.sizes.request_bytes()? + extra(self.sizes, block::BYTES),
            Sending::Answering(answering) => {
                block::BYTES * answering.missing() + extra(self.sizes, block::BYTES)
            }
            Sending::Done => return Ok(None),
        }))
    }

    /// Takes the message that comes next and returns the one to send. After an error nothing follows.
    pub fn advance(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        if self.awaits()? != Some(message.len()) {
            return Err(Error::Malformed);
        }
        if self.wants_keys() {
            return Err(Error::Parameters("the keys come first"));
        }
        let (state, reply) = match std::mem::replace(&mut self.state, Sending::Done) {
            Sending::Request(vole) => {
                let (sent, mut answer) = vole.expand().answer(message)?;
                match sent {
                    vole::Sent::Done(key) => (Sending::Masked(key), answer),
                    vole::Sent::Check(proving) => {
                        answer.extend(commitment(&self.session, self.opening.as_ref()));
                        (Sending::Challenge(proving), answer)
                    }
                }
            }
            Sending::Challenge(proving) => {
                let (key, proof) = proving.prove(message)?;
                (Sending::Masked(key), proof)
            }
            masked @ (Sending::Masked(_) | Sending::Answering(_)) => {
                self.state = masked;
                return self.values(message);
            }
            Sending::Done => return Err(Error::Parameters("the intersection has ended")),
        };
        self.state = state;
        Ok(reply)
    }

    /// Whether the next message may be absorbed piece by piece; then an empty one completes it.
    pub fn absorbs(&self) -> bool {
        let masked = matches!(self.state, Sending::Masked(_) | Sending::Answering(_));
        masked && !self.sizes.malicious
    }

    /// Works on a piece of the message that comes next, whole blocks; after an error nothing follows.
    pub fn absorb(&mut self, piece: &[u8]) -> Result<()> {
        let keys = self.keys.take();
        let mut answering = match std::mem::replace(&mut self.state, Sending::Done) {
            Sending::Answering(answering) => answering,
            Sending::Masked(mut key) => {
                let keys = keys.ok_or(Error::Parameters("the keys come first"))?;
                let b = Zeroizing::new(std::mem::take(&mut key.b));
                Box::new(super::Answering::new(self.sizes, keys, key.delta, b)?)
            }
            _ => return Err(Error::Parameters("this message comes at once")),
        };
        answering.absorb(&block::read(piece, piece.len() / block::BYTES)?)?;
        self.state = Sending::Answering(answering);
        Ok(())
    }

    fn values(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        let (request, half) = message.split_at(message.len() - extra(self.sizes, block::BYTES));
        self.absorb(request)?;
        let Sending::Answering(answering) = std::mem::replace(&mut self.state, Sending::Done)
        else {
            return Err(Error::Parameters("no message is awaited"));
        };
        let mask = self
            .sizes
            .malicious
            .then(|| first_block(half) ^ first_block(self.opening.as_ref()));
        let mut values = answering.finish(mask, &self.secret)?;
        if self.sizes.malicious {
            values.extend(self.opening.iter());
        }
        Ok(values)
    }
}
