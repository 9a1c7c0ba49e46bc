import gc

import pytest

from mypt.cli.gc_pause import pause_gc


def test_collection_pauses_inside_and_goes_on_after_an_error():
    def fail():
        assert not gc.isenabled()
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"), pause_gc():
        fail()
    assert gc.isenabled()


def test_what_was_made_inside_is_looked_at_no_more():
    before = gc.get_freeze_count()
    try:
        with pause_gc():
            kept = [[] for _ in range(100)]
        assert gc.get_freeze_count() >= before + len(kept)
    finally:
        gc.unfreeze()
