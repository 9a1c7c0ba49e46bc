"""Conversations: lines in any of several forms, read as turns and rendered as text."""
