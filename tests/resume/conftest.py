"""What the tests of resuming share: places to train in, and unbroken runs to compare with."""

import os

# To ask whether there is a GPU must not open it: what is forked from this process could not.
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"

import pytest

from tests.support.resume.remains import remains
from tests.support.resume.runs import run
from tests.support.resume.setups import arguments, prepare


@pytest.fixture
def place(tmp_path):
    """Give a new folder with all texts, empty otherwise."""
    return prepare(tmp_path / "place")


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory):
    """Give what a run leaves that nobody interrupts, and the moments that it passes."""
    known = {}

    def give(setup, *, fork=True, **fields):
        key = (setup, fork, *sorted(fields.items()))
        if key not in known:
            place = prepare(tmp_path_factory.mktemp("unbroken") / "place")
            ending = run(place, arguments(setup, **fields), fork=fork)
            assert ending.code == 0, ending.said
            known[key] = remains(place), ending.passed
        return known[key]

    return give
