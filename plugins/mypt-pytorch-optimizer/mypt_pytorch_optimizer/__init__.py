"""Optimizers of the library pytorch_optimizer, for mypt."""
