"""Parquet, Arrow and the folders of Hugging Face's `datasets`, for mypt."""
