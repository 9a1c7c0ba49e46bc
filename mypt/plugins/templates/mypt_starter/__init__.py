"""A plugin for mypt."""
