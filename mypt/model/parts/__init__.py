"""The built-in parts of the architecture."""
