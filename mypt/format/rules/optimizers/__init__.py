"""What an optimizer state must be, and what of it keeps a resume from being exact."""
