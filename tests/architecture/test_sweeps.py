"""What `make sweep` runs alone is named by tests that exist."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
LINES = (TESTS / "sweeps.txt").read_text(encoding="utf-8").splitlines()
PATTERNS = [line for line in LINES if line and not line.startswith("#")]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_names_a_test(pattern):
    file, _, name = pattern.partition("::")
    path = (TESTS.parent if file.startswith("plugins/mypt-") else TESTS) / file
    names = re.findall(r"^ *def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    # Up to its parameters, whose values only a run knows.
    begin = re.split(r"[*\[]", name)[0]
    assert any(one.startswith(begin) for one in names)
