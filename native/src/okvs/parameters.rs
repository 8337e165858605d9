//! Sizes of an encoding, from public numbers alone and the same on every machine.
//!
//! Raghuraman and Rindal 2022, §3.3 (expansion and dense columns, fitted to measured failures) and §4.1 (bins); the
//! authors' code (volepsi, PaxosParam::init and Baxos::init) has the same formulas. Floating point is kept to the
//! operations that IEEE 754 rounds exactly: two providers with different mathematical libraries must agree.

use crate::error::{Error, Result};

/// Items that a bin holds on average: its encoding, a third of a megabyte, stays in a core's second-level cache.
pub const BIN_ITEMS: usize = 1 << 14;

/// An encoding, or all of a join's, fails with probability 2^-40 at most.
const SECURITY: f64 = 40.0;

const MAXIMUM_ITEMS: usize = 1 << 30;
const MAXIMUM_BUCKETS: usize = 1 << 20;

/// The public shape of an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    items: usize,
    bins: usize,
    capacity: usize,
    sparse: usize,
    dense: usize,
}

impl Parameters {
    /// For at most `items` keys per encoding, in a join of `buckets` encodings. `Error::Parameters` outside
    /// 1..=2^30 items and 1..=2^20 buckets.
    pub fn new(items: usize, buckets: usize) -> Result<Self> {
        if !(1..=MAXIMUM_ITEMS).contains(&items) {
            return Err(Error::Parameters("an encoding holds 1 to 2^30 items"));
        }
        if !(1..=MAXIMUM_BUCKETS).contains(&buckets) {
            return Err(Error::Parameters("a join has 1 to 2^20 buckets"));
        }
        Ok(Self::with_security(items, SECURITY + log2(buckets as f64)))
    }

    /// An encoding of all its bins fails with probability about 2^-security.
    pub(super) fn with_security(items: usize, security: f64) -> Self {
        let bins = items.div_ceil(BIN_ITEMS);
        let security = security + log2(bins as f64);
        let capacity = fullest(items, bins, security);
        // The fit of §3.3 for rows of weight 3: security grows linearly with the expansion, faster for more items.
        let weight = log2(3.0);
        let slope = exp2(
            0.555 * log2(capacity as f64) + 0.093 * weight * weight * weight
                - 1.01 * weight * weight
                + 2.925 * weight
                - 0.133,
        );
        let expansion = 1.223 + (security + 9.2) / slope;
        let columns = expansion * capacity as f64;
        Self {
            items,
            bins,
            capacity,
            sparse: (columns as usize).max(3),
            dense: (security / log2(columns)) as usize,
        }
    }

    /// Binds everything that both parties must agree on to read one encoding alike.
    pub fn digest(&self) -> [u8; blake3::OUT_LEN] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"fedsandbox okvs v1: clustered, weight 3");
        for value in [
            self.items,
            self.bins,
            self.capacity,
            self.sparse,
            self.dense,
        ] {
            hasher.update(&(value as u64).to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// Blocks of the encoding.
    pub fn length(&self) -> usize {
        self.bins * self.stride()
    }

    /// The most keys that may be encoded.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Bins of the encoding, each as many blocks.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// The most keys of one bin.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Columns of which each key selects three.
    pub(super) fn sparse(&self) -> usize {
        self.sparse
    }

    /// Columns that each key weighs by the powers of its hash.
    pub(super) fn dense(&self) -> usize {
        self.dense
    }

    /// Blocks of one bin.
    pub fn stride(&self) -> usize {
        self.sparse + self.dense
    }
}

/// The least load that the fullest of `bins` exceeds with probability 2^-security at most: bins · P[Binomial(items,
/// 1/bins) > load], a union bound.
pub fn fullest(items: usize, bins: usize, security: f64) -> usize {
    if bins == 1 {
        return items;
    }
    // Probabilities of the loads from the mean on, in units of the mean's, until they no longer count.
    let odds = 1.0 / (bins as f64 - 1.0);
    let mean = items / bins;
    let mut weights = vec![1.0f64];
    let mut weight = 1.0;
    for load in mean..items {
        weight *= (items - load) as f64 / (load + 1) as f64 * odds;
        weights.push(weight);
        if weight < 1e-60 {
            break;
        }
    }
    let mut total: f64 = weights.iter().sum();
    weight = 1.0;
    for load in (1..=mean).rev() {
        weight *= load as f64 / ((items - load + 1) as f64 * odds);
        total += weight;
        if weight < 1e-60 {
            break;
        }
    }
    let allowed = total / (exp2(security) * bins as f64);
    let mut tail = 0.0;
    let mut load = mean + weights.len();
    for weight in weights.iter().rev() {
        tail += weight;
        if tail > allowed {
            break;
        }
        load -= 1;
    }
    load - 1
}

/// log2 of x >= 1, one bit of the result per squaring.
fn log2(x: f64) -> f64 {
    let (mut mantissa, mut result) = (x, 0.0);
    while mantissa >= 2.0 {
        mantissa /= 2.0;
        result += 1.0;
    }
    let mut bit = 1.0;
    for _ in 0..52 {
        bit /= 2.0;
        mantissa *= mantissa;
        if mantissa >= 2.0 {
            mantissa /= 2.0;
            result += bit;
        }
    }
    result
}

/// 2^x for x >= 0, one square root per bit of x.
fn exp2(x: f64) -> f64 {
    let (mut fraction, mut root, mut result) = (x.fract(), 2.0f64, 1.0);
    for _ in 0..52 {
        root = root.sqrt();
        fraction *= 2.0;
        if fraction >= 1.0 {
            fraction -= 1.0;
            result *= root;
        }
    }
    for _ in 0..x as u32 {
        result *= 2.0;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bin(items: usize) -> (usize, usize, usize, usize) {
        let p = Parameters::new(items, 1).unwrap();
        (p.bins, p.capacity, p.sparse, p.dense)
    }

    /// By the authors' formulas, evaluated apart from this code (tests/vectors/native/okvs.py).
    #[test]
    fn sizes_are_those_of_the_authors_formulas() {
        assert_eq!(bin(1), (1, 1, 10, 11));
        assert_eq!(bin(3), (1, 3, 19, 9));
        assert_eq!(bin(1000), (1, 1000, 1433, 3));
        assert_eq!(bin(1 << 14), (1, 1 << 14, 20769, 2));
        assert_eq!(bin(1 << 20), (64, 17426, 22155, 3));
    }

    #[test]
    fn the_expansion_at_2_20_is_1_352() {
        let expansion = Parameters::new(1 << 20, 1).unwrap().length() as f64 / (1 << 20) as f64;
        assert!((expansion - 1.352).abs() < 0.001, "{expansion}");
    }

    #[test]
    fn buckets_cost_security_and_so_length() {
        let length = |buckets| Parameters::new(1 << 20, buckets).unwrap().length();
        assert!(length(1) < length(64) && length(64) < length(4096));
    }

    #[test]
    fn indices_of_the_largest_bin_fit_16_bits() {
        let largest = Parameters::new(MAXIMUM_ITEMS, MAXIMUM_BUCKETS).unwrap();
        assert!(largest.sparse < 1 << 16 && largest.dense < 32);
        assert!(Parameters::new(1, MAXIMUM_BUCKETS).unwrap().dense < 32);
    }

    #[test]
    fn numbers_outside_the_range_are_refused() {
        for (items, buckets) in [
            (0, 1),
            (1, 0),
            (MAXIMUM_ITEMS + 1, 1),
            (1, MAXIMUM_BUCKETS + 1),
        ] {
            assert!(matches!(
                Parameters::new(items, buckets),
                Err(Error::Parameters(_))
            ));
        }
    }

    proptest! {
        #[test]
        fn own_logarithms_agree_with_the_library(x in 1.0f64..1e9, y in 0.0f64..80.0) {
            prop_assert!((log2(x) - x.log2()).abs() < 1e-12);
            prop_assert!((exp2(y) / y.exp2() - 1.0).abs() < 1e-12);
        }

        #[test]
        fn more_items_never_take_fewer_bins_or_less_room_for_them(items in 1usize..1 << 22) {
            let parameters = Parameters::new(items, 1).unwrap();
            prop_assert!(parameters.bins * parameters.capacity >= items);
            prop_assert!(parameters.length() > items);
        }
    }
}
