"""Processes that tests start, signal and kill."""
