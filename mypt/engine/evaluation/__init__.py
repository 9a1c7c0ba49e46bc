"""Losses on held-out data, and the gold decision."""
