"""What must hold beyond the schemas."""
