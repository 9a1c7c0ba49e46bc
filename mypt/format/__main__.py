"""`python -m mypt.format`: the part of the command line that looks after the format."""

from mypt.cli.main import main_format

if __name__ == "__main__":
    main_format()
