"""Encrypted joins: what providers and the coordinator say to each other, as pure machines (JOIN.md)."""
