"""Saving at once, from the tensors themselves."""

import pytest
import torch

from mypt.engine.checkpoints.async_saver import AsyncSaver, CopyBuffers
from mypt.engine.checkpoints.saver import DirectSaver, Part
from mypt.format.errors import Problem, SaveError

SAVERS = {"beside": lambda: AsyncSaver(CopyBuffers()), "at once": DirectSaver}


def parts_of(done, *, fails=()):
    """Give two parts that note what is done."""

    def write(name):
        if name in fails:
            raise SaveError(Problem("model.pt", "", "the disk is full", "free space"))
        done.append(name)

    return [
        Part(lambda _: write("copies"), then=lambda: done.append("announced")),
        Part(lambda _: write("own")),
    ]


def test_what_is_written_at_once_is_the_tensor_itself():
    weights, written = {"w": torch.ones(2)}, []
    DirectSaver().save(weights, {"state": {}}, Part(written.append))
    assert written[0].weights["w"] is weights["w"]
    assert written[0].optimizer == {"state": {}}


@pytest.mark.parametrize("make", SAVERS.values(), ids=SAVERS)
def test_what_follows_a_part_is_done_before_the_next(make):
    saver, done = make(), []
    for _ in range(2):
        saver.save({"w": torch.ones(2)}, {"state": {}}, *parts_of(done))
    saver.wait()
    saver.close()
    assert done == ["copies", "announced", "own"] * 2


@pytest.mark.parametrize(("fails", "done"), [("copies", []), ("own", ["copies", "announced"])])
@pytest.mark.parametrize("make", SAVERS.values(), ids=SAVERS)
def test_nothing_follows_a_part_that_failed(make, fails, done):
    saver, made = make(), []
    with pytest.raises(SaveError, match="the disk is full"):  # noqa: PT012 - by either
        saver.save({"w": torch.ones(2)}, {"state": {}}, *parts_of(made, fails=[fails]))
        saver.wait()
    saver.check()
    saver.close()
    assert made == done
