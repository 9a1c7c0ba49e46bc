"""Reader of llama2.c's checkpoints, and of what its `export.py` makes of them."""
