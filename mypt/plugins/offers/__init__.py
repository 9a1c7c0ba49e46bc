"""What all plugins offer together: the settings that they take, and where they contradict."""
