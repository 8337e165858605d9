//! 128 base OTs on Ristretto: the one-round endemic OT of Masny and Rindal 2019, figure 1 (random oracle, CDH).
//!
//! Malicious security in the endemic sense: a cheating party may bias its own strings, never learn the other's. That
//! is what SoftSpoken needs of its base OTs (Roy 2022, §5.1). Session, index and side enter every hash. All work on choices
//! and scalars is constant time. Points leave as encodings of doubled points, which encode in batches.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use rayon::prelude::*;
use subtle::{Choice, ConditionallySelectable};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::block::Block;
use crate::error::{Error, Result};
use crate::ot::Session;
use crate::prg::Prg;

/// OTs in one run: one for each bit of a block of choices.
pub const COUNT: usize = 128;
/// Bytes of the chooser's message: two points for each OT.
pub const OFFER_BYTES: usize = 2 * COUNT * POINT;
/// Bytes of the sender's message: one point.
pub const REPLY_BYTES: usize = POINT;

/// Both strings of every OT.
pub type Pairs = Zeroizing<Vec<[Block; 2]>>;

const POINT: usize = 32;
type Encoded = [u8; POINT];

/// The party that chooses, between its offer and the reply.
#[derive(ZeroizeOnDrop)]
pub struct Chooser {
    choices: Block,
    halves: Vec<Scalar>,
    #[zeroize(skip)]
    session: Session,
    #[zeroize(skip)]
    offer: Vec<u8>,
}

impl Chooser {
    /// Chooses string `(choices >> i) & 1` of the i-th OT; the bytes go to the sender.
    pub fn start(session: &Session, choices: Block, prg: &mut Prg) -> (Self, Vec<u8>) {
        let halves: Vec<Scalar> = (0..COUNT).map(|_| scalar(prg)).collect();
        let mut free: Vec<RistrettoPoint> = (0..COUNT).map(|_| point(prg)).collect();
        let others = encode_doubled(&free);
        let mut programmed: Vec<RistrettoPoint> = (0..COUNT)
            .into_par_iter()
            .map(|i| {
                let base = RistrettoPoint::mul_base(&halves[i]);
                base - half_oracle(session, i, bit(choices, i), &others[i])
            })
            .collect();
        let chosen = encode_doubled(&programmed);
        let mut offer = vec![0; OFFER_BYTES];
        for (i, pair) in offer.chunks_exact_mut(2 * POINT).enumerate() {
            let choice = Choice::from(bit(choices, i));
            for byte in 0..POINT {
                let (own, other) = (chosen[i][byte], others[i][byte]);
                pair[byte] = u8::conditional_select(&own, &other, choice);
                pair[POINT + byte] = u8::conditional_select(&other, &own, choice);
            }
        }
        free.zeroize();
        programmed.zeroize();
        let chooser = Self {
            choices,
            halves,
            session: *session,
            offer: offer.clone(),
        };
        (chooser, offer)
    }

    /// The chosen strings.
    pub fn finish(self, reply: &[u8]) -> Result<Zeroizing<Vec<Block>>> {
        let reply: &Encoded = reply.try_into().map_err(|_| Error::Malformed)?;
        let sender = decode(reply)?;
        let mut shared: Vec<RistrettoPoint> =
            self.halves.par_iter().map(|half| sender * half).collect();
        let encoded = Zeroizing::new(encode_doubled(&shared));
        shared.zeroize();
        let pairs = self.offer.chunks_exact(2 * POINT).enumerate();
        let strings = pairs.map(|(i, pair)| {
            derive(
                &self.session,
                i,
                bit(self.choices, i),
                reply,
                pair,
                &encoded[i],
            )
        });
        Ok(Zeroizing::new(strings.collect()))
    }
}

/// Both strings of every OT, and the bytes that go to the chooser.
pub fn send(session: &Session, offer: &[u8], prg: &mut Prg) -> Result<(Pairs, Vec<u8>)> {
    if offer.len() != OFFER_BYTES {
        return Err(Error::Malformed);
    }
    let half = Zeroizing::new(scalar(prg));
    let reply = encode_doubled(&[RistrettoPoint::mul_base(&half)])[0];
    let pairs: Vec<&[u8]> = offer.chunks_exact(2 * POINT).collect();
    let shared: Result<Vec<[RistrettoPoint; 2]>> = pairs
        .par_iter()
        .enumerate()
        .map(|(i, pair)| {
            let encodings = bytemuck::must_cast_ref::<_, [Encoded; 2]>(
                <&[u8; 2 * POINT]>::try_from(*pair).expect("a pair of points"),
            );
            let side = |side: usize| {
                let oracle = half_oracle(session, i, side as u8, &encodings[1 - side]);
                Ok((decode(&encodings[side])? + oracle + oracle) * *half)
            };
            Ok([side(0)?, side(1)?])
        })
        .collect();
    let mut shared = Zeroizing::new(shared?.concat());
    let encoded = Zeroizing::new(encode_doubled(&shared));
    shared.zeroize();
    let strings = pairs.iter().enumerate().map(|(i, pair)| {
        [0, 1].map(|side| derive(session, i, side as u8, &reply, pair, &encoded[2 * i + side]))
    });
    Ok((Zeroizing::new(strings.collect()), reply.to_vec()))
}

fn bit(choices: Block, i: usize) -> u8 {
    ((choices >> i) & 1) as u8
}

fn wide(prg: &mut Prg) -> Zeroizing<[u8; 64]> {
    let mut blocks = Zeroizing::new([0; 4]);
    prg.fill(&mut *blocks);
    Zeroizing::new(bytemuck::must_cast(*blocks))
}

fn scalar(prg: &mut Prg) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&wide(prg))
}

fn point(prg: &mut Prg) -> RistrettoPoint {
    RistrettoPoint::from_uniform_bytes(&wide(prg))
}

/// Half of the oracle's point H(session, index, side, other): doubling makes it the same for both parties.
fn half_oracle(session: &Session, index: usize, side: u8, other: &Encoded) -> RistrettoPoint {
    let mut uniform = [0; 64];
    blake3::Hasher::new_keyed(session)
        .update(b"fedsandbox base ot point v1")
        .update(&(index as u64).to_le_bytes())
        .update(&[side])
        .update(other)
        .finalize_xof()
        .fill(&mut uniform);
    RistrettoPoint::from_uniform_bytes(&uniform)
}

/// A string, from the shared point and the transcript of its OT.
fn derive(
    session: &Session,
    index: usize,
    side: u8,
    reply: &Encoded,
    pair: &[u8],
    shared: &Encoded,
) -> Block {
    let mut string = [0; 16];
    blake3::Hasher::new_keyed(session)
        .update(b"fedsandbox base ot string v1")
        .update(&(index as u64).to_le_bytes())
        .update(&[side])
        .update(reply)
        .update(pair)
        .update(shared)
        .finalize_xof()
        .fill(&mut string);
    Block::from_le_bytes(string)
}

fn decode(bytes: &Encoded) -> Result<RistrettoPoint> {
    CompressedRistretto(*bytes)
        .decompress()
        .ok_or(Error::Malformed)
}

fn encode_doubled(points: &[RistrettoPoint]) -> Vec<Encoded> {
    let encoded = RistrettoPoint::double_and_compress_batch(points);
    encoded.iter().map(CompressedRistretto::to_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SESSION: Session = [5; 32];

    fn run(choices: Block, seeds: [Block; 2]) -> (Vec<Block>, Vec<[Block; 2]>) {
        let (chooser, offer) = Chooser::start(&SESSION, choices, &mut Prg::new(seeds[0]));
        let (pairs, reply) = send(&SESSION, &offer, &mut Prg::new(seeds[1])).unwrap();
        assert_eq!((offer.len(), reply.len()), (OFFER_BYTES, REPLY_BYTES));
        (chooser.finish(&reply).unwrap().to_vec(), pairs.to_vec())
    }

    #[test]
    fn the_chooser_gets_the_chosen_string_and_not_the_other() {
        let choices = 0x0123_4567_89ab_cdef_ffff_0000_5555_aaaa;
        let (chosen, pairs) = run(choices, [1, 2]);
        for i in 0..COUNT {
            let side = bit(choices, i) as usize;
            assert_eq!(chosen[i], pairs[i][side]);
            assert_ne!(chosen[i], pairs[i][1 - side]);
        }
        let mut all = pairs.concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2 * COUNT);
    }

    /// RFC 9496, appendix A.1: the generator and its double; batch encoding is of the double.
    #[test]
    fn encoding_agrees_with_the_published_vectors() {
        let generator = RistrettoPoint::mul_base(&Scalar::ONE);
        let hex = |bytes: &Encoded| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            hex(&generator.compress().to_bytes()),
            "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"
        );
        assert_eq!(
            hex(&encode_doubled(&[generator])[0]),
            "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919"
        );
    }

    #[test]
    fn another_session_has_other_strings() {
        let (chooser, offer) = Chooser::start(&SESSION, 0, &mut Prg::new(1));
        let (pairs, reply) = send(&[6; 32], &offer, &mut Prg::new(2)).unwrap();
        let chosen = chooser.finish(&reply).unwrap();
        assert!((0..COUNT).all(|i| chosen[i] != pairs[i][0] && chosen[i] != pairs[i][1]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn any_bytes_are_answered_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2 * OFFER_BYTES), at in 0..OFFER_BYTES) {
            let _ = send(&SESSION, &bytes, &mut Prg::new(1));
            let (chooser, mut offer) = Chooser::start(&SESSION, 9, &mut Prg::new(1));
            offer[at] ^= 0x40;
            let _ = send(&SESSION, &offer, &mut Prg::new(2));
            let _ = chooser.finish(&bytes[..bytes.len().min(REPLY_BYTES)]);
        }
    }
}
