"""Reader of GGUF files, and the tables that exporting uses too."""
