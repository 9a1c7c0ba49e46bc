"""nanochat's model, tokenizer and checkpoints, for mypt."""
