"""The settings of a run: presets, overrides, and which of them wins."""
