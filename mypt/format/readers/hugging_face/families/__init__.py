"""The model families of Hugging Face that mypt reads and writes, each in its own module."""
