"""Readers of checkpoints that are not bundles: MyPT's legacy files and other programs' files."""
