"""Grouped-query attention for mypt."""
