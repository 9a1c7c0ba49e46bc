"""Helpers shared by the readers."""
