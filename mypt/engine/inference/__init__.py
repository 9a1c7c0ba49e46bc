"""Generated text and scores."""
