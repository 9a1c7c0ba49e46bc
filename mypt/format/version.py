"""The names and version of the program, and the version of the format that it writes."""

# What pip installs. On PyPI, `mypt` is a package of somebody else.
DISTRIBUTION = "mypt-lm"
# The prefix of its hooks, and the group of the entry points of its plugins.
PROJECT = "mypt"
MYPT_VERSION = "1.0.0"
FORMAT_VERSION = "2.0"
