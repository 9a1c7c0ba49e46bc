"""The special tokens that MyPT marked conversations with, and GPT-2's own."""

from mypt.format.documents.tokenizer import END_OF_TEXT

PADDING = "<myPT_pad>"
END_OF_EPISODE = "<myPT_eot>"

__all__ = ["END_OF_EPISODE", "END_OF_TEXT", "PADDING"]
