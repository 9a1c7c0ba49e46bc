"""A training run, from the request to the last update."""
