"""The name and version of the program, and the version of the format that it writes."""

# What pip installs. On PyPI, `mypt` is a package of somebody else.
DISTRIBUTION = "mypt-lm"
MYPT_VERSION = "1.0.0"
FORMAT_VERSION = "2.0"
