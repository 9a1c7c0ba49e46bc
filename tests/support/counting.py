"""How much Python does, counted: what grows with the square of its input shows on any machine."""

import sys


def count_lines(work):
    """Return how many lines `work` runs, each turn of a loop or a comprehension for itself."""
    count = 0

    def follow(_, event, __):
        nonlocal count
        count += event == "line"
        return follow

    before = sys.gettrace()
    sys.settrace(follow)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
