"""The Python API: load a model, use it, manage its checkpoints, inspect one."""
