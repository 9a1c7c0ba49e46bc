"""Readers of files that are not bundles: legacy ones of MyPT and those of its neighbours."""
