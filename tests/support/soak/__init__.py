"""A soak: everything that mypt does, in random order, with all that can go wrong in between."""
