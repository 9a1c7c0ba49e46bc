import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mypt.format.errors import FormatError
from mypt.format.tensors.gguf import cursor
from mypt.format.tensors.gguf.header import is_gguf, parse_header, read_header
from tests.support.gguf_bytes import ARRAY, STRING, U32, make_file, pack_entry, pack_string

WHOLE = make_file()


@pytest.fixture
def parse(tmp_path):
    path = tmp_path / "model.gguf"

    def parse(data):
        path.write_bytes(data)
        with path.open("rb") as stream:
            return parse_header(stream, "model.gguf")

    return parse


def test_a_file_says_what_it_holds(parse):
    found = parse(WHOLE)
    assert found.version == 3
    assert found.metadata["general.architecture"] == "llama"
    assert found.metadata["list"] == ["a", "bc", ""]
    assert found.metadata["numbers"] == [1.5, -2.0]
    assert found.metadata["yes"] is True
    assert {name: tensor.info.shape for name, tensor in found.tensors.items()} == {
        "matrix": (2, 64),
        "halves": (3,),
        "rows": (2, 3),
    }
    assert [tensor.type_name for tensor in found.tensors.values()] == ["Q8_0", "F16", "F32"]
    assert [tensor.info.dtype for tensor in found.tensors.values()] == [
        "float32",
        "float16",
        "float32",
    ]


def test_version_2_is_read_as_version_3(parse):
    assert parse(make_file(version=2)).metadata == parse(WHOLE).metadata


def test_the_alignment_of_the_file_counts(parse):
    data = make_file(entries=[pack_entry("general.alignment", U32, 64)], alignment=64)
    assert [tensor.start % 64 for tensor in parse(data).tensors.values()] == [0, 0, 0]


def test_every_truncation_is_refused(parse):
    end = len(WHOLE.rstrip(b"\0"))  # the last tensor may lack padding and nothing else
    for length in range(end):
        with pytest.raises(FormatError):
            parse(WHOLE[:length])


@given(place=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_read_soundly(place, bit, tmp_path_factory):
    data = bytearray(WHOLE)
    data[place] ^= 1 << bit
    check_sound(bytes(data), tmp_path_factory)


@given(data=st.binary(max_size=200), start=st.sampled_from([b"", WHOLE[:24], WHOLE[:60]]))
def test_anything_behind_a_start_is_refused_or_read_soundly(data, start, tmp_path_factory):
    check_sound(start + data, tmp_path_factory)


def check_sound(data, tmp_path_factory):
    """What is read lies within the file, tensor behind tensor."""
    path = tmp_path_factory.mktemp("flipped") / "model.gguf"
    path.write_bytes(data)
    try:
        with path.open("rb") as stream:
            found = parse_header(stream, path.name)
    except FormatError:
        return
    end = 0
    for tensor in found.tensors.values():
        assert end <= tensor.start
        end = tensor.start + tensor.size_bytes
        assert end <= len(data)


HUGE, U8 = 2**62, 0
HOSTILE = {
    "another magic": (b"GGML" + WHOLE[4:], "does not begin like"),
    "big-endian": (b"GGUF" + struct.pack(">I", 3) + WHOLE[8:], "is big-endian"),
    "version 1": (make_file(version=1), "is version 1 of GGUF"),
    "version 4": (make_file(version=4), "is version 4 of GGUF"),
    "many tensors": (make_file(tensor_count=HUGE), "ends within its header"),
    "many entries": (make_file(entry_count=HUGE), "ends within its header"),
    "a long key": (make_file(entries=[struct.pack("<Q", HUGE)]), "impossible length"),
    "a long string": (
        make_file(entries=[pack_string("k") + struct.pack("<IQ", STRING, HUGE)]),
        "impossible length",
    ),
    "a long array": (
        make_file(entries=[pack_string("k") + struct.pack("<IIQ", ARRAY, U32, HUGE)]),
        "together, arrays may have",
    ),
    "arrays that are long together": (
        make_file(
            entries=[
                pack_string(key) + struct.pack("<IIQ", ARRAY, U8, 2**21) + bytes(2**21)
                for key in ("k", "l")
            ]
        ),
        "l: has 2097152 items: together, arrays may have",
    ),
    "more keys than any": (make_file(entry_count=2**17) + bytes(2**21), "has 131072 keys"),
    "more tensors than any": (make_file(tensor_count=2**17) + bytes(2**22), "and 131072 tensors"),
    "an array beyond the end": (
        make_file(entries=[pack_string("k") + struct.pack("<IIQ", ARRAY, STRING, 2**20)]),
        "ends within its header",
    ),
    "nested arrays": (
        make_file(entries=[pack_string("k") + struct.pack("<IIQ", ARRAY, ARRAY, 1)]),
        "is an array of arrays",
    ),
    "an unknown type": (make_file(entries=[pack_string("k") + struct.pack("<I", 13)]), "type 13"),
    "half a truth": (make_file(entries=[pack_string("k") + struct.pack("<IB", 7, 2)]), "is 2, not"),
    "no UTF-8": (make_file(entries=[pack_entry("k", STRING, b"\xff")]), "is not UTF-8"),
    "a key twice": (make_file(entries=[pack_entry("k", U32, 1)] * 2), "is there twice"),
    "alignment 0": (make_file(entries=[pack_entry("general.alignment", U32, 0)]), "power of two"),
    "alignment 3": (make_file(entries=[pack_entry("general.alignment", U32, 24)]), "power of two"),
    "an alignment in words": (
        make_file(entries=[pack_entry("general.alignment", STRING, b"32")]),
        "power of two",
    ),
    "a tensor twice": (make_file(names=["x", "x", "y"]), "is there twice"),
    "five dimensions": (make_file(dimensions=5), "5 dimensions"),
    "2**32 dimensions": (make_file(dimensions=2**32 - 1), "dimensions"),
    "no rows": (make_file(shapes={"rows": (0, 3)}), "impossible shape"),
    "many rows": (make_file(shapes={"rows": (2**63, 3)}), "impossible shape"),
    "more rows than bytes": (make_file(shapes={"rows": (2**30, 2**30)}), "bytes, but its header"),
    "part of a block": (make_file(shapes={"matrix": (2, 33)}), "no blocks of 32"),
    "a type that mypt does not read": (make_file(kinds={"rows": 20}), "of the type IQ4_NL"),
    "a type that nobody knows": (make_file(kinds={"rows": 99}), "of the type 99"),
    "overlap": (make_file(offsets={"halves": 0}), "not at 160 behind the one before"),
    "a gap": (make_file(offsets={"halves": 192}), "not at 160 behind the one before"),
    "more than it says": (WHOLE + bytes(64), "bytes, but its header describes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(name, parse):
    data, reason = HOSTILE[name]
    with pytest.raises(FormatError, match=reason):
        parse(data)


def test_a_header_larger_than_any_is_refused(parse, monkeypatch):
    monkeypatch.setattr(cursor, "MAX_HEADER_BYTES", 100)
    with pytest.raises(FormatError, match="a header of more than 100 bytes"):
        parse(WHOLE)


def test_a_file_that_changed_is_read_again(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(WHOLE)
    assert is_gguf(path, path.name)
    assert read_header(path, path.name).version == 3
    path.write_bytes(make_file(version=2) + b"")
    assert read_header(path, path.name).version == 2
