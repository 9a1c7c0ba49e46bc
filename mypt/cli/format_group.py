"""`mypt format`: the commands of `python -m mypt.format`."""

from mypt.cli.main import format_group as command

__all__ = ["command"]
