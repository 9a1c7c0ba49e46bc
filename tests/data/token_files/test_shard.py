"""Files of ids that mypt did not write: read as what they are, or refused with the remedy."""

import gzip
import io
import re

import numpy as np
import pytest

from mypt.data.batches.loader import GPTDataLoader
from mypt.data.dataset import read_shards
from mypt.data.token_files.shard import map_unrecorded_ids
from mypt.format.documents.config import GPTConfig
from mypt.tokenizers.bare_ids import BareIds
from tests.support.token_files import LLM_C, refusal, write_llm_c

IDS = np.random.default_rng(1).integers(0, 50257, 5000)


def shorten(value):
    return value if isinstance(value, str) else "data"


@pytest.mark.parametrize("dtype", LLM_C)
def test_a_file_by_llm_c_is_read_after_its_header(dtype, tmp_path):
    path = write_llm_c(tmp_path / "a.bin", IDS, dtype)
    for expected in ("<u2", "<u4"):  # the header says what it is
        ids = map_unrecorded_ids(path, expected)
        assert ids.dtype == np.dtype(dtype)
        assert ids.tolist() == IDS.tolist()
        assert isinstance(ids, np.memmap)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"_1": 2}, "is a token file by llm.c of version 2; mypt knows 1"),
        ({"_2": 6000}, "says in its header that it has 6,000 ids, but has 5,000"),
        ({"_0": 20240522, "_3": 400}, "is a file of multiple-choice questions by llm.c"),
    ],
)
def test_a_file_by_llm_c_that_does_not_fit_is_refused(changed, what, tmp_path):
    path = write_llm_c(tmp_path / "a.bin", IDS, **changed)
    assert refusal(map_unrecorded_ids, path, "<u4").what == what


def test_a_file_by_llm_c_that_was_cut_is_refused(tmp_path):
    path = write_llm_c(tmp_path / "a.bin", IDS)
    path.write_bytes(path.read_bytes()[:-3])
    what = "says in its header that it has 5,000 ids, but has 4,998.5"
    assert refusal(map_unrecorded_ids, path, "<u2").what == what


@pytest.mark.parametrize(
    ("stored", "read", "what"),
    [
        ("<i8", "<u4", "has int64 ids, but is read as uint32"),
        ("<i8", "<u2", "has int64 ids, but is read as uint16"),
        ("<i4", "<u2", "has int32 or uint32 ids, but is read as uint16"),
    ],
)
def test_wider_ids_are_refused_and_the_remedy_mends_the_file(stored, read, what, tmp_path):
    """Read as they lie, every other id, or three of four, would be 0."""
    path = tmp_path / "a.bin"
    IDS.astype(stored).tofile(path)
    problem = refusal(map_unrecorded_ids, path, read)
    assert problem.what == what
    mend(problem.fix)
    assert map_unrecorded_ids(path, read).tolist() == IDS.tolist()


def mend(fix):
    command = re.search(r"in Python: (numpy\..*\))$", fix)[1]
    eval(command, {"numpy": np})


@pytest.mark.parametrize("count", [5000, 5001])
def test_narrower_ids_are_refused_and_the_remedy_mends_the_file(count, tmp_path):
    """With an odd number of ids at once, otherwise since they are beyond every vocabulary."""
    ids = np.resize(IDS, count)
    write_set(tmp_path, ids, "<u2")
    problem = refusal(load, tmp_path)
    if count % 2:
        assert "has 10002 bytes, which is not a whole number of 4-byte ids" in problem.what
    else:
        assert problem.what == "has uint16 ids, but is read as uint32"
    for path in tmp_path.glob("*/*.bin"):
        mend(problem.fix.replace(problem.file, str(path)))
    assert read_shards(tmp_path)["train"][0].tolist() == ids.tolist()


@pytest.mark.parametrize(
    ("stored", "ids", "what"),
    [
        (">u4", IDS, "has its ids in big-endian byte order"),
        ("<i4", np.where(IDS % 9, IDS, -100), "has negative ids (-100), such as those that mask"),
        ("<u4", np.where(IDS % 999, IDS, 60000), "holds the id 60000, but vocab_size is 50304"),
    ],
)
def test_ids_beyond_the_vocabulary_are_explained(stored, ids, what, tmp_path):
    write_set(tmp_path, ids, stored)
    assert refusal(load, tmp_path).what.startswith(what)


def write_set(folder, ids, dtype):
    for split in ("train", "val"):
        (folder / split).mkdir()
        np.asarray(ids).astype(dtype).tofile(folder / split / "shard_00000.bin")


def load(folder):
    config = GPTConfig(batch_size=4, block_size=8, vocab_size=50304)
    return GPTDataLoader(config, BareIds(50304), dataset_dir=folder)


def test_int64_ids_never_train_silently(tmp_path):
    write_set(tmp_path, IDS, "<i8")
    problem = refusal(load, tmp_path)
    assert problem.file == str(tmp_path / "train" / "shard_00000.bin")
    assert problem.what == "has int64 ids, but is read as uint32"


def npy():
    stream = io.BytesIO()
    np.save(stream, IDS)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (npy(), "is a NumPy array with a header"),
        (b"PK\x03\x04" + bytes(400), "is a zip archive, such as .npz or .pt"),
        (gzip.compress(IDS.astype("<u4").tobytes()), "is a gzip archive"),
    ],
    ids=shorten,
)
def test_another_file_is_named(data, what, tmp_path):
    (tmp_path / "a.bin").write_bytes(data)
    assert refusal(map_unrecorded_ids, tmp_path / "a.bin", "<u4").what == what


def test_the_remedy_of_a_numpy_array_mends_it(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(npy())
    mend(refusal(map_unrecorded_ids, path, "<u4").fix)
    assert map_unrecorded_ids(path, "<u4").tolist() == IDS.tolist()


def test_a_short_or_a_sparse_file_is_not_suspected(tmp_path):
    path = tmp_path / "a.bin"
    for ids in ([1, 0] * 15, [0] * 100, [1, 0] * 100 + [0, 1]):
        np.array(ids, "<u4").tofile(path)
        assert map_unrecorded_ids(path, "<u4").tolist() == ids
