"""The presets: complete, tested architectures to train from."""
