"""Other forms than today's archive in which torch writes tensors."""
