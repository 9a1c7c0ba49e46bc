"""Compressed files are the bytes that they were made of, or one clear error, in flat memory."""

import builtins
import gzip
import lzma
import random
import subprocess
import sys
import tracemalloc

import pytest

from mypt.data.inputs.compression import drop_suffix, open_bytes
from mypt.format.errors import DataError
from tests.support import zstd_bytes

PACK = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstd_bytes.compress}
RAW = random.Random(0).randbytes(100_000) + b"hello\n" * 50_000


@pytest.fixture(params=[*PACK])
def suffix(request):
    return request.param


def write(folder, suffix, data):
    path = folder / f"a.txt{suffix}"
    path.write_bytes(data)
    return path


def read(path):
    with open_bytes(path) as stream:
        return stream.read()


def refusal(path):
    with pytest.raises(DataError) as caught:
        read(path)
    return str(caught.value)


def test_a_compressed_file_is_what_it_was_made_of(tmp_path, suffix):
    packed = PACK[suffix](RAW)
    assert read(write(tmp_path, suffix, packed)) == RAW
    assert read(write(tmp_path, suffix, packed * 2)) == RAW * 2
    assert read(write(tmp_path, suffix, packed + bytes(8))) == RAW
    assert read(write(tmp_path, suffix.upper(), packed)) == RAW
    assert read(write(tmp_path, suffix, PACK[suffix](b""))) == b""


def test_any_place_can_be_sought(tmp_path, suffix):
    with open_bytes(write(tmp_path, suffix, PACK[suffix](RAW))) as stream:
        for place in (777, 300_000, 5, 0):
            assert stream.seek(place) == place
            assert stream.read(10) == RAW[place : place + 10]


@pytest.mark.parametrize("length", [5, 1000, -9])
def test_a_file_that_is_cut_short_is_refused(tmp_path, suffix, length):
    message = refusal(write(tmp_path, suffix, PACK[suffix](RAW)[:length]))
    assert "\n" not in message
    assert f"a.txt{suffix}: is " in message
    assert "copy it again" in message


def test_a_file_may_end_nowhere_but_at_the_end_of_a_stream(tmp_path, suffix):
    packed = PACK[suffix](b"the cat\n" * 4)
    for length in range(1, len(packed)):
        assert " is damaged: " in refusal(write(tmp_path, suffix, packed + packed[:length]))
        alone = refusal(write(tmp_path, suffix, packed[:length]))
        assert (" is damaged: it ends " in alone) or (length < 6 and " is no " in alone)


# Before 3.13, Python keeps to itself what fails in a finalizer, unless it is in this mode.
STRICT = [sys.executable, "-X", "dev", "-W", "error", "-c"]
OPENS_NONE = """
from pathlib import Path
from mypt.data.inputs.compression import open_bytes
from mypt.format.errors import DataError
import sys
sys.modules[sys.argv[1]] = None
for name in ("none.gz", "none.zst"):
    try:
        open_bytes(Path(name))
    except (OSError, DataError):
        print(name)
"""


def test_what_cannot_be_opened_leaves_nothing_half_built(tmp_path):
    ran = subprocess.run(
        [*STRICT, OPENS_NONE, zstd_bytes.NAME], cwd=tmp_path, capture_output=True, text=True
    )
    assert (ran.stdout.split(), ran.stderr) == (["none.gz", "none.zst"], "")


def test_what_follows_and_what_is_none_is_refused(tmp_path, suffix):
    assert "something else follows" in refusal(write(tmp_path, suffix, PACK[suffix](RAW) + b"junk"))
    assert "is no " in refusal(write(tmp_path, suffix, b"plain text\n"))
    assert "is empty" in refusal(write(tmp_path, suffix, b""))


def test_a_changed_byte_is_noticed(tmp_path):
    for suffix in (".gz", ".xz"):  # zstd's checksum is optional
        data = bytearray(PACK[suffix](RAW))
        data[5000] ^= 1
        assert "is damaged" in refusal(write(tmp_path, suffix, data))


def test_a_bomb_takes_little_memory(tmp_path, suffix):
    path = write(tmp_path, suffix, PACK[suffix](bytes(1 << 26)))
    tracemalloc.start()
    with open_bytes(path) as stream:
        size_bytes = sum(len(block) for block in iter(lambda: stream.read(1 << 16), b""))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size_bytes == 1 << 26
    assert peak < 2.5e7


def test_without_the_package_zstd_says_how_to_install_it(tmp_path, monkeypatch):
    path = write(tmp_path, ".zst", zstd_bytes.compress(RAW))
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.partition(".")[0] in ("zstandard", "compression"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, zstd_bytes.NAME)
    monkeypatch.setattr(builtins, "__import__", missing)
    message = refusal(path)
    assert message.startswith(f"{path}: is a zstd file")
    fix = "a Python that was built with" if sys.version_info >= (3, 14) else "'mypt-lm[zstd]'"
    assert fix in message


def test_a_name_without_the_suffix_says_what_it_was():
    assert drop_suffix("a.jsonl.GZ") == "a.jsonl"
    assert drop_suffix("a/b.parquet") == "a/b.parquet"
