"""The tokenizers that come with mypt."""
