import contextlib
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from attrs import evolve

from mypt.data.batches.loader import GPTDataLoader
from mypt.data.batches.tokens import TokenSource
from mypt.data.dataset import read_shards
from mypt.data.document_ends import DocumentEncoder
from mypt.data.metadata import read_metadata
from mypt.data.prepare import parallel, pieces, shard_filler
from mypt.data.prepare.pieces import Piece
from mypt.data.prepare.progress import PROGRESS_FILE
from mypt.data.prepare.segments import Segment, TextFile
from mypt.data.prepare.tokens import Preparation, prepare
from mypt.format.documents.config import GPTConfig
from mypt.format.errors import DataError
from mypt.plugins.manager import load_plugins
from tests.support.prepared import content

CONFIG = GPTConfig(batch_size=4, block_size=8, vocab_size=50304)
LINE = "line {n}: però, it's  the\t\tcat 😀 sat,\n\n  on the mat {n}{n}.\n"


@pytest.fixture(scope="module")
def plugins():
    return load_plugins()


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_BYTES", 700)


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, lines in [("a", 60), ("b", 25), ("c", 5)]:
        text = "".join(LINE.format(n=n) for n in range(lines)).rstrip("\n")
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def wanted(texts, tmp_path):
    return Preparation(inputs=[str(texts)], output=tmp_path / "out", tokens_per_shard=400)


def ids_of(folder):
    return {name: np.concatenate(arrays) for name, arrays in read_shards(folder).items()}


@pytest.mark.parametrize("kind", ["char", "gpt2"])
def test_the_ids_are_those_of_each_part_encoded_at_once(wanted, plugins, texts, kind):
    wanted = evolve(wanted, inputs=[str(texts / "a.txt")], tokenization=kind)
    assert prepare(wanted, plugins)
    whole = (texts / "a.txt").read_text(encoding="utf-8")
    tokenizer = plugins.tokenizer(kind).train(whole)
    ids = ids_of(wanted.output)
    train = tokenizer.decode(ids["train"])
    assert train + tokenizer.decode(ids["val"]) == whole
    assert ids["train"].tolist() == tokenizer.encode(train)
    assert ids["val"].tolist() == tokenizer.encode(whole[len(train) :])
    assert 0.05 < len(ids["val"]) / len(ids["train"]) < 0.2


def test_several_files_are_kept_apart_by_newlines(wanted, plugins, texts):
    prepare(evolve(wanted, tokenization="char", val_fraction=1), plugins)
    tokenizer = plugins.tokenizer("char").build(
        json.loads((wanted.output / "tokenizer_state.json").read_text(encoding="utf-8"))
    )
    [ids] = [np.concatenate(a) for a in read_shards(wanted.output, eval_only=True).values()]
    parts = [(texts / f"{name}.txt").read_text(encoding="utf-8") for name in "abc"]
    assert tokenizer.decode(ids) == "\n".join(parts)


def test_shards_are_full_but_for_the_last_of_each_split(wanted, plugins):
    prepare(wanted, plugins)
    shards = read_shards(wanted.output)
    for arrays in shards.values():
        assert all(len(array) == 400 for array in arrays[:-1])
        assert 0 < len(arrays[-1]) <= 400
    assert len(shards["train"]) > 2


def test_the_metadata_say_what_is_there_and_fit_the_schema(wanted, plugins):
    prepare(wanted, plugins)
    metadata = read_metadata(wanted.output)
    document, shards = metadata.document, read_shards(wanted.output)
    everything = [array for arrays in shards.values() for array in arrays]
    assert document["total_tokens"] == sum(map(len, everything))
    assert document["dtype"] == "uint16"
    assert [file.tokens for file in metadata.files] == [len(array) for array in everything]
    assert [file.highest_id for file in metadata.files] == [int(a.max()) for a in everything]
    assert not (wanted.output / PROGRESS_FILE).exists()


def test_any_number_of_workers_gives_the_same_files(wanted, plugins, tmp_path):
    for workers in (1, 2):
        prepare(evolve(wanted, output=tmp_path / str(workers), workers=workers), plugins)
    assert content(tmp_path / "1") == content(tmp_path / "2")


@pytest.fixture
def small_files(tmp_path):
    """A folder of 300 texts of up to 500 bytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    for number in range(300):
        text = LINE.format(n=number) * (number % 9 or 1)
        (folder / f"{number:03d}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def tasks(monkeypatch):
    """The tasks that workers get, and their sizes in texts."""
    seen = SimpleNamespace(sizes=[], futures=[])

    class Pool(parallel.ProcessPoolExecutor):
        def submit(self, work, *arguments):
            seen.sizes.append(len(arguments[-1]))
            seen.futures.append(super().submit(work, *arguments))
            return seen.futures[-1]

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Pool)
    return seen


@pytest.mark.parametrize("kind", ["char", "gpt2"])
def test_small_files_share_tasks_and_give_the_same_files(
    wanted, plugins, tmp_path, small_files, tasks, monkeypatch, kind
):
    monkeypatch.setattr(parallel, "_GROUP_BYTES", 4000)
    wanted = evolve(wanted, inputs=[str(small_files)], tokenization=kind)
    for workers in (1, 2):
        prepare(evolve(wanted, output=tmp_path / str(workers), workers=workers), plugins)
    assert content(tmp_path / "1") == content(tmp_path / "2")
    size = sum(path.stat().st_size for path in small_files.iterdir())
    assert sum(tasks.sizes) == 300
    assert size / 5000 < len(tasks.sizes) < size / 3000


def test_a_text_among_small_ones_is_named_and_those_before_are_kept(wanted, plugins, small_files):
    narrow = plugins.tokenizer("char").train(LINE.format(n="0123456789"))
    (small_files / "290.txt").write_text("it is\non Ω\n", encoding="utf-8")
    wanted = evolve(wanted, inputs=[str(small_files)], tokenizer=narrow, val_fraction=0)
    kept = []
    for workers in (1, 2):
        output = wanted.output.with_name(str(workers))
        message = refusal(evolve(wanted, output=output, workers=workers), plugins)
        assert message.startswith(f"{small_files / '290.txt'} line 2, column 4: ")
        kept.append(sorted((path.name, path.read_bytes()) for path in output.rglob("*.bin")))
    assert kept[0] == kept[1] != []


@pytest.mark.parametrize("is_early", [True, False], ids=["before a task", "during the last"])
def test_a_worker_that_is_killed_is_told_of_whenever_it_is(
    plugins, tmp_path, tasks, monkeypatch, is_early
):
    monkeypatch.setattr(parallel, "_GROUP_BYTES", 1)  # a task for each piece
    encoder = DocumentEncoder.of(plugins.tokenizer("char").train("abc"))
    file = TextFile(tmp_path / "a.txt", "a.txt", 6, "")

    def read():
        yield Piece(file, 0, 0, 3, "abc")
        for worker in multiprocessing.active_children():
            worker.kill()
        if is_early:
            assert tasks.futures[0].exception() is not None  # the pool has noticed it
            yield Piece(file, 0, 3, 6, "abc")

    with pytest.raises(DataError, match=r"a worker process was killed.*fewer workers"):
        list(parallel.encode_pieces(read(), encoder, tmp_path, workers=2))


def test_uint32_is_written_when_asked_for_and_has_the_same_fingerprint(wanted, plugins, tmp_path):
    prepare(wanted, plugins)
    wide = evolve(wanted, output=tmp_path / "wide", dtype="uint32")
    prepare(wide, plugins)
    tokenizer = plugins.tokenizer("gpt2").train("")
    one, other = (
        GPTDataLoader(CONFIG, tokenizer, dataset_dir=folder)
        for folder in (wanted.output, wide.output)
    )
    assert read_shards(wide.output)["train"][0].dtype == np.uint32
    assert one.fingerprint.sha256 == other.fingerprint.sha256
    assert one.train_batch(1, 2, 0).x.tolist() == other.train_batch(1, 2, 0).x.tolist()


class StopError(Exception):
    pass


@pytest.mark.parametrize("after", range(0, 14, 2))
def test_stopped_anywhere_it_is_gone_on_with_and_gives_the_same_files(
    wanted, plugins, tmp_path, monkeypatch, after
):
    whole = evolve(wanted, output=tmp_path / "whole")
    prepare(whole, plugins)
    real, calls = shard_filler.ShardWriter.write, []

    def write(self, ids):
        calls.append(1)
        if len(calls) > after:
            raise StopError
        real(self, ids)

    monkeypatch.setattr(shard_filler.ShardWriter, "write", write)
    with pytest.raises(StopError):
        prepare(wanted, plugins)
    monkeypatch.setattr(shard_filler.ShardWriter, "write", real)
    kept = {p: p.stat().st_mtime_ns for p in wanted.output.rglob("shard_*.bin")}
    assert prepare(wanted, plugins)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert content(wanted.output) == content(whole.output)
    assert not prepare(wanted, plugins)


def test_killed_it_is_gone_on_with_and_leaves_no_process_behind(texts, tmp_path):
    big = texts / "big.txt"
    text = (texts / "a.txt").read_text(encoding="utf-8") + "\n"
    big.write_text(text * 400, encoding="utf-8")
    command = [sys.executable, "-m", "mypt", "data", "prepare", str(big)]
    command += ["--tokens_per_shard", "20000", "--workers", "2", "--output"]
    environment = {**os.environ, "MYPT_TEST_MARK": str(tmp_path)}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    running = subprocess.Popen(
        [*command, str(tmp_path / "out")], env=environment, stderr=subprocess.DEVNULL
    )
    while running.poll() is None and not (tmp_path / "out/train/shard_00001.bin").exists():
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "out/dataset_metadata.json").exists()
    subprocess.run([*command, str(tmp_path / "out")], check=True, capture_output=True)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    until = time.monotonic() + 20
    while (left := marked(str(tmp_path))) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left


def marked(mark):
    """Processes that the marked one started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"MYPT_TEST_MARK={mark}".encode() in (place / "environ").read_bytes().split(b"\0"):
                found.append(place.name)
    return found


def stop_after_a_shard(wanted, plugins, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            shard_filler.ShardFiller,
            "_finish_shard",
            stopping(shard_filler.ShardFiller._finish_shard),
        )
        with pytest.raises(StopError):
            prepare(wanted, plugins)


def stopping(real):
    def finish(self, position):
        real(self, position)
        if self.progress.files:
            raise StopError

    return finish


def refusal(wanted, plugins):
    with pytest.raises(DataError) as caught:
        prepare(wanted, plugins)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_changed_inputs_and_settings_are_not_gone_on_with(wanted, plugins, texts, monkeypatch):
    stop_after_a_shard(wanted, plugins, monkeypatch)
    message = refusal(evolve(wanted, tokens_per_shard=500), plugins)
    assert "tokens_per_shard changed since" in message
    with (texts / "a.txt").open("a") as stream:
        stream.write("more")
    assert "the inputs changed since; remove the folder" in refusal(wanted, plugins)


def test_a_changed_shard_is_not_gone_on_with(wanted, plugins, monkeypatch):
    stop_after_a_shard(wanted, plugins, monkeypatch)
    shard = wanted.output / "train" / "shard_00000.bin"
    shard.write_bytes(shard.read_bytes() + b"\0\0")
    assert "shard_00000.bin has changed" in refusal(wanted, plugins)


def test_a_finished_data_set_of_something_else_is_not_written_over(wanted, plugins, texts):
    prepare(wanted, plugins)
    before = content(wanted.output)
    message = refusal(evolve(wanted, inputs=[str(texts / "a.txt")]), plugins)
    assert "the inputs changed since" in message
    (wanted.output / "dataset_metadata.json").unlink()
    assert "already holds a data set" in refusal(wanted, plugins)
    before.pop("dataset_metadata.json")
    assert content(wanted.output) == before


def test_a_text_that_the_vocabulary_lacks_is_named_by_file_and_line(wanted, plugins, texts):
    narrow = plugins.tokenizer("char").train((texts / "a.txt").read_text(encoding="utf-8"))
    lines = (texts / "b.txt").read_text(encoding="utf-8").splitlines()
    lines[40] = "on Ω"
    (texts / "b.txt").write_text("\n".join(lines), encoding="utf-8")
    for workers in (1, 2):
        message = refusal(evolve(wanted, tokenizer=narrow, workers=workers), plugins)
        assert message.startswith(f"{texts / 'b.txt'} line 41, column 4: ")


def test_bytes_that_are_no_text_are_named_by_file_and_place(wanted, plugins, texts):
    data = (texts / "c.txt").read_bytes()
    (texts / "c.txt").write_bytes(data + b" \xff")
    for kind in ("char", "gpt2"):
        output = wanted.output.with_name(kind)
        message = refusal(evolve(wanted, tokenization=kind, output=output), plugins)
        assert message.startswith(f"{texts / 'c.txt'}: is not UTF-8: byte {len(data) + 1} is 0xff")


def test_what_cannot_be_begun_leaves_nothing_behind(wanted, plugins, tmp_path):
    refusal(evolve(wanted, inputs=[str(tmp_path / "nowhere")]), plugins)
    (tmp_path / "one").write_text("a")
    assert "there is no text left for: " in refusal(
        evolve(wanted, inputs=[str(tmp_path / "one")]), plugins
    )
    assert not wanted.output.exists()


def test_opening_takes_no_pass_over_the_tokens_until_a_file_is_touched(
    wanted, plugins, monkeypatch
):
    prepare(wanted, plugins)
    tokenizer = plugins.tokenizer("gpt2").train("")
    passes = []
    real = TokenSource.chunks

    def chunks(self):
        passes.append(1)
        return real(self)

    monkeypatch.setattr(TokenSource, "chunks", chunks)
    known = GPTDataLoader(CONFIG, tokenizer, dataset_dir=wanted.output).fingerprint
    assert not passes
    os.utime(next((wanted.output / "val").iterdir()), ns=(0, 0))
    again = GPTDataLoader(CONFIG, tokenizer, dataset_dir=wanted.output).fingerprint
    assert passes
    assert again == known


def test_a_changed_shard_changes_the_fingerprint(wanted, plugins):
    prepare(wanted, plugins)
    tokenizer = plugins.tokenizer("gpt2").train("")
    known = GPTDataLoader(CONFIG, tokenizer, dataset_dir=wanted.output).fingerprint
    shard = wanted.output / "train" / "shard_00000.bin"
    shard.write_bytes(shard.read_bytes()[::-1].replace(b"\xff", b"\x00"))
    other = GPTDataLoader(
        evolve(CONFIG, vocab_size=2**16), tokenizer, dataset_dir=wanted.output
    ).fingerprint
    assert other.sha256 != known.sha256


@pytest.mark.parametrize("kind", ["char", "gpt2"])
def test_memory_stays_flat_with_the_size_of_the_text(tmp_path, plugins, monkeypatch, kind):
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1 << 16)
    plugins.tokenizer(kind).train("a").encode("a")
    peaks = []
    for megabytes in (1, 4):
        file = tmp_path / f"{megabytes}.txt"
        file.write_text("the cat sat on the mat\n" * (45_000 * megabytes))
        output = tmp_path / f"out{megabytes}"
        tracemalloc.start()
        prepare(Preparation(inputs=[str(file)], output=output, tokenization=kind), plugins)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def read(path, tokenizer):
    size_bytes = path.stat().st_size
    segment = Segment(
        TextFile(path, path.name, size_bytes, "1"), 0, size_bytes, "train", size_bytes
    )
    return [*pieces.read_pieces([segment], pieces.find_cut_function(tokenizer))]


SPECIAL = {"<my token>": 50257, "<b>": 50258, " <c": 50259}


@pytest.mark.parametrize(
    "text",
    [
        "a  <b> b\n\n  c <my token> d" * 90,
        "<my token>" * 300,
        " " * 3000 + "x",
        "no-white-space" * 200,
        "ab <my tok" * 200 + "en>",
        "x" * 694 + "<my token>" + "y " * 400,  # the first 700 end within the token
        "é😀\u2003\x85 \u00a0x" * 200,
    ],
)
@pytest.mark.parametrize("special", [{}, SPECIAL])
def test_pieces_have_the_ids_of_the_whole_with_special_tokens_too(tmp_path, plugins, text, special):
    (tmp_path / "text").write_bytes(text.encode())
    state = {"token_kind": "gpt2", "special_token_encoder": special}
    tokenizer = plugins.tokenizer("gpt2").build(state)
    found = read(tmp_path / "text", tokenizer)
    assert "".join(piece.text for piece in found) == text
    ids = np.concatenate([tokenizer.encode_array(piece.text) for piece in found])
    assert ids.tolist() == tokenizer.encode(text)


def test_without_a_place_to_cut_a_file_is_one_piece(tmp_path):
    (tmp_path / "text").write_text("the cat " * 1000)
    assert len(read(tmp_path / "text", object())) == 1


@pytest.mark.parametrize("where", ["a.txt", "c.txt"])
def test_a_text_in_utf_16_is_refused_wherever_it_stands(where, wanted, plugins, texts):
    """Without a byte order mark it decodes as UTF-8, with a NUL in each character."""
    (texts / where).write_bytes(LINE.replace("ò", "o").replace("😀", ":)").encode("utf-16-le") * 30)
    message = refusal(wanted, plugins)
    assert message.startswith(f"{texts / where}: has NUL characters")
    assert "likely UTF-16LE" in message
    assert f"iconv -f UTF-16LE -t UTF-8 {texts / where}" in message


def test_a_nul_far_into_a_text_is_named_by_its_place(wanted, plugins, texts):
    text = (texts / "a.txt").read_bytes()
    (texts / "a.txt").write_bytes(text[:3000] + b"\0" + text[3000:])
    assert "a.txt: has NUL characters: the first is byte 3000; " in refusal(wanted, plugins)


def test_a_linked_folder_is_prepared(wanted, plugins, texts, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "more").symlink_to(texts)
    prepare(wanted, plugins)
    prepare(evolve(wanted, inputs=[str(linked)], output=tmp_path / "other"), plugins)
    tokens = [
        read_metadata(out).document["total_tokens"] for out in (wanted.output, tmp_path / "other")
    ]
    assert tokens[0] == tokens[1]


def test_a_link_that_leads_nowhere_leaves_nothing_behind(wanted, plugins, texts):
    (texts / "lost.txt").symlink_to("nowhere")
    assert refusal(wanted, plugins).startswith(f"{texts / 'lost.txt'}: is a link to nowhere")
    assert not wanted.output.exists()


def test_a_named_pipe_is_refused_for_it_is_read_twice(wanted, plugins, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    message = refusal(evolve(wanted, inputs=[str(tmp_path / "pipe")]), plugins)
    assert "is a pipe or a device, which is read once; name - and pipe it in" in message


def test_a_file_that_became_shorter_is_named_and_does_not_hang(wanted, plugins, texts):
    big = texts / "a.txt"
    times = 2 * io.DEFAULT_BUFFER_SIZE // big.stat().st_size + 9  # more than is read ahead
    big.write_bytes(big.read_bytes() * times)

    def shorten(_, __):
        big.write_bytes(big.read_bytes()[:1000])

    with pytest.raises(DataError, match=r"a\.txt: became shorter while it was read: it ends at"):
        prepare(wanted, plugins, shorten)


def test_names_that_are_no_utf_8_are_prepared(wanted, plugins, texts):
    os.rename(texts / "c.txt", os.fsencode(texts) + b"/caff\xe8.txt")  # noqa: PTH104
    prepare(wanted, plugins)
    assert read_metadata(wanted.output).document["total_tokens"] > 0


def test_files_that_are_named_for_it_validate_and_all_others_are_trained_on(
    wanted, plugins, texts, tmp_path, monkeypatch
):
    val = tmp_path / "val.txt"
    val.write_text(LINE.format(n=7) * 30, encoding="utf-8")
    wanted = evolve(wanted, val_inputs=(str(val),), val_fraction=0.1)
    prepare(wanted, plugins)
    tokenizer = plugins.tokenizer("gpt2").build({"token_kind": "gpt2"})
    ids = {name: np.concatenate(parts) for name, parts in read_shards(wanted.output).items()}
    assert tokenizer.decode(ids["val"].tolist()) == val.read_text(encoding="utf-8")
    trained = tokenizer.decode(ids["train"].tolist())
    for file in texts.iterdir():
        assert file.read_text(encoding="utf-8") in trained
    document = read_metadata(wanted.output).document
    assert document["val_files"] == ["val.txt"]
    share = val.stat().st_size / sum(f.stat().st_size for f in (val, *texts.iterdir()))
    assert document["val_fraction"] == pytest.approx(share, abs=1e-5)
    assert not prepare(wanted, plugins)
    with pytest.raises(DataError, match="was prepared differently"):
        prepare(evolve(wanted, val_inputs=()), plugins)
    with pytest.raises(DataError, match="is read twice"):
        prepare(evolve(wanted, output=tmp_path / "x", val_inputs=(str(texts / "a.txt"),)), plugins)


def test_interrupted_it_goes_on_with_files_to_validate_on(wanted, plugins, tmp_path, monkeypatch):
    val = tmp_path / "val.txt"
    val.write_text(LINE.format(n=7) * 30, encoding="utf-8")
    wanted = evolve(wanted, val_inputs=(str(val),))
    prepare(evolve(wanted, output=tmp_path / "whole"), plugins)
    stop_after_a_shard(wanted, plugins, monkeypatch)
    assert prepare(wanted, plugins)
    assert content(wanted.output) == content(tmp_path / "whole")
