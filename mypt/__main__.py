"""`python -m mypt`: the command line."""

from mypt.cli.main import main

if __name__ == "__main__":
    main()
