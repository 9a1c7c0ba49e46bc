"""Conversations of `mypt chat`."""
