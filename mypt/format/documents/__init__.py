"""The JSON documents as classes."""
