"""Calls from Python: whether the arguments are those that a function has."""
