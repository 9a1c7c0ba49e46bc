import io
import zipfile

import pytest

from mypt.format.errors import FormatError
from mypt.format.tensors.zip_reader import read_members


def write_archive(names, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name in names:
            archive.writestr(name, b"content" * 9)
    return stream


def test_members_are_named_without_the_folder_of_the_archive():
    assert list(read_members(write_archive(["m/data.pkl", "m/data/0"]), "f")) == [
        "data.pkl",
        "data/0",
    ]


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["m/data.pkl", "m/DATA.pkl"], "twice"),
        (["m/data.pkl", "other/data"], "the name"),
        (["m/../up"], "the name"),
        (["m//gap"], "the name"),
        (["m/bell\a"], "the name"),
    ],
)
def test_a_name_that_torch_would_take_for_another_is_refused(names, what):
    with pytest.raises(FormatError, match=what):
        read_members(write_archive(names), "file")


def test_compressed_members_are_refused():
    stream = write_archive(["m/data.pkl"], zipfile.ZIP_DEFLATED)
    with pytest.raises(FormatError, match="compressed"):
        read_members(stream, "file")


@pytest.mark.parametrize(
    ("junk", "what"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 and then it ends", "truncated"),
        (b"GIF89a" + b"x" * 100, r"torch\.save"),
    ],
)
def test_what_is_no_archive_is_refused(junk, what):
    with pytest.raises(FormatError, match=what):
        read_members(io.BytesIO(junk), "file")


def test_a_cut_anywhere_is_found():
    data = write_archive(["m/data.pkl", "m/data/0"]).getvalue()
    for length in range(len(data)):
        with pytest.raises(FormatError):
            read_members(io.BytesIO(data[:length]), "file")
