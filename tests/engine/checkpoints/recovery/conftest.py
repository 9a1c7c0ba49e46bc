"""What the tests of damaged checkpoints share: a run that was stopped, with its copies."""

import shutil
from pathlib import Path

import pytest

from mypt.format.errors import FormatError

CHECKPOINTS = Path("checkpoints")
RUN = {"max_iters": 12, "eval_interval": 3, "snapshot_interval": 3}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder to keep what every test begins with, and the digests of the run's end."""
    return tmp_path_factory.mktemp("run"), {}


@pytest.fixture
def run(train, stop_at, digests, made):
    """Stop a run at step 8 of 12, beside numbered copies of steps 3 and 6; give its end's digests.

    Its gold copy is removed: it is of one of the evaluated steps.
    """
    place, end = made
    if not end:
        stop_at(8)
        train(**RUN)
        stop_at(None)
        shutil.copytree(CHECKPOINTS, place, dirs_exist_ok=True)
        shutil.rmtree(place / "cat_gold")
        train(**RUN)
        end |= digests()
        shutil.rmtree(CHECKPOINTS)
        shutil.rmtree("logs")
    shutil.copytree(place, CHECKPOINTS)
    return end


@pytest.fixture
def refusal(train):
    """Give what a resume of the run says that is refused."""

    def call(**more):
        with pytest.raises(FormatError) as error:
            train(**RUN, **more)
        return error.value.problems

    return call
