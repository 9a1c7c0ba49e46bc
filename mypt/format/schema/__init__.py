"""Strict JSON, and checking it against the JSON Schemas."""
