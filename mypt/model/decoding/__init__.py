"""Tokens one after another: sampling, and the decode step."""
