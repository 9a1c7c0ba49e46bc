"""The built-in architecture parts."""
