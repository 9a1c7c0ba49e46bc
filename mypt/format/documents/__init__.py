"""The JSON documents as attrs classes."""
