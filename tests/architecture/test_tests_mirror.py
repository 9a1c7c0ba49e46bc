"""A test lies where its module does: tests/model/test_cache.py tests mypt.model.cache.

What concerns several modules lies in tests/scenarios, or in a folder that names its subject.
"""

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = TESTS.parent / "mypt"
ROOMS = (
    *("api", "cli", "comparison", "data", "engine", "export", "format", "model", "plotting"),
    *("plugins", "testing", "tokenizers"),
)
NOTHING = "has nothing to run: names, types or what it imports"
# Modules without a test file of their own, each with the file that tests it through its user.
# Take out what gets one; add only what cannot be run alone.
TESTED_BY = {}


def find_modules():
    return {
        path.relative_to(PACKAGE).with_suffix("").as_posix()
        for room in ROOMS
        for path in (PACKAGE / room).rglob("*.py")
        if not path.stem.startswith("__")
    }


def find_tests():
    """Map what each test file of a room is named for to the file."""
    found = {}
    for room in ROOMS:
        for path in (TESTS / room).rglob("test_*.py"):
            place = path.relative_to(TESTS).with_suffix("")
            found[place.with_name(place.name.removeprefix("test_")).as_posix()] = path
    return found


def test_every_test_file_is_named_for_a_module():
    assert sorted(find_tests().keys() - find_modules()) == []


def test_every_module_has_a_test_file_or_says_which_one_tests_it():
    without = find_modules() - find_tests().keys()
    assert sorted(without - TESTED_BY.keys()) == [], "write a test for it"
    assert sorted(TESTED_BY.keys() - without) == [], "take it out of TESTED_BY"


@pytest.mark.parametrize("where", sorted(set(TESTED_BY.values()) - {NOTHING}))
def test_what_is_said_to_test_a_module_exists(where):
    assert (TESTS / where).exists()
