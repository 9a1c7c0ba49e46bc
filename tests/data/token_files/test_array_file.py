import numpy as np
import pytest

from mypt.data.token_files.array_file import map_array
from mypt.format.errors import DataError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.bin"
    np.arange(6, dtype="<u4").tofile(path)
    return path


def test_an_array_is_mapped_from_where_it_begins(file):
    assert map_array(file, "<u4").tolist() == [0, 1, 2, 3, 4, 5]
    assert map_array(file, "<u4", 8).tolist() == [2, 3, 4, 5]
    assert map_array(file, "<u4", 24).tolist() == []
    assert isinstance(map_array(file, "<u2", 2), np.memmap)


def test_a_part_of_an_item_is_refused_after_a_header_too(file):
    file.write_bytes(file.read_bytes()[:-1])
    for start in (0, 8):
        with pytest.raises(DataError, match="has 23 bytes, which is not a whole number of 4-byte"):
            map_array(file, "<u4", start)
