"""Byte pairs as nanochat uses them."""
