//! The receiver's side of a session.

use std::ops::Deref;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{COMMITMENT, OPENING, commitment, extra, first_block, parameters, seeds};
use crate::block::{self, Block};
use crate::error::{Error, Result};
use crate::ot::Session;
use crate::prg::Prg;
use crate::psi::{self, Mask, Sizes};
use crate::vole;

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
    encoded: Option<psi::Encoded>,
    own: Prg,
    state: Receiving,
    reply: Option<Message>,
}

enum Receiving {
    Offer(vole::Receiver),
    Answer(vole::Awaiting),
    Masking(Box<vole::Expanding>, psi::Encoded),
    Proof(vole::Checking, [u8; COMMITMENT]),
    Values(psi::Receiver, Block, [u8; COMMITMENT]),
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
        self.encoded = Some(psi::Encoded::new(self.sizes, keys, &mut self.own)?);
        Ok(())
    }

    /// Bytes of the message that comes next, which may be 0; None at the end.
    pub fn awaits(&self) -> Result<Option<usize>> {
        if self.reply.is_some() {
            return Err(UNSAID);
        }
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
                let (receiver, half, message) = self.masked(checking.finish(message)?)?;
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

    fn encoded(&mut self) -> Result<psi::Encoded> {
        let encoded = self.encoded.take();
        encoded.ok_or(Error::Parameters("the keys come first"))
    }

    /// What follows a checked VOLE: the receiver's half of the mask, and the masked encoding with it.
    fn masked(&mut self, mut noise: vole::Noise) -> Result<(psi::Receiver, Block, Vec<Block>)> {
        let mut encoded = self.encoded()?;
        let sums = encoded.encoding().iter_mut().zip(&noise.a);
        sums.for_each(|(p, a)| *p ^= a);
        let mut message = encoded.part(0..noise.a.len()).to_vec();
        let half = self.own.block();
        message.push(half);
        let receiver = encoded.sent(Zeroizing::new(std::mem::take(&mut noise.c)));
        Ok((receiver, half, message))
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
