"""A log line belongs to a model and a run, whoever else writes to the same file, and when."""

import json
import shutil
import signal
from pathlib import Path

import pytest

import mypt
from mypt.plotting.find_log import read_runs
from mypt.plugins.manager import load_plugins
from tests.support.events import read_lines
from tests.support.processes.command import Command

FLAGS = ("--tokenization", "char", "--device", "cpu", "--n_embd", "8", "--n_head", "1")
FLAGS += ("--n_layer", "1", "--block_size", "8", "--batch_size", "2", "--eval_iters", "1")
FLAGS += ("--max_iters", "12", "--eval_interval", "6")
DOCUMENT = b"the last line of this document\nhas no newline"
LOG = Path("one.jsonl")


@pytest.fixture
def place(in_tmp, text):
    (in_tmp / "input.txt").write_text(text)
    return in_tmp


def evaluated(name, path=LOG):
    return [e["iter"] for e in read_lines(path) if e["event"] == "eval" and e["model_name"] == name]


def run_id(name):
    return json.loads(Path("checkpoints", name, "training_state.json").read_text())["run_id"]


def curve(name):
    (run,) = read_runs([name], load_plugins())
    return [evaluation.step for evaluation in run.evaluations]


def tree(place):
    return {
        p.relative_to(place).as_posix(): p.is_file() and p.read_bytes() for p in place.rglob("*")
    }


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("notes.txt", "is not a log"),
        ("input.txt", "is an input of this run (input_file)"),
        ("books/log.jsonl", "is an input of this run (eval_sets/books)"),
        ("mini.json", "is an input of this run (config_file)"),
        ("shards/dataset_metadata.json", "is not a log"),
        ("shards/train", "is not a file"),
        ("checkpoints/other/training_state.json", "is not a log"),
        ("checkpoints/dante/model.pt", "is the place of a file of a checkpoint"),
        ("checkpoints/dante_gold/config.json", "is the place of a file of a checkpoint"),
        ("checkpoints/dante_step00000006/manifest.json", "is the place of a file of a checkpoint"),
    ],
)
def test_only_a_log_is_written_to(place, train, cli, refused, log, said):
    train("other", max_iters=1)
    assert (
        cli("data", "prepare", "input.txt", "--output", "shards", "--tokenization", "char")[0] == 0
    )
    (place / "notes.txt").write_bytes(DOCUMENT)
    (place / "mini.json").write_text('{"dropout": 0.1}')
    (place / "books").mkdir()
    lines = "".join(
        f'{{"event": "eval", "iter": {step}, "val_loss": 1.5, "text": "cat"}}\n'
        for step in range(99)
    )
    (place / "books" / "log.jsonl").write_text(lines)  # a text to learn, and a log by its look
    with (place / "input.txt").open("a") as stream:
        stream.write(lines)  # so that the vocabulary has its characters
    before = tree(place)
    flags = (
        "--input_file",
        "input.txt",
        "--config_file",
        "mini.json",
        "--eval_sets",
        '{"books": "books/log.jsonl"}',
    )
    line = refused("train", "--model_name", "dante", *FLAGS, *flags, "--log_file", log)
    assert line.startswith(f"error: {log}: {said}")
    assert tree(place) == before


def test_a_folder_of_texts_is_read_and_not_logged_to(place, refused):
    texts = place / "texts"
    texts.mkdir()
    shutil.move("input.txt", texts / "a.txt")
    (texts / "log.jsonl").write_text('{"iter": 0, "val_loss": 4.5, "text": "the cat"}\n')
    (place / "link.jsonl").symlink_to(texts / "log.jsonl")
    for log in ("texts/log.jsonl", "link.jsonl"):
        flags = ("--input_file", "texts", "--log_file", log)
        assert "(input_file)" in refused("train", "--model_name", "dante", *FLAGS, *flags)
    assert not (place / "checkpoints").exists()


def test_a_log_that_became_a_document_is_not_written_to_by_a_resume(place, train, stop_at, refused):
    stop_at(4)
    train("dante", log_file="one.jsonl")
    LOG.write_bytes(DOCUMENT)
    assert "one.jsonl: is not a log" in refused("train", "--model_name", "dante")
    assert LOG.read_bytes() == DOCUMENT


def test_a_run_without_a_log_minds_no_file(place, train):
    (place / "notes.txt").write_bytes(DOCUMENT)
    train("dante", log_file="notes.txt", log_sinks={"jsonl": False})
    assert (place / "notes.txt").read_bytes() == DOCUMENT


def test_two_models_with_one_log_keep_their_lines(place, train, stop_at):
    stop_at(4)
    train("dante", log_file="one.jsonl")
    stop_at(None)
    train("virgil", log_file="one.jsonl", max_iters=20)
    before = LOG.read_bytes()
    train("dante", log_file="one.jsonl")
    assert LOG.read_bytes().startswith(before)
    assert evaluated("dante") == curve("dante") == [0, 6, 12]
    assert evaluated("virgil") == curve("virgil") == [0, 6, 12, 18, 20]


def test_two_models_with_one_log_are_two_curves(place, train, cli):
    for name in ("dante", "virgil"):
        train(name, log_file="one.jsonl")
    out = cli("plot", "one.jsonl")[1]
    assert "dante val" in out
    assert "virgil val" in out


def test_a_run_begun_anew_is_another_run(place, train, stop_at):
    train("dante", max_iters=20)
    shutil.rmtree("checkpoints")
    train("dante")
    log = Path("logs/train/dante_eval.jsonl")
    assert evaluated("dante", log) == [0, 6, 12, 18, 20, 0, 6, 12]
    assert curve("dante") == [0, 6, 12]


@pytest.mark.parametrize("copy", ["dante_step00000006", "dante_gold", "beatrice"])
def test_training_a_copy_leaves_the_log_of_its_origin_alone(place, train, plugins, copy):
    train("dante", log_file="one.jsonl", snapshot_interval=6, gold_guards={"trend": False})
    folder = place / "checkpoints" / copy
    if copy == "beatrice":  # copied by hand: it has the run's identity, and its log
        shutil.copytree(place / "checkpoints" / "dante", folder)
    before = LOG.read_bytes()
    train(copy, max_iters=18, input_file=None)
    if copy == "beatrice":
        assert LOG.read_bytes().startswith(before)
        assert (evaluated("dante"), evaluated("beatrice")) == ([0, 6, 12], [18])
        assert curve("dante") == [0, 6, 12]
        assert curve("beatrice") == [0, 6, 12, 18]
        return
    assert LOG.read_bytes() == before
    log = Path(f"logs/train/{copy}_eval.jsonl")
    assert evaluated(copy, log)[-1] == 18
    assert run_id(copy) != run_id("dante")
    told = [event["message"] for event in read_lines(log) if event["event"] == "notice"]
    assert "A new log begins: one.jsonl is that of dante" in told


def test_a_copy_may_be_told_to_log_to_the_file_of_its_origin(place, train):
    train("dante", log_file="one.jsonl", snapshot_interval=6)
    before = LOG.read_bytes()
    train("dante_step00000006", log_file="one.jsonl")
    assert LOG.read_bytes().startswith(before)
    assert curve("dante") == [0, 6, 12]
    assert curve("dante_step00000006") == [12]


def test_a_copy_trained_in_python_has_a_log_of_its_own(place, train, plugins, text):
    train("dante", log_file="one.jsonl", snapshot_interval=6)
    before = LOG.read_bytes()
    folder = Path("checkpoints/dante_step00000006")
    model = mypt.load(folder)
    loader = mypt.GPTDataLoader(model.config, model.tokenizer, text=text)
    model.fit(loader, checkpoint_dir=folder, start_step=6, max_iters=12, quiet=True)
    assert LOG.read_bytes() == before
    assert curve(folder.name)[-1] == 12


def test_a_copy_saved_in_python_has_a_log_of_its_own(place, train):
    train("dante", log_file="one.jsonl", snapshot_interval=6)
    before = LOG.read_bytes()
    copy = mypt.load("checkpoints/dante_step00000006")
    copy.save_checkpoint_bundle(Path("checkpoints/virgil"), step=copy.history.step)
    train("virgil")
    assert LOG.read_bytes() == before
    assert curve("virgil")[-1] == 12


def test_a_state_that_was_set_back_costs_no_line(place, train, stop_at):
    stop_at(4)
    train("dante", eval_interval=1)
    shutil.copytree("checkpoints", "backup")
    stop_at(None)
    train("dante", eval_interval=1)
    log = Path("logs/train/dante_eval.jsonl")
    before = log.read_bytes()
    shutil.rmtree("checkpoints")
    shutil.copytree("backup", "checkpoints")
    train("dante", eval_interval=1)
    assert log.read_bytes().startswith(before)
    assert curve("dante") == [*range(13)]
    notices = [event["message"] for event in read_lines(log) if event["event"] == "notice"]
    assert any("has logged up to step 12" in notice for notice in notices)


def test_a_raised_step_costs_no_line_of_a_long_log(place, train, stop_at):
    stop_at(4)
    train("dante")
    log, path = Path("logs/train/dante_eval.jsonl"), Path("checkpoints/dante/training_state.json")
    (first,) = [event for event in read_lines(log) if event["event"] == "eval"]
    with log.open("a") as stream:
        stream.writelines(json.dumps({**first, "iter": step}) + "\n" for step in range(1, 30_000))
    before = log.read_bytes()
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "step": 8}))
    stop_at(None)
    train("dante")
    assert log.read_bytes().startswith(before)


@pytest.fixture
def begin():
    """Give what begins a run in a process of its own, and gives it once it has evaluated a step."""
    begun = []

    def call(name, step, *flags):
        begun.append(Command("train", "--model_name", name, *FLAGS, *flags))
        for line in begun[-1].said:
            if line.startswith(f"step {step}/"):
                return begun[-1]
        raise AssertionError(begun[-1].wait())

    yield call
    for command in begun:
        if command.code is None:
            kill(command)


def kill(command):
    command.send(signal.SIGKILL)
    command.wait()


def test_a_log_has_one_writer_at_a_time(place, train, refused, begin):
    flags = ("--input_file", "input.txt", "--log_file", "one.jsonl")
    first = begin("dante", 0, *flags, "--max_iters", "100000")
    line = refused("train", "--model_name", "virgil", *FLAGS, *flags)
    assert line.startswith(f"error: one.jsonl: is being written by process {first.pid} on ")
    assert line.endswith("stop it, or choose another --log_file\n")
    assert not (place / "checkpoints" / "virgil").exists()
    kill(first)
    train("virgil", log_file="one.jsonl")  # the lock of a process that is dead holds nobody up
    assert curve("virgil") == [0, 6, 12]
    assert [path.name for path in place.glob(".one*")] == []


def test_a_run_that_is_killed_between_two_runs_of_another_loses_no_line(place, train, begin):
    flags = ("--input_file", "input.txt", "--log_file", "one.jsonl")
    train("virgil", log_file="one.jsonl", max_iters=6)
    kill(begin("dante", 200, *flags, "--max_iters", "3000", "--eval_interval", "20"))
    train("virgil", log_file="one.jsonl", max_iters=12)
    others = [line for line in LOG.read_bytes().splitlines() if b'"virgil"' in line]
    resumed = Command("train", "--model_name", "dante", "--max_iters", "300")
    assert "Training finished!" in resumed.wait()
    assert others == [line for line in LOG.read_bytes().splitlines() if b'"virgil"' in line]
    assert curve("dante") == [*range(0, 301, 20)]
    assert curve("virgil") == [0, 6, 12]
