import pytest

from mypt.engine.checkpoints.sharded.common_disk import ensure_common_disk
from mypt.engine.runtime.world import ALONE
from mypt.format.errors import SaveError


def test_who_sees_the_file_goes_on_and_nothing_of_it_is_left(tmp_path):
    ensure_common_disk(tmp_path / "checkpoints" / "dante_shards", ALONE)
    assert [*(tmp_path / "checkpoints").iterdir()] == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(SaveError, match="could not be written"):
        ensure_common_disk(tmp_path / "checkpoints" / "dante_shards", ALONE)
