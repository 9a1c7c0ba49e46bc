"""Prepare data sets from texts and chats."""
