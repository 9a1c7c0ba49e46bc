"""The events of a run, and the sinks that they go to."""
