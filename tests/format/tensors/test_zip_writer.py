import io
import zipfile

from mypt.format.tensors.zip_reader import read_member, read_members
from mypt.format.tensors.zip_writer import ALIGNMENT, ArchiveWriter

CONTENTS = {"data.pkl": b"x" * 100, "empty": b"", "data/0": bytes(range(256)) * 3, "version": b"3"}


def write_archive(contents=CONTENTS):
    stream = io.BytesIO()
    writer = ArchiveWriter(stream, "archive")
    for name, content in contents.items():
        writer.write(name, content)
    writer.close()
    return stream


def test_python_reads_what_is_written():
    with zipfile.ZipFile(write_archive()) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(f"archive/{name}") for name in CONTENTS} == CONTENTS


def test_the_reader_of_mypt_reads_what_is_written():
    stream = write_archive()
    members = read_members(stream, "file")
    assert {name: read_member(stream, member) for name, member in members.items()} == CONTENTS
    assert all(member.offset % ALIGNMENT == 0 for member in members.values())


def test_equal_members_give_equal_bytes():
    assert write_archive().getvalue() == write_archive().getvalue()
