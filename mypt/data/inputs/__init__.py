"""What the inputs that a user names consist of: the files of folders, and their bytes."""
