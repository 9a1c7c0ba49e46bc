"""Attention with linear biases (ALiBi) for mypt."""
