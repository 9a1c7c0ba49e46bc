"""Conversations: messages, templates, and the tokens that they become."""
