"""Families of GPT's kind: layer norms with biases, and a feed-forward part of two layers."""
