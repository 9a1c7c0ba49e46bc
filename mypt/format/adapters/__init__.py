"""Adapters: the small matrices that are trained beside those of a base, and where they stand."""
