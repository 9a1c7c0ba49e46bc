"""Processes of one run in folders of their own, as machines without a common disk have them."""

import re
import shutil

import pytest

from mypt.format.bundle.read import read_bundle
from mypt.format.storage.commit import open_for_writing
from tests.support.processes.command import Command
from tests.support.processes.ranks import ranks

FLAGS = (
    *("--input_file", "input.txt", "--tokenization", "char", "--device", "cpu"),
    *("--block_size", "8", "--n_embd", "8", "--n_head", "1", "--n_layer", "1"),
    *("--batch_size", "2", "--eval_interval", "2", "--eval_iters", "1"),
)
AGAIN = ("train", "--model_name", "m", "--max_iters", "4")


@pytest.fixture
def nodes(in_tmp, text, cli):
    """Two folders with copies of a text and of a model at step 2."""
    one, two = in_tmp / "one", in_tmp / "two"
    (in_tmp / "input.txt").write_text(text)
    code, _, err = cli("train", "--model_name", "m", *FLAGS, "--max_iters", 2)
    assert code == 0, err
    for folder in (one, two):
        for part in ("checkpoints", "logs"):
            shutil.copytree(in_tmp / part, folder / part)
        shutil.copy(in_tmp / "input.txt", folder)
    return one, two


def train(nodes, *flags, own=((), ())):
    """Train in one process in each folder; return their exit codes and what each said."""
    started = [
        Command(*AGAIN, *flags, *more, cwd=node, env=env)
        for node, more, env in zip(nodes, own, ranks(2), strict=True)
    ]
    said = [process.wait() for process in started]
    return [process.code for process in started], said


def differing(nodes, *flags, **options):
    """Train where the folders differ; return what the one line says that both end with."""
    before = (nodes[0] / "checkpoints" / "m" / "manifest.json").read_bytes()
    codes, said = train(nodes, *flags, **options)
    assert codes == [1, 1], said
    assert said[0] == said[1]
    match = re.fullmatch(
        r"error: process 1 on \S+ differs from process 0 on \S+ in (.*); give every process the "
        r"same command, packages, data and checkpoints/, on a common disk or as copies\n",
        said[0],
    )
    assert match is not None, said
    assert (nodes[0] / "checkpoints" / "m" / "manifest.json").read_bytes() == before
    return match[1]


def retrain(node, cli, monkeypatch, *flags):
    """Have a model of the same name and step in a folder, of another training."""
    shutil.rmtree(node / "checkpoints")
    shutil.rmtree(node / "logs")
    with monkeypatch.context() as elsewhere:
        elsewhere.chdir(node)
        code, _, err = cli("train", "--model_name", "m", *FLAGS, *flags, "--max_iters", 2)
    assert code == 0, err


@pytest.mark.parametrize("how", [(), ("--shard",)], ids=["ddp", "fsdp"])
def test_copies_of_everything_go_on(nodes, how):
    codes, said = train(nodes, *how)
    assert codes == [0, 0], said
    state = read_bundle(nodes[0] / "checkpoints" / "m").training_state
    assert state.step == 4
    assert state.exact is False  # another number of processes
    assert read_bundle(nodes[1] / "checkpoints" / "m").training_state.step == 2


def test_a_node_without_the_checkpoint_is_named(nodes):
    shutil.rmtree(nodes[1] / "checkpoints")
    what = differing(nodes, *FLAGS)
    assert what.startswith("step (none, not 2), model.pt (none, not ")


def damage(node):
    path = node / "checkpoints" / "m" / "model.pt"
    path.write_bytes(path.read_bytes()[:-10])


@pytest.fixture
def nodes_with_copies(nodes, cli, monkeypatch):
    """The folders with a copy of step 1 beside the model."""
    one, two = nodes
    retrain(one, cli, monkeypatch, "--snapshot_interval", 1)
    for copy in ("m_gold", "m_step00000002"):
        shutil.rmtree(one / "checkpoints" / copy, ignore_errors=True)
    for part in ("checkpoints", "logs"):
        shutil.rmtree(two / part)
        shutil.copytree(one / part, two / part)
    return nodes


def test_all_processes_fall_back_and_the_first_alone_moves_what_is_damaged(nodes_with_copies):
    for node in nodes_with_copies:
        damage(node)
    codes, said = train(nodes_with_copies, "--fall_back")
    assert codes == [0, 0], said
    assert "Falling back on checkpoints/m_step00000001, at step 1" in said[0]
    one, two = (node / "checkpoints" for node in nodes_with_copies)
    assert read_bundle(one / "m").training_state.step == 4
    assert (one / "m_damaged").is_dir()
    assert not (two / "m_damaged").exists()


def test_a_node_whose_model_alone_is_damaged_is_named(nodes_with_copies):
    damage(nodes_with_copies[1])
    what = differing(nodes_with_copies, "--fall_back")
    assert what.startswith("step (1, not 2), model.pt (")
    assert not (nodes_with_copies[1] / "checkpoints" / "m_damaged").exists()


def test_a_node_with_another_model_of_that_name_and_step_is_named(nodes, cli, monkeypatch):
    retrain(nodes[1], cli, monkeypatch, "--seed", 5)
    what = differing(nodes, "--seed", "1337")
    assert what.startswith("model.pt (")
    assert "optimizer.pt (" in what


def test_a_node_without_the_optimizer_state_is_named(nodes):
    (nodes[1] / "checkpoints" / "m" / "optimizer.pt").unlink()
    assert re.fullmatch(r"optimizer.pt \(none, not \w{20}...\)", differing(nodes))


def test_without_a_manifest_the_files_are_compared(nodes, cli, monkeypatch):
    retrain(nodes[1], cli, monkeypatch, "--seed", 5)
    one, two = (node / "checkpoints" / "m" for node in nodes)
    shutil.copy(one / "training_state.json", two)
    for folder in (one, two):
        (folder / "manifest.json").unlink()
    codes, said = train(nodes)
    assert codes == [1, 1]
    assert "in model.pt (" in said[0] == said[1]


def test_a_node_with_another_text_of_the_same_characters_is_named(nodes, text):
    (nodes[1] / "input.txt").write_text("".join(reversed(text)))
    what = differing(nodes)
    assert re.fullmatch(r"data \(.{20}\.\.\., not .{20}\.\.\.\)", what)


def test_a_new_run_is_compared_too(nodes, text):
    for node in nodes:
        shutil.rmtree(node / "checkpoints")
    (nodes[1] / "input.txt").write_text("".join(reversed(text)))
    codes, said = train(nodes, *FLAGS)
    assert codes == [1, 1]
    assert said[0] == said[1]
    assert "in data (" in said[0]
    assert not (nodes[0] / "checkpoints").exists()


def test_another_command_is_named(nodes):
    what = differing(nodes, own=(("--eval_iters", "1"), ("--eval_iters", "2")))
    assert what == "eval_iters (2, not 1)"


def test_a_node_where_the_run_is_finished_is_named(nodes, cli, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.chdir(nodes[1])
        assert cli(*AGAIN)[0] == 0
    assert differing(nodes).startswith("step (4, not 2)")


@pytest.mark.parametrize("broken", [0, 1])
def test_what_one_process_lacks_the_other_hears(nodes, broken):
    (nodes[broken] / "input.txt").unlink()
    codes, said = train(nodes)
    assert codes == [1, 1]
    own, other = said[broken], said[1 - broken]
    assert own.startswith("error: input.txt: ")
    assert own.count("\n") == other.count("\n") == 1
    reason = own.removeprefix("error: ").strip()
    assert re.fullmatch(
        rf"error: process {broken} on \S+ stopped: {re.escape(reason)}; fix that, and start the "
        r"same command again\n",
        other,
    )


def test_a_lock_that_the_first_process_does_not_get_stops_the_other(nodes):
    with open_for_writing(nodes[0] / "checkpoints" / "m"):
        codes, said = train(nodes)
    assert codes == [1, 1]
    assert "stopped: " in said[1]
    assert said[0].removeprefix("error: ").strip() in said[1]
