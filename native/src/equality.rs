//! Whether two parties hold the same value, and nothing else of it, by Diffie–Hellman on Ristretto (Meadows 1986; Huberman,
//! Franklin, Hogg 1999, §3; random oracle, CDH).
//!
//! A value hashes to a point P. Either party sends s·P for a secret scalar s, then a hash of its s times the point that it was
//! sent: r·s·P at both if the values are equal. If they are not, one that knows r and P gets s·Q, which is uniform, and a hash of
//! r·s·P, which takes CDH to ask the oracle for: it can test no guess of Q's value by itself. Session and side enter every hash.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::{Error, Result};

pub const POINT_BYTES: usize = 32;
pub const PROOF_BYTES: usize = 32;
pub const ENTROPY_BYTES: usize = 64;

/// The parties' common secret, fresh for each value.
pub type Session = [u8; 32];

/// One party, between its point and its peer's.
#[derive(ZeroizeOnDrop)]
pub struct Party {
    session: Session,
    scalar: Scalar,
}

/// What a party ends with: what it sends, and what it is sent if the values are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proofs {
    pub own: [u8; PROOF_BYTES],
    pub peers: [u8; PROOF_BYTES],
}

impl Party {
    /// The party, and the point that goes to its peer.
    pub fn start(
        session: &Session,
        value: &[u8],
        entropy: &[u8; ENTROPY_BYTES],
    ) -> (Self, [u8; POINT_BYTES]) {
        let scalar = Scalar::from_bytes_mod_order_wide(entropy);
        let mut point = point_of(session, value);
        let sent = (point * scalar).compress().to_bytes();
        point.zeroize();
        let session = *session;
        (Self { session, scalar }, sent)
    }

    /// Both parties' proofs, from the peer's point; `left`: whether this is the party of that name.
    pub fn finish(self, peer: &[u8], left: bool) -> Result<Proofs> {
        let peer = peer.try_into().map_err(|_| Error::Malformed)?;
        let peer = CompressedRistretto(peer).decompress();
        // Any scalar takes the identity to itself: it would be equal to everything.
        let peer = peer
            .filter(|point| !point.is_identity())
            .ok_or(Error::Malformed)?;
        let mut shared = peer * self.scalar;
        let mut encoded = shared.compress().to_bytes();
        let proof = |left| proof(&self.session, left, &encoded);
        let proofs = Proofs {
            own: proof(left),
            peers: proof(!left),
        };
        shared.zeroize();
        encoded.zeroize();
        Ok(proofs)
    }
}

fn point_of(session: &Session, value: &[u8]) -> RistrettoPoint {
    let mut uniform = [0; 64];
    blake3::Hasher::new_keyed(session)
        .update(b"fedsandbox equality point v1")
        .update(value)
        .finalize_xof()
        .fill(&mut uniform);
    let point = RistrettoPoint::from_uniform_bytes(&uniform);
    uniform.zeroize();
    point
}

fn proof(session: &Session, left: bool, shared: &[u8]) -> [u8; PROOF_BYTES] {
    *blake3::Hasher::new_keyed(session)
        .update(b"fedsandbox equality proof v1")
        .update(&[u8::from(left)])
        .update(shared)
        .finalize()
        .as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SESSION: Session = [3; 32];

    fn run(left: &[u8], right: &[u8], sessions: [Session; 2]) -> [Proofs; 2] {
        let (a, from_a) = Party::start(&sessions[0], left, &[7; ENTROPY_BYTES]);
        let (b, from_b) = Party::start(&sessions[1], right, &[9; ENTROPY_BYTES]);
        [
            a.finish(&from_b, true).unwrap(),
            b.finish(&from_a, false).unwrap(),
        ]
    }

    proptest! {
        #[test]
        fn proofs_are_what_the_peer_expects_if_values_are_equal_alone(left: Vec<u8>, right: Vec<u8>) {
            let [a, b] = run(&left, &left, [SESSION; 2]);
            prop_assert!(a.own == b.peers && b.own == a.peers && a.own != a.peers);
            let [a, b] = run(&left, &right, [SESSION; 2]);
            prop_assert_eq!(a.own == b.peers, left == right);
            prop_assert_eq!(b.own == a.peers, left == right);
        }
    }

    #[test]
    fn a_value_of_another_session_is_another() {
        let [a, b] = run(b"value", b"value", [SESSION, [4; 32]]);
        assert!(a.own != b.peers && b.own != a.peers);
    }

    #[test]
    fn what_a_party_sends_follows_from_its_scalar_too() {
        let sent = |entropy| Party::start(&SESSION, b"value", &[entropy; 64]).1;
        assert_ne!(sent(1), sent(2));
    }

    #[test]
    fn what_is_no_point_is_malformed() {
        let party = || Party::start(&SESSION, b"value", &[7; ENTROPY_BYTES]).0;
        for peer in [vec![], vec![0; 31], vec![0; 32], vec![0xff; 32]] {
            assert_eq!(party().finish(&peer, true), Err(Error::Malformed));
        }
    }
}
