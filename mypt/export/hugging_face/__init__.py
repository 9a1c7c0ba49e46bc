"""Models of `transformers`."""
