"""The commands, one module each; those of checkpoints in a folder of their own."""
