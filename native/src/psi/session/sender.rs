//! The sender's side of a session.

use zeroize::Zeroizing;

use super::{OPENING, commitment, extra, first_block, parameters, seeds};
use crate::block::{self, Block};
use crate::error::{Error, Result};
use crate::ot::Session;
use crate::psi::{self, Sizes};
use crate::vole;

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
    Answering(Box<psi::Answering>),
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
                Box::new(psi::Answering::new(self.sizes, keys, key.delta, b)?)
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
