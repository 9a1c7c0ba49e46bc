"""What other programs call our settings and commands: the names of each, and ours."""
