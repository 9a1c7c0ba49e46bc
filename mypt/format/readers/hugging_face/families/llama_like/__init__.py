"""Families with the tensor names of Llama, each in the module of its name."""
