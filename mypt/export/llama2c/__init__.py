"""Models of llama2.c."""
