"""Rules that go beyond the schemas."""
