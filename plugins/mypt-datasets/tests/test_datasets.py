"""Tables and folders as `datasets` and `pyarrow` write them."""

import gzip
import json
import tracemalloc

import mypt_datasets.plugin
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mypt.cli.main import mypt_group, run
from mypt.data.input_files import read_input
from mypt.data.sources.choice import SourceChoice
from mypt.plugins import DataError
from mypt.plugins.manager import load_plugins
from mypt.testing import check_data_source, registered

TEXTS = [f"text {n}: però 😀\n" for n in range(700)]
SOURCES = {one.name: one for one in mypt_datasets.plugin.mypt_data_sources()}


def table(texts=TEXTS, kind=None):
    return pa.table({"text": pa.array(texts, kind), "n": range(len(texts))})


def documents(*paths, **options):
    choice = SourceChoice.of(load_plugins(), None, options)
    text = read_input([str(path) for path in paths], choice)
    return ["".join(pieces) for pieces in text.documents()]


def test_they_are_registered():
    assert {"parquet", "arrow", "datasets"} <= {*load_plugins().data_sources}
    registered(mypt_datasets.plugin)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_parquet_keeps_its_contract(tmp_path, kind):
    pq.write_table(table(kind=kind), tmp_path / "a.parquet", row_group_size=300)
    assert check_data_source(SOURCES["parquet"], tmp_path / "a.parquet") == TEXTS


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_arrow_keeps_its_contract(tmp_path, new):
    with new(tmp_path / "a.arrow", table().schema) as writer:
        writer.write_table(table(), max_chunksize=300)
    assert check_data_source(SOURCES["arrow"], tmp_path / "a.arrow") == TEXTS


def test_categories_are_texts(tmp_path):
    pq.write_table(
        pa.table({"text": pa.array(["a", "b", "a"]).dictionary_encode()}), tmp_path / "a"
    )
    assert documents(tmp_path / "a") == ["a", "b", "a"]


def test_a_saved_data_set_is_read_as_a_whole(tmp_path):
    datasets = pytest.importorskip("datasets")
    held = datasets.Dataset(table())
    held.save_to_disk(tmp_path / "one", num_shards=3)
    assert check_data_source(SOURCES["datasets"], tmp_path / "one") == TEXTS
    both = datasets.DatasetDict({"train": held, "test": held.select(range(5))})
    both.save_to_disk(tmp_path / "both")
    assert documents(tmp_path / "both") == TEXTS
    assert documents(tmp_path / "both", split="test") == TEXTS[:5]
    with pytest.raises(DataError, match="has no split `vali`; it has: train, test"):
        documents(tmp_path / "both", split="vali")
    (tmp_path / "notes.txt").write_text("notes")
    assert documents(tmp_path) == [*TEXTS, "notes", *TEXTS]


def write_shards(folder, name, count=2):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = folder / f"{name}-{number:05d}-of-{count:05d}.parquet"
        pq.write_table(table([f"{name} {number}"]), path)


def test_a_folder_of_shards_is_read_by_split(tmp_path):
    write_shards(tmp_path / "set" / "data", "train")
    write_shards(tmp_path / "set" / "data", "test")
    (tmp_path / "set" / "README.md").write_text("about")
    assert documents(tmp_path / "set") == ["train 0", "train 1"]
    assert documents(tmp_path / "set", split="test") == ["test 0", "test 1"]
    (tmp_path / "set" / "more.txt").write_text("a text that is none of it")
    assert documents(tmp_path / "set") == [
        "about",
        "train 0",
        "train 1",
        "a text that is none of it",
    ]


def test_the_cache_of_the_hub_is_read_as_it_lies(tmp_path):
    cache = tmp_path / "datasets--a--b"
    write_shards(cache / "blobs-source", "train")
    (cache / "blobs").mkdir()
    place = cache / "snapshots" / "abc" / "data"
    place.mkdir(parents=True)
    for number, path in enumerate(sorted((cache / "blobs-source").iterdir())):
        path.rename(cache / "blobs" / str(number))
        (place / path.name).symlink_to(cache / "blobs" / str(number))
    (cache / "blobs-source").rmdir()
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    assert documents(cache) == documents(place.parent) == ["train 0", "train 1"]


def test_several_sets_are_named(tmp_path):
    write_shards(tmp_path / "en", "train")
    write_shards(tmp_path / "de", "train")
    with pytest.raises(DataError, match="holds several data sets: de, en; name the folder"):
        documents(tmp_path)


@pytest.mark.parametrize(
    ("made", "options", "what"),
    [
        (table(["a", None]), {}, r"row 2: has a field `text` that is null"),
        (table(["a"]), {"field": "n"}, r"has a field `n` of type int64, not of strings"),
        (table(["a"]), {"field": "body"}, r"has no field `body`; it has: text, n"),
        (table(["", ""]), {}, "contains no text"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, made, options, what):
    pq.write_table(made, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=what):
        documents(tmp_path / "a.parquet", **options)


def test_damaged_files_are_named(tmp_path):
    for name in ("a.parquet", "a.arrow"):
        (tmp_path / name).write_bytes(b"no such thing")
        with pytest.raises(DataError, match=rf"{name}: is damaged, or no "):
            documents(tmp_path / name)


def test_every_form_is_the_same_data(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pq.write_table(table(), "a.parquet")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": one}) + "\n" for one in TEXTS))
    (tmp_path / "b.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    found = set()
    for name in ("a.parquet", "a.jsonl", "b.parquet.gz"):
        output = tmp_path / f"out-{name}"
        words = ["data", "prepare", name, "--output", str(output), "--workers", "1"]
        assert run(mypt_group, "mypt", words) == 0, capsys.readouterr().err
        ids = [np.fromfile(path, "<u2") for path in sorted(output.rglob("*.bin"))]
        found.add(np.concatenate(ids).tobytes())
    assert len(found) == 1


def test_memory_stays_flat(tmp_path):
    peaks = []
    for rows in (2_000, 20_000):
        pq.write_table(table(["the cat sat " * 40] * rows), tmp_path / "a.parquet")
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        for _ in read_input(
            [str(tmp_path / "a.parquet")], SourceChoice.of(load_plugins())
        ).documents():
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert pa.total_allocated_bytes() <= before + 1_000_000
    assert peaks[1] < 1.3 * peaks[0] + 500_000
