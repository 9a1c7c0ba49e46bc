"""Byte-pair encodings of your own text for mypt."""
