"""Tokenizers of Hugging Face folders, as `transformers` 5 makes them of the files there."""
