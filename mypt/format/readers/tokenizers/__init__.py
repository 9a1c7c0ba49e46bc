"""Tokenizers of other programs as documents of Hugging Face's `tokenizers` (`tokenizer.json`)."""
