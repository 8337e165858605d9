//! Radix join of tags and the slots that a blind join hands out.
