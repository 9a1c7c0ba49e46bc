"""The batches of a training step, drawn from texts, shards or episodes."""
