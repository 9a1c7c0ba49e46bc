"""What no reader reads: which program wrote it, or what is wrong with it."""
