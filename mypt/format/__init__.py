"""The checkpoint format: what a bundle is, how it is read, checked and committed."""
