"""Types of values that a shell completes: models, presets, files, and what plugins provide."""
