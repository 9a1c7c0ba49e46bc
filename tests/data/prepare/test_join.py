import gzip
import json
import os
import shutil
import signal

import pytest
from attrs import evolve

from mypt.data.batches.loader import GPTDataLoader
from mypt.data.dataset import is_dataset
from mypt.data.metadata import PART_FILE
from mypt.data.prepare import join, part, pieces, shard_filler, tokens
from mypt.data.prepare.join import join_parts
from mypt.data.prepare.part import Part, PartRecord
from mypt.data.prepare.tokens import Preparation, prepare
from mypt.format.documents.config import GPTConfig
from mypt.format.errors import DataError, LockedError
from tests.support.prepared import content
from tests.support.processes.child import Child

LINE = "line {n}: però, it's  the\t\tcat 😀 sat,\n\n  on the mat {n}{n}.\n"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_BYTES", 700)
    monkeypatch.setattr(join, "_READ_BYTES", 256)


@pytest.fixture
def texts(tmp_path):
    """Files of very different size and form, of which one is empty."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, lines in [("a", 60), ("b", 0), ("c", 1), ("d", 2), ("f", 9), ("g", 4)]:
        text = "".join(LINE.format(n=n) for n in range(lines)).rstrip("\n")
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    lines = [json.dumps({"text": LINE.format(n=n)}) for n in range(9)]
    (folder / "e.jsonl").write_text("\n".join(lines))
    (folder / "h.txt.gz").write_bytes(gzip.compress((LINE.format(n=7) * 9).encode()))
    return folder


@pytest.fixture
def wanted(texts, tmp_path):
    return Preparation(inputs=[str(texts)], output=tmp_path / "whole", tokens_per_shard=400)


@pytest.fixture
def parts(wanted, plugins):
    """The whole data set, and the folders of three parts."""
    prepare(wanted, plugins)
    return prepare_parts(wanted, plugins, 3)


def prepare_parts(wanted, plugins, of):
    folders = [wanted.output.with_name(f"part{number}") for number in range(1, of + 1)]
    for number, folder in enumerate(folders, start=1):
        assert prepare(evolve(wanted, output=folder, part=Part(number, of)), plugins)
    return folders


def refusal(folders, output):
    """Return what a join is refused for, after which there is nothing new."""
    there = {*output.parent.iterdir()}
    with pytest.raises(DataError) as caught:
        join_parts(folders, output)
    assert {*output.parent.iterdir()} == there
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("of", [1, 2, 3, 20])
@pytest.mark.parametrize("kind", ["char", "gpt2"])
def test_joined_parts_are_the_data_set_of_one_machine(wanted, plugins, tmp_path, kind, of):
    wanted = evolve(wanted, tokenization=kind)
    prepare(wanted, plugins)
    folders = prepare_parts(wanted, plugins, of)
    document = join_parts(folders[::-1], tmp_path / "joined")
    assert content(tmp_path / "joined") == content(wanted.output)
    assert document["train_shards"] > 2
    held = [len(PartRecord.read(folder).files) for folder in folders]
    assert all(held) if of < 4 else 0 in held


@pytest.mark.parametrize(
    "changes",
    [
        {"val_fraction": 1},
        {"val_fraction": 0.02},  # less than any file: the end of the last validates
        {"dtype": "uint32"},
        {"tokens_per_shard": 100_000},
    ],
)
def test_so_it_is_with_other_settings(wanted, plugins, tmp_path, changes):
    wanted = evolve(wanted, **changes)
    prepare(wanted, plugins)
    join_parts(prepare_parts(wanted, plugins, 2), tmp_path / "joined")
    assert content(tmp_path / "joined") == content(wanted.output)


def test_so_it_is_with_files_to_validate_on(wanted, plugins, texts, tmp_path):
    (tmp_path / "val.txt").write_text(LINE.format(n=8) * 20, encoding="utf-8")
    inputs = [str(texts / "f.txt"), str(texts / "a.txt")]  # in the order in which they are named
    wanted = evolve(wanted, inputs=inputs, val_inputs=[str(tmp_path / "val.txt")])
    prepare(wanted, plugins)
    join_parts(prepare_parts(wanted, plugins, 3), tmp_path / "joined")
    assert content(tmp_path / "joined") == content(wanted.output)


def test_a_loader_takes_the_same_batches_from_it(parts, wanted, plugins, tmp_path):
    join_parts(parts, tmp_path / "joined")
    config = GPTConfig(batch_size=4, block_size=8, vocab_size=50304)
    tokenizer = plugins.tokenizer("gpt2").train("")
    one, other = (
        GPTDataLoader(config, tokenizer, dataset_dir=folder)
        for folder in (wanted.output, tmp_path / "joined")
    )
    assert one.fingerprint.sha256 == other.fingerprint.sha256
    assert one.train_batch(1, 2, 0).x.tolist() == other.train_batch(1, 2, 0).x.tolist()


def test_a_part_that_was_stopped_goes_on(parts, wanted, plugins, tmp_path, monkeypatch):
    class StopError(Exception):
        pass

    def stop(self):
        raise StopError

    again = evolve(wanted, output=tmp_path / "again", part=Part(1, 3))
    with monkeypatch.context() as patch:
        finish, done = shard_filler.ShardWriter.finish, []

        def finish_one(self):
            done.append(1)
            return stop(self) if len(done) > 1 else finish(self)

        patch.setattr(shard_filler.ShardWriter, "finish", finish_one)
        with pytest.raises(StopError):
            prepare(again, plugins)
    with monkeypatch.context() as patch:
        patch.setattr(tokens, "MYPT_VERSION", "9.9")
        with pytest.raises(DataError, match="was prepared differently: mypt_version changed since"):
            prepare(again, plugins)
        assert not prepare(evolve(again, output=parts[0]), plugins)  # it is whole
    assert refusal([again.output, *parts[1:]], tmp_path / "joined") == [
        f"{again.output}: is no complete part of a data set: it has no {PART_FILE}; name the "
        "folders of `mypt data prepare --part`, and let each come to its end"
    ]
    assert prepare(again, plugins)
    assert not prepare(again, plugins)
    join_parts([again.output, *parts[1:]], tmp_path / "joined")
    assert content(tmp_path / "joined") == content(wanted.output)


@pytest.mark.parametrize("part", [Part(2, 3), Part(1, 4), None])
def test_a_folder_of_another_part_is_refused(parts, wanted, plugins, part):
    with pytest.raises(DataError, match="was prepared differently: part changed since"):
        prepare(evolve(wanted, output=parts[0], part=part), plugins)


def test_the_folder_of_the_whole_is_no_place_for_a_part(parts, wanted, plugins):
    with pytest.raises(DataError, match="was prepared differently: part changed since"):
        prepare(evolve(wanted, part=Part(1, 3)), plugins)


def test_a_part_says_what_it_is_of_before_it_is_tokenized(wanted, plugins, tmp_path):
    said = []
    for number in (1, 2):
        part = evolve(wanted, output=tmp_path / str(number), part=Part(number, 2))
        prepare(part, plugins, notify=said.append)
    assert said[0].startswith("part 1/2: 3,629 of 5,597 bytes, by a list of 8 files with the ")
    assert said[1].startswith("part 2/2: 1,968 of 5,597 bytes, by a list of 8 files with the ")
    assert said[0].partition("digest")[2] == said[1].partition("digest")[2]


def test_missing_and_doubled_parts_are_named(parts, tmp_path):
    copy = shutil.copytree(parts[1], tmp_path / "copy")
    assert refusal([parts[1], copy], tmp_path / "joined") == [
        f"{copy}: is part 2 of 3, and so is {parts[1]}; name one of them",
        "parts 1, 3 of 3 are missing; name the folders of all parts",
    ]
    assert refusal([parts[0], parts[2]], tmp_path / "joined") == [
        "part 2 of 3 is missing; name the folders of all parts"
    ]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"tokenization": "char"}, "another tokenization"),
        ({"tokens_per_shard": 500}, "another tokens_per_shard"),
        ({"val_fraction": 0.5}, "another val_fraction"),
        ({"part": Part(2, 4)}, "one of 4 parts, not of 3"),
    ],
)
def test_a_part_of_other_settings_is_named(parts, wanted, plugins, tmp_path, changes, what):
    other = evolve(wanted, output=tmp_path / "other", **{"part": Part(2, 3), **changes})
    prepare(other, plugins)
    [said] = refusal([parts[0], other.output, parts[2]], tmp_path / "joined")
    assert said == (
        f"{other.output}: is not of the same preparation as {parts[0]}: {what}; give every machine "
        "the same command, files (with their times) and packages"
    )


def change_time(texts):
    os.utime(texts / "c.txt", ns=(0, 5))


def lengthen(texts):
    (texts / "c.txt").write_text("x")


def add(texts):
    (texts / "new.txt").write_text("x")


def rename(texts):
    (texts / "c.txt").rename(texts / "cc.txt")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (change_time, "c.txt has another time"),
        (lengthen, "c.txt has 1 bytes of text, not "),
        (add, "9 files, not 8"),
        (rename, "the file cc.txt, not c.txt"),
    ],
)
def test_a_part_of_other_files_is_named(parts, wanted, plugins, texts, tmp_path, change, what):
    change(texts)
    other = evolve(wanted, output=tmp_path / "other", part=Part(2, 3))
    prepare(other, plugins)
    [said] = refusal([parts[0], other.output, parts[2]], tmp_path / "joined")
    assert said.startswith(f"{other.output}: is not of the same preparation as {parts[0]}: {what}")


def test_very_many_files_are_not_listed_and_differ_all_the_same(
    wanted, plugins, texts, tmp_path, monkeypatch
):
    monkeypatch.setattr(part, "_MOST_LISTED", 7)
    prepare(wanted, plugins)
    parts = prepare_parts(wanted, plugins, 2)
    assert all(PartRecord.read(folder).inputs == [] for folder in parts)
    join_parts(parts, tmp_path / "joined")
    assert content(tmp_path / "joined") == content(wanted.output)
    change_time(texts)
    other = evolve(wanted, output=tmp_path / "other", part=Part(2, 2))
    prepare(other, plugins)
    [said] = refusal([parts[0], other.output], tmp_path / "again")
    assert f"same preparation as {parts[0]}: other files; give every machine" in said


def test_of_a_million_parts_that_are_missing_some_are_named(wanted, plugins, tmp_path):
    alone = evolve(wanted, output=tmp_path / "alone", part=Part(3, 10**15))
    prepare(alone, plugins)
    [said] = refusal([alone.output], tmp_path / "joined")
    assert said.startswith("parts 1, 2, 4, 5, ")
    assert "20, 21, ... of 1000000000000000 are missing; " in said


def flip(path, place=-1):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_shard_in_which_a_bit_changed_is_named(parts, tmp_path):
    shard = sorted(parts[1].rglob("*.bin"))[-1]
    flip(shard)
    [said] = refusal(parts, tmp_path / "joined")
    assert said.startswith(f"{shard}: has a different SHA-256 than part.json says; copy the part ")


def test_files_that_are_cut_short_missing_or_other_are_named_all_at_once(parts, tmp_path):
    short, gone = sorted(parts[0].rglob("*.bin"))[:2]
    short.write_bytes(short.read_bytes()[:-2])
    gone.unlink()
    flip(parts[2] / "tokenizer_state.json", 5)
    said = refusal(parts, tmp_path / "joined")
    assert len(said) == 3
    assert said[0].startswith(f"{short}: has ")
    assert said[1].startswith(f"{gone}: is missing; copy the part again")
    assert said[2].startswith(f"{parts[2] / 'tokenizer_state.json'}: is not the one that part.json")


def test_a_copy_of_a_part_with_other_times_is_joined(parts, wanted, tmp_path):
    for path in parts[0].rglob("*"):
        os.utime(path, ns=(7, 7))
    join_parts(parts, tmp_path / "joined")
    assert content(tmp_path / "joined") == content(wanted.output)


def test_what_is_at_the_place_of_the_output_is_not_written_over(parts, wanted):
    before = content(wanted.output)
    assert "already exists and is not empty" in refusal(parts, wanted.output)[0]
    assert content(wanted.output) == before


@pytest.mark.parametrize("after", [0, 1, 3])
def test_killed_it_leaves_no_data_set_and_the_next_one_is_whole(
    parts, wanted, tmp_path, monkeypatch, after
):
    joined = tmp_path / "joined"
    before = [content(part) for part in parts]

    def work():
        finish, done = join.ShardWriter.finish, []

        def kill(self):
            done.append(1)
            if len(done) > after:
                os.kill(os.getpid(), signal.SIGKILL)
            return finish(self)

        monkeypatch.setattr(join.ShardWriter, "finish", kill)
        join_parts(parts, joined)
        return "joined"

    assert Child(work).wait() is None
    assert not joined.exists()
    assert not is_dataset(joined)
    join_parts(parts, joined)
    assert content(joined) == content(wanted.output)
    assert [content(part) for part in parts] == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_two_joins_to_one_place_do_not_meet(parts, wanted, tmp_path):
    joined, said = tmp_path / "joined", []

    def begin_another(*_):
        if not said:
            with pytest.raises(LockedError) as caught:
                join_parts(parts, joined)
            said.append(str(caught.value.problems[0]))

    join_parts(parts, joined, begin_another)
    assert said[0].startswith(f"{joined}: is being written by process {os.getpid()} on ")
    assert content(joined) == content(wanted.output)
