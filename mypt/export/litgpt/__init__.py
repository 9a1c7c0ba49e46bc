"""Models of litgpt."""
