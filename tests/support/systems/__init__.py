"""Windows and macOS, as far as mypt's files can tell, simulated on Linux."""
