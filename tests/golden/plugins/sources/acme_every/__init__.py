"""A plugin as somebody wrote it for mypt 1.0. It is not changed any more."""
