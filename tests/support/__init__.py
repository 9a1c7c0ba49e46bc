"""What several test files share and is no fixture."""
