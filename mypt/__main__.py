"""`python -m mypt`: the command line."""

from mypt_lm import main

if __name__ == "__main__":
    main()
