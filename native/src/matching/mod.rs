//! The coordinator's matching of tags in the `blind` mode (JOIN.md, `blind`, step 2).

pub mod join;
pub mod partition;
pub mod repeats;
