"""What a user holds: a model, a checkpoint by name, what a checkpoint says."""
