//! RR22 private set intersection as two state machines.
