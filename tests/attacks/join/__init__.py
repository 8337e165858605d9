"""Attacks on joins. Those that have a number among all attacks carry it; j01, j02 … are of joins alone.

What tests/crypto/join/ shows already is not repeated: lengths that follow from sizes (test_blind,
test_psi), frames that were altered, repeated, dropped or moved (test_channel), uniform shares, the order
of matches, two jobs without a common byte. Native claims (a sender's message that changes with Δ alone,
failure slopes, SIMD against scalar) are in native/src.
"""
