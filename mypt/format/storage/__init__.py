"""Files on disk: commit, lock, fsync, generations."""
