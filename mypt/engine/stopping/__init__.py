"""When a run ends, and why."""
