"""What `mypt generate` reads and prints."""
