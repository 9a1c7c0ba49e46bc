import gzip
import io
import lzma
import tarfile

import pytest

from mypt.format.storage.mistaken import START_BYTES, explain_start


def tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("config.json"))
    return stream.getvalue()


STARTS = {
    "is empty": b"",
    "is filled with zeros": bytes(100),
    "is a git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n",
    "is a web page": b"\n <!DOCTYPE HTML><html>Not found</html>",
    "is a gzip archive": gzip.compress(b"x"),
    "is an xz archive": lzma.compress(b"x"),
    "is a tar archive": tar(),
}


@pytest.mark.parametrize("what", STARTS)
def test_what_lies_in_the_place_of_a_file_is_named(what):
    problem = explain_start(STARTS[what][:START_BYTES], "model.pt", "archive")
    assert problem.what.startswith(what)
    assert problem.fix
    assert problem.file == "model.pt"


@pytest.mark.parametrize("start", [b"{}", b"PK\x03\x04", b"\x80\x02}q\x00.", b"hello", b"<s>"])
def test_the_beginning_of_other_files_tells_nothing(start):
    assert explain_start(start, "x", "archive") is None
