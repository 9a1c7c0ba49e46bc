"""Optimizers: built by their factories, known by the names of parameters, saved and restored."""
