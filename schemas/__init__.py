"""The JSON Schemas of the checkpoint format, one folder per major version."""
