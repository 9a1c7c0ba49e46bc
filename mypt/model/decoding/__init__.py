"""Autoregressive decoding: the decode step, and sampling."""
