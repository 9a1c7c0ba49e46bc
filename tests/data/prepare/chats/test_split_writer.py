import hashlib

import numpy as np
import pytest

from mypt.data.prepare.chats.rendering import RenderedChat
from mypt.data.prepare.chats.split_writer import SplitWriter


def rendered(weights):
    return RenderedChat(np.arange(3, dtype=np.uint32), np.float32(weights), (3,))


@pytest.mark.parametrize(
    ("weight", "named", "dtype"), [(1.0, "mask", np.uint8), (0.5, "weight", "<f4")]
)
def test_weights_that_are_all_whole_are_a_mask(tmp_path, weight, named, dtype):
    with SplitWriter(tmp_path, "val") as split:
        split.add(rendered([0, 1, 1]))
        split.add(rendered([0, weight, 0]))
    assert (split.tokens, split.episodes) == (6, 2)
    described = {file.name.removeprefix("val/"): file for file in split.describe_files()}
    assert {path.name for path in (tmp_path / "val").iterdir()} == described.keys()
    (name,) = (name for name in described if named in name)
    written = np.fromfile(tmp_path / "val" / name, dtype)
    assert written.tolist() == [0, 1, 1, 0, weight, 0]
    for file, about in described.items():
        data = (tmp_path / "val" / file).read_bytes()
        assert (about.size_bytes, about.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert [(one.tokens, one.highest_id) for one in described.values() if one.tokens] == [(6, 2)]
