"""What a newcomer is told: the first steps, and an example of each command."""
