"""Adapters as the package peft of Hugging Face has them, both ways."""
