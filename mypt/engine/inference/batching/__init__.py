"""Texts that share batches: requests with settings of their own join and leave a running batch."""
