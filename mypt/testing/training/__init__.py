"""Checks of what shapes a run: schedules, losses, data sources."""
