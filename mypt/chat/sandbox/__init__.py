"""Rendering of templates that nobody has looked at."""
