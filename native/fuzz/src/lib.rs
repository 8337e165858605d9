//! What the targets share: a peer's message as an attacker would make it.
//!
//! Each target runs an honest session up to one message and puts in its place what the fuzzer wrote. A parser must
//! answer or refuse: a panic, an overflow or memory beyond libFuzzer's limit is a finding.

use fedsandbox_native::error::Result;
use fedsandbox_native::psi::session::Receiver;

/// A receiver's whole reply to a message.
pub fn replied(receiver: &mut Receiver, message: &[u8]) -> Result<Vec<u8>> {
    receiver.take(message)?;
    let mut reply = Vec::new();
    while let Some(part) = receiver.next_part()? {
        reply.extend_from_slice(&part);
    }
    Ok(reply)
}

/// The fuzzer's bytes, taken from the front.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte; 0 when there is none.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    /// The next `count` bytes, or as many as there are.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A message in place of `honest`: any bytes, bytes of its length, or itself with single bytes changed.
    pub fn message(&mut self, honest: &[u8]) -> Vec<u8> {
        match self.byte() % 3 {
            0 => std::mem::take(&mut self.0).to_vec(),
            1 => {
                let mut message = std::mem::take(&mut self.0).to_vec();
                message.resize(honest.len(), 0xa5);
                message
            }
            _ => {
                let mut message = honest.to_vec();
                for change in std::mem::take(&mut self.0).chunks_exact(4) {
                    let place = u32::from_le_bytes([change[0], change[1], change[2], 0]) as usize;
                    let length = message.len().max(1);
                    if let Some(byte) = message.get_mut(place % length) {
                        *byte ^= change[3];
                    }
                }
                message
            }
        }
    }
}
