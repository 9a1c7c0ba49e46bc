"""What reads the files that a user names: mypt's own data sources, and the choice among all."""
