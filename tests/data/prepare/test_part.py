from itertools import pairwise

import pytest
from attrs import evolve

from mypt.data.metadata import PART_FILE, DataFile
from mypt.data.prepare.part import Part, PartRecord, segments_sha256
from mypt.data.prepare.segments import Segment, TextFile
from mypt.format.errors import DataError


def segments_of(sizes, tmp_path):
    files = [TextFile(tmp_path / str(n), str(n), size, "1") for n, size in enumerate(sizes)]
    return [Segment(file, 0, file.size_bytes, "train", file.size_bytes) for file in files]


@pytest.mark.parametrize("sizes", [[5], [1, 1000, 1], [7] * 10, [1] * 30 + [100, 3], [9, 1, 1, 1]])
@pytest.mark.parametrize("of", [1, 2, 3, 8])
def test_parts_follow_each_other_and_differ_by_no_more_than_a_file(sizes, of, tmp_path):
    segments = segments_of(sizes, tmp_path)
    ranges = [Part(number, of).find_range(segments) for number in range(1, of + 1)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(sizes)
    for (_, end), (begin, _) in pairwise(ranges):
        assert end == begin
    for first, after in ranges:
        assert abs(sum(sizes[first:after]) - sum(sizes) / of) <= max(sizes)


SHARD = DataFile(name="train/shard_00000.bin", size_bytes=4, sha256="0" * 64, mtime_ns=1, tokens=2)


@pytest.fixture
def record(tmp_path):
    return PartRecord(
        mypt_version="1",
        part=Part(2, 3),
        inputs=[["a", 1, "1"]],
        segments_sha256=segments_sha256(segments_of([3], tmp_path)),
        tokenizer_sha256="0",
        about={"dtype": "uint16", "tokens_per_shard": 2, "prepared_with": {}},
        files=(SHARD,),
    )


def test_a_record_that_changed_in_one_place_is_damaged(record, tmp_path):
    record.save(tmp_path)
    assert PartRecord.read(tmp_path) == record
    path = tmp_path / PART_FILE
    data = path.read_bytes()
    for changed in (data.replace(b"uint16", b"uint32"), data[:-9], b"", b"[]", b"{}"):
        path.write_bytes(changed)
        with pytest.raises(DataError, match=r"part\.json: is damaged; copy the part again"):
            PartRecord.read(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": (evolve(SHARD, name="train/../../secret.bin"),)},
        {"files": (evolve(SHARD, name="other/shard_00000.bin"),)},
        {"files": (evolve(SHARD, size_bytes="4"),)},
        {"about": {"dtype": "uint16", "tokens_per_shard": 0, "prepared_with": {}}},
        {"about": {"dtype": "object", "tokens_per_shard": 2, "prepared_with": {}}},
        {"about": {"dtype": "uint16", "tokens_per_shard": 2, "prepared_with": []}},
        {"about": {"dtype": "uint16", "tokens_per_shard": 2}},
        {"part": Part(0, 3)},
        {"part": Part(4, 3)},
        {"part": Part("2", "3")},
        {"inputs": [["a", 1]]},
        {"inputs": "abc"},
        {"mypt_version": None},
    ],
    ids=str,
)
def test_a_record_that_nobody_writes_is_damaged_whatever_its_digest(record, tmp_path, changes):
    evolve(record, **changes).save(tmp_path)
    with pytest.raises(DataError, match=r"part\.json: is damaged; copy the part again"):
        PartRecord.read(tmp_path)


def test_a_folder_without_a_record_is_no_part(tmp_path):
    assert PartRecord.read(tmp_path) is None
    assert PartRecord.read(tmp_path / "nowhere") is None
