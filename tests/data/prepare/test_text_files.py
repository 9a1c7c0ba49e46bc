"""Data sets of documents: of every form and compression, in parallel, stopped and gone on with."""

import gzip
import io
import json
import lzma
import random
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from attrs import evolve

from mypt.data.dataset import read_shards
from mypt.data.metadata import read_metadata
from mypt.data.prepare import shard_filler
from mypt.data.prepare.tokens import Preparation, prepare
from mypt.format.errors import ConfigError, DataError
from mypt.plugins.manager import load_plugins
from tests.support import zstd_bytes

PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstd_bytes.compress}
END = 50256


@pytest.fixture(scope="module")
def plugins():
    return load_plugins()


@pytest.fixture(scope="module")
def documents():
    words = ["però", "it's", "the\t", "cat", "😀", "sat\n", "on", "<|endoftext|>", "mat."]
    dice = random.Random(0)
    return [" ".join(dice.choices(words, k=dice.randrange(1, 40))) for _ in range(150)]


def as_lines(documents, field="text"):
    return "".join(json.dumps({field: one}) + "\n" for one in documents).encode()


@pytest.fixture
def lines(tmp_path, documents):
    path = tmp_path / "a.jsonl"
    path.write_bytes(as_lines([*documents[:9], "", *documents[9:]]))
    return path


@pytest.fixture
def wanted(lines, tmp_path):
    return Preparation(inputs=[str(lines)], output=tmp_path / "out", tokens_per_shard=400)


def ids_of(folder):
    return {name: np.concatenate(arrays) for name, arrays in read_shards(folder).items()}


def content(folder):
    files = sorted(folder.rglob("*.bin"))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_each_split_has_the_token_between_documents_and_nothing_after_the_last(
    wanted, plugins, documents, caplog
):
    prepare(wanted, plugins)
    tokenizer, found = plugins.tokenizer("gpt2").build({}), []
    for ids in ids_of(wanted.output).values():
        parts = np.split(ids, np.flatnonzero(ids == END))
        found += [tokenizer.decode(part[number > 0 :]) for number, part in enumerate(parts)]
    assert found == documents
    assert [record.getMessage() for record in caplog.records] == [
        f"{wanted.inputs[0]}: 1 document without text, which is left out"
    ]


def test_a_vocabulary_without_it_separates_them_by_newlines(wanted, plugins, documents):
    prepare(evolve(wanted, tokenization="char", val_fraction=1), plugins)
    state = json.loads((wanted.output / "tokenizer_state.json").read_text(encoding="utf-8"))
    [arrays] = read_shards(wanted.output, eval_only=True).values()
    text = plugins.tokenizer("char").build(state).decode(np.concatenate(arrays))
    assert text == "".join(one if one.endswith("\n") else f"{one}\n" for one in documents)[:-1]


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
@pytest.mark.parametrize("kind", ["char", "gpt2"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.txt"])
def test_compressed_files_are_the_same_data(wanted, plugins, lines, tmp_path, name, suffix, kind):
    data = lines.read_bytes()
    plain, packed = tmp_path / "plain" / name, tmp_path / "packed" / f"{name}{suffix}"
    plain.parent.mkdir()
    packed.parent.mkdir()
    plain.write_bytes(data)
    packed.write_bytes(PACK[suffix](data))
    digests = []
    for number, path in enumerate((plain, packed)):
        output = tmp_path / f"out{number}"
        prepare(evolve(wanted, inputs=[str(path)], output=output, tokenization=kind), plugins)
        digests.append(read_metadata(output).document["data_sha256"])
    assert digests[0] == digests[1]
    assert content(tmp_path / "out0") == content(tmp_path / "out1")


def test_any_number_of_workers_gives_the_same_files(wanted, plugins, tmp_path):
    prepare(wanted, plugins)
    prepare(evolve(wanted, output=tmp_path / "two", workers=2), plugins)
    assert content(tmp_path / "two") == content(wanted.output)


class StopError(Exception):
    pass


@pytest.mark.parametrize("after", [0, 1, 5, 17])
@pytest.mark.parametrize("suffix", ["", ".zst"])
def test_stopped_anywhere_it_is_gone_on_with(
    wanted, plugins, lines, tmp_path, monkeypatch, after, suffix
):
    packed = lines.with_name(f"b.jsonl{suffix}")
    packed.write_bytes(PACK[suffix](lines.read_bytes()))
    (lines.parent / "c.txt").write_text("a text\n" * 300)
    wanted = evolve(wanted, inputs=[str(packed), str(lines.parent / "c.txt")])
    prepare(evolve(wanted, output=tmp_path / "whole"), plugins)
    real, calls = shard_filler.ShardWriter.write, []

    def write(self, ids):
        calls.append(1)
        if len(calls) > after * 8:
            raise StopError
        real(self, ids)

    with monkeypatch.context() as patch:
        patch.setattr(shard_filler.ShardWriter, "write", write)
        with pytest.raises(StopError):
            prepare(wanted, plugins)
    prepare(wanted, plugins)
    assert content(wanted.output) == content(tmp_path / "whole")
    assert not prepare(wanted, plugins)


def test_a_folder_may_mix_forms(wanted, plugins, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "a.txt").write_text("first text")
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(as_lines(["one", "two"])))
    (folder / "c.txt.xz").write_bytes(lzma.compress(b"last text"))
    prepare(evolve(wanted, inputs=[str(folder)], val_fraction=0.3), plugins)
    tokenizer = plugins.tokenizer("gpt2").build({})
    texts = [tokenizer.decode(ids).split("<|endoftext|>") for ids in ids_of(wanted.output).values()]
    assert sorted(texts[0] + texts[1]) == ["first text", "last text", "one", "two"]


def test_the_standard_input_is_read_as_what_is_asked_for(wanted, plugins, lines, monkeypatch):
    prepare(wanted, plugins)
    given = io.TextIOWrapper(io.BytesIO(lines.read_bytes()))
    monkeypatch.setattr(sys, "stdin", given)
    output = wanted.output.with_name("stdin")
    prepare(evolve(wanted, inputs=["-"], data_source="jsonl", output=output), plugins)
    assert content(output) == content(wanted.output)
    assert not (output / ".stdin").exists()


@pytest.mark.parametrize(
    ("given", "options", "what"),
    [
        (b"", {}, "the standard input: is empty"),
        (b"a", {}, "no text left for: val"),
        (
            b"some text\n" * 99,
            {"dtype": "uint16", "tokens_per_shard": 7},
            "was prepared differently: the inputs, tokens_per_shard, dtype changed since",
        ),
    ],
    ids=["empty", "too short", "beside another data set"],
)
def test_a_standard_input_that_is_refused_leaves_nothing(
    wanted, plugins, monkeypatch, given, options, what
):
    if options:
        prepare(wanted, plugins)
    before = content(wanted.output) if options else None
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    with pytest.raises(DataError, match=what):
        prepare(evolve(wanted, inputs=["-"], **options), plugins)
    assert not (wanted.output / ".stdin").exists()
    assert wanted.output.exists() == bool(options)
    assert not options or content(wanted.output) == before


def test_what_is_wrong_is_said_before_anything_is_written(wanted, plugins, lines):
    with lines.open("a") as stream:
        stream.write('{"txt": 1}\n')
    with pytest.raises(DataError, match=r"a\.jsonl line 152: has no field `text`"):
        prepare(wanted, plugins)
    assert not wanted.output.exists()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"feild": "a"}, "data_options/feild: is not an option"),
        ({"field": 3}, "data_options/field: is 3"),
        ([1], "data_options: is .1."),
    ],
)
def test_wrong_options_are_refused(wanted, plugins, options, what):
    with pytest.raises(ConfigError, match=what):
        prepare(evolve(wanted, data_options=options), plugins)
    assert not wanted.output.exists()


def test_an_option_of_another_source_is_refused(wanted, plugins, tmp_path):
    (tmp_path / "t.txt").write_text("text\n" * 50)
    given = evolve(wanted, inputs=[str(tmp_path / "t.txt")], data_options={"field": "a"})
    with pytest.raises(ConfigError, match="data_options/field: is not an option"):
        prepare(given, plugins)


def test_other_options_are_another_data_set(wanted, plugins, lines):
    both = (json.dumps({"text": "a b", "body": "one two"}) + "\n" for _ in range(30))
    lines.write_text("".join(both))
    prepare(evolve(wanted, data_options={"field": "body"}), plugins)
    with pytest.raises(DataError, match="data_options changed since"):
        prepare(wanted, plugins)


def test_a_character_that_the_vocabulary_lacks_is_named_by_its_document(wanted, plugins, lines):
    tokenizer = plugins.tokenizer("char").train("abc\n")
    lines.write_bytes(as_lines(["abc", "a\nbxc"]))
    with pytest.raises(DataError, match=r"a\.jsonl document 2, line 2, column 2: the vocabulary"):
        prepare(evolve(wanted, tokenizer=tokenizer, val_fraction=1), plugins)


def make_lines(path, megabytes):
    line = json.dumps({"text": "the cat sat on the mat. " * 40}) + "\n"
    with gzip.open(path, "wt", compresslevel=1) as stream:
        for _ in range(megabytes * 1_000_000 // len(line)):
            stream.write(line)


def test_memory_stays_flat_with_the_number_of_documents(tmp_path, plugins):
    peaks = []
    for megabytes in (1, 4):
        path = tmp_path / f"{megabytes}.jsonl.gz"
        make_lines(path, megabytes)
        wanted = Preparation(
            inputs=[str(path)], output=tmp_path / f"out{megabytes}", tokenization="char"
        )
        tracemalloc.start()
        prepare(wanted, plugins)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


MEASURE = """
import resource, sys
from pathlib import Path
from mypt.data.prepare.tokens import Preparation, prepare
from mypt.plugins.manager import load_plugins
wanted = Preparation(inputs=[sys.argv[1]], output=Path(sys.argv[2]), tokenization="char")
prepare(wanted, load_plugins())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_200_megabytes_take_the_memory_of_one(tmp_path):
    peaks = []
    for megabytes in (1, 200):
        path = tmp_path / f"{megabytes}.jsonl.gz"
        make_lines(path, megabytes)
        command = [sys.executable, "-c", MEASURE, str(path), str(tmp_path / f"out{megabytes}")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 60_000  # kilobytes, of which a shard's digest maps 20,000
