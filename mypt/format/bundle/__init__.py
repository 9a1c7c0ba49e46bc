"""A bundle as a whole: found, read, checked, written."""
