"""Damaged checkpoints: what is wrong with one, and what can be gone on from instead."""
