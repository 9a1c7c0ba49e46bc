"""What a run sets up before its first step: checks, the model, the log, the savers, the state."""
