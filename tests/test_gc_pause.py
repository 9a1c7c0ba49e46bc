import gc
import subprocess
import sys

import pytest

from mypt.gc_pause import pause_gc

LOAD = """
import gc, sys
{imports}
runs, frozen = [], gc.get_freeze_count()  # some are from the start of Python 3.12 on
gc.callbacks.append(lambda phase, info: runs.append(info["generation"]))
model = mypt.load(sys.argv[1])
gc.callbacks.clear()
frozen = gc.get_freeze_count() - frozen
print(runs.count(0) // 2, runs.count(1) // 2, runs.count(2), gc.isenabled(), frozen)
"""


def test_collection_pauses_inside_and_goes_on_after_an_error():
    def fail():
        assert not gc.isenabled()
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"), pause_gc():
        fail()
    assert gc.isenabled()


def test_what_a_caller_disabled_stays_so():
    gc.disable()
    try:
        with pause_gc():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("freeze", [True, False])
def test_what_was_made_inside_is_looked_at_no_more_where_asked(freeze):
    before = gc.get_freeze_count()
    try:
        with pause_gc(freeze=freeze):
            kept = [[] for _ in range(100)]
        assert (gc.get_freeze_count() >= before + len(kept)) is freeze
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("imports", ["import mypt", "import torch, mypt"])
def test_loading_a_model_scans_no_objects_of_torch_again_and_again(bundle, imports):
    command = [sys.executable, "-c", LOAD.format(imports=imports), str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    young, older, oldest, is_enabled, frozen = done.stdout.split()
    assert (oldest, is_enabled, frozen) == ("0", "True", "0")
    assert int(young) + int(older) <= 5  # whenever Python's counters say so
