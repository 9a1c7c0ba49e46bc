import json
from contextlib import nullcontext

import pytest

from mypt.engine.runtime.world import ALONE, ProcessError
from mypt.engine.training.start.common_start import ensure_same_start

FACTS = {"step": 5, "model.pt": "0" * 64, "seed": 1, "torch": "2.13"}


class Processes:
    """A world seen from its first process, in which the others say what they are given."""

    def __init__(self, *others):
        self.others = others
        self.size = 1 + len(others)

    def stage(self, name):
        return nullcontext()

    def exchange(self, name, said):
        rest = [
            json.dumps([f"process {number} on b", {k: str(v) for k, v in facts.items()}])
            for number, facts in enumerate(self.others, 1)
        ]
        return [said, *rest]

    def __str__(self):
        return "process 0 on a"


def refusal(*others):
    with pytest.raises(ProcessError) as refused:
        ensure_same_start(Processes(*others), lambda: FACTS.items())
    (problem,) = refused.value.problems
    return problem.what


def test_what_is_the_same_in_all_processes_begins():
    ensure_same_start(Processes(FACTS, FACTS), lambda: FACTS.items())


def test_nothing_is_described_in_a_world_of_one():
    def describe():
        pytest.fail("it may take long")

    ensure_same_start(ALONE, describe)


def test_the_process_its_machine_and_what_differs_are_named():
    what = refusal(FACTS, FACTS | {"step": 4})
    assert what == "process 2 on b differs from process 0 on a in step (4, not 5)"


def test_what_one_process_lacks_or_has_alone_differs():
    assert refusal({k: v for k, v in FACTS.items() if k != "seed"}).endswith("seed (none, not 1)")
    assert refusal(FACTS | {"plugin acme": "1.0"}).endswith("plugin acme (1.0, not none)")


def test_many_differences_are_one_line_that_can_be_read():
    what = refusal({}, {}, {})
    shown = f"step (none, not 5), model.pt (none, not {'0' * 20}...), seed (none, not 1) and 1 more"
    expected = f"process 1 on b differs from process 0 on a in {shown}, and so do 2 more"
    assert what == expected
