"""Hostile checkpoints, and every public door to try them on."""
