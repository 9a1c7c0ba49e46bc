"""Batches for a training step, drawn from texts, shards or episodes."""
