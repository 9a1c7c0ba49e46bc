"""Readers of files that hold the tensors of some model, and not always which model it is."""
