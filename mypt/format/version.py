"""The version of the program, and the version of the format that it writes."""

MYPT_VERSION = "0.1.0"
FORMAT_VERSION = "2.0"
