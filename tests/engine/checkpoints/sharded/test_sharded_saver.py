"""What it saves is tested with real processes: tests/scenarios/test_sharded_saves.py."""

from mypt.engine.checkpoints.sharded.sharded_saver import ShardedSaver
from mypt.engine.runtime.world import ALONE
from mypt.format.bundle.copy_name import CopyKind


def test_the_copies_that_all_agree_on_are_in_the_order_of_writing(tmp_path):
    saver = ShardedSaver(tmp_path / "dante", ALONE, None)
    kinds = [CopyKind.EMA, CopyKind.GOLD]
    assert saver.agree_on(kinds) == [CopyKind.GOLD, CopyKind.EMA]
    assert saver.agree_on([*CopyKind]) == [*CopyKind]
    assert saver.agree_on([]) == []


def test_the_shards_go_beside_the_bundle(tmp_path):
    assert ShardedSaver(tmp_path / "dante", ALONE, None).folder == tmp_path / "dante_shards"
