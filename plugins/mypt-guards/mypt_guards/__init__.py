"""More gold guards for mypt."""
