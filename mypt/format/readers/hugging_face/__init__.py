"""Reader of Hugging Face folders."""
