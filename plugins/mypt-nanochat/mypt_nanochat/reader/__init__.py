"""Read the checkpoints of nanochat."""
