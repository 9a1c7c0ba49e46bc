"""Save a model that no process holds whole: each writes its part, or passes it on."""
