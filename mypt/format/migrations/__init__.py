"""Steps between versions of the format, each a pure function in a file of its own."""
