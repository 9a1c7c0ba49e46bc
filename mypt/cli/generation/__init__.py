"""Input and output of `mypt generate`."""
