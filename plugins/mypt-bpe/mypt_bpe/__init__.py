"""Byte-pair encodings trained on your own text, for mypt."""
