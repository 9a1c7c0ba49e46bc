"""The commands that deal with checkpoints as they lie on the disk."""
