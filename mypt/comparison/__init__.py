"""Compare models: how they differ, and which is better."""
