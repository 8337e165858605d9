//! Why a kernel refuses. Nothing a peer's bytes or a row hold is ever in the text.

use std::fmt;

/// What went wrong, by kind; Python turns each into its own coded error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A peer's message has another length or shape than the session's public parameters say.
    Malformed,
    /// A consistency check of a protocol failed: a peer departed from it, or bytes were altered.
    Inconsistent,
    /// Parameters lie outside the range the protocol is proved or measured for.
    Parameters(&'static str),
    /// A randomised step failed for as many seeds as it may try.
    Exhausted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Malformed => f.write_str("a message does not have the shape this session fixed"),
            Error::Inconsistent => f.write_str("a consistency check failed"),
            Error::Parameters(why) => f.write_str(why),
            Error::Exhausted => f.write_str("no seed succeeded within the bounded number of tries"),
        }
    }
}

impl std::error::Error for Error {}

pub type Result<T> = std::result::Result<T, Error>;
