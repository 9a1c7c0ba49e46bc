"""Texts, token shards, and the batches drawn from them."""
