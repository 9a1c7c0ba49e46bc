"""`python -m mypt.format`: the part of the command line that looks after the format."""

import sys

if __name__ == "__main__":
    try:
        from mypt.cli.main import main_format

        main_format()
    except KeyboardInterrupt:  # before a command began, or after it ended
        sys.exit("interrupted")
