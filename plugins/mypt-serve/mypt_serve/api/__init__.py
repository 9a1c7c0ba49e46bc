"""OpenAI's API: what requests may say, and what they are answered with."""
