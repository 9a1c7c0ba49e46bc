"""The chat page: one document that loads nothing."""
