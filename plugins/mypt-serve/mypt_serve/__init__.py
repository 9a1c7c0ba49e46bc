"""A server for models of mypt: OpenAI's API and a chat page."""
