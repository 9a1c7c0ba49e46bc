"""Bytes packed by zstd, by what the Python that runs the tests has for it."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd as package

    NAME = "compression.zstd"
else:
    import zstandard as package

    NAME = "zstandard"

compress = package.compress
