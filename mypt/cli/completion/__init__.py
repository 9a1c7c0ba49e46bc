"""Completion in shells: the scripts, and the words of an unfinished command line."""
