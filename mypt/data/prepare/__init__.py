"""Data sets of shards, made once from texts and chats."""
