"""The two version numbers: of the program and of the format that it writes."""

MYPT_VERSION = "0.1.0"
FORMAT_VERSION = "2.0"
