"""Charts of the losses of runs."""
