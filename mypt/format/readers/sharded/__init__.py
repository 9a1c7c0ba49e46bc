"""Reader of the sharded saves of mypt's own runs."""
