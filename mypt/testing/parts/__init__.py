"""Check architecture parts: by themselves, in models, and when a model decodes."""
