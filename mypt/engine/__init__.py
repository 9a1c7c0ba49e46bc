"""The training engine: schedule, evaluation, gold, checkpoints, events."""
