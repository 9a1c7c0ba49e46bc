"""A curriculum: which data at which step, in real runs."""

import pytest

from mypt.data.batches.loader import GPTDataLoader
from mypt.data.curriculum import DataPhase, Phases
from mypt.format.bundle.read import read_bundle

CURRICULUM = [
    {"name": "cats", "until_iter": 5, "input_file": "input.txt"},
    {"name": "dogs", "until_iter": 8, "input_file": "dogs.txt"},
    {"name": "owls", "input_file": ["owls.txt", "dogs.txt"]},
]


@pytest.fixture
def texts(train, in_tmp, text):
    (in_tmp / "dogs.txt").write_text(text.replace("cat", "dog"))
    (in_tmp / "owls.txt").write_text(text.replace("cat", "owl") + "Ω")


@pytest.fixture
def drawn(monkeypatch):
    """Collect which data each batch is from: (what for, step or number, source)."""
    batches = []
    train_batch, eval_batch = GPTDataLoader.train_batch, GPTDataLoader.eval_batch

    def draw_train(self, seed, step, *rest, **options):
        batches.append(("train", step, self.fingerprint.source))
        return train_batch(self, seed, step, *rest, **options)

    def draw_eval(self, split, seed, index):
        batches.append((f"eval {split}", index, self.fingerprint.source))
        return eval_batch(self, split, seed, index)

    monkeypatch.setattr(GPTDataLoader, "train_batch", draw_train)
    monkeypatch.setattr(GPTDataLoader, "eval_batch", draw_eval)
    return batches


def test_a_run_without_phases_has_one_that_never_switches(text, plugins):
    phases = Phases.single("loader")
    assert phases.name_at(0) is None
    assert phases.at(10**6).loader == "loader"
    assert not any(phases.begins_at(step) for step in range(100))


def test_a_phase_ends_before_the_step_that_it_lasts_until():
    phases = Phases((DataPhase("a", 3, "x"), DataPhase("b", 4, "y"), DataPhase("c", None, "z")))
    assert [phases.name_at(step) for step in range(6)] == ["a", "a", "a", "b", "c", "c"]
    assert [step for step in range(6) if phases.begins_at(step)] == [3, 4]
    assert phases.held_out == "z"


def test_a_last_phase_that_says_when_it_ends_goes_on_to_the_end():
    phases = Phases((DataPhase("a", 3, "x"), DataPhase("b", 4, "y")))
    assert phases.name_at(9) == "b"


def test_each_step_trains_on_the_data_of_its_phase(train, texts, drawn):
    train(curriculum=CURRICULUM)
    steps = {step: source for kind, step, source in drawn if kind == "train"}
    assert [steps[step] for step in range(5)] == ["input.txt"] * 5
    assert [steps[step] for step in range(5, 8)] == ["dogs.txt"] * 3
    assert [steps[step] for step in range(8, 12)] == ["owls.txt, dogs.txt"] * 4


def test_the_validation_split_is_the_last_phases_throughout(train, texts, drawn):
    train(curriculum=CURRICULUM)
    preflight = 6  # the first batch of both splits of each phase
    evaluations = [batch for batch in drawn if batch[0] != "train"][preflight:]
    assert [source for kind, _, source in evaluations if kind == "eval val"] == [
        "owls.txt, dogs.txt"
    ] * 3
    assert [source for kind, _, source in evaluations if kind == "eval train"] == [
        "input.txt",
        "dogs.txt",
        "owls.txt, dogs.txt",
    ]


def test_the_tokenizer_covers_the_texts_of_all_phases(train, texts, in_tmp):
    train(curriculum=CURRICULUM)
    chars = read_bundle(in_tmp / "checkpoints" / "cat").tokenizer.chars
    assert {"Ω", "g", "w"} <= set(chars)


def test_a_switch_is_told_once_in_log_and_console(train, texts, logged, capsys):
    train(curriculum=CURRICULUM, quiet=False)
    switches = logged(kind="phase_switch")
    assert [(event["new_phase"], event["iter"]) for event in switches] == [("dogs", 5), ("owls", 8)]
    assert [event["tokens_processed"] for event in switches] == [5 * 16, 8 * 16]
    assert [event["phase"] for event in logged(kind="eval")] == ["cats", "dogs", "owls"]
    out = capsys.readouterr().out
    assert "Phase dogs begins at step 5" in out
    assert "validation loss is measured on the data of the last phase, owls" in out


@pytest.mark.parametrize("step", [4, 5, 6])
def test_a_run_that_was_stopped_at_a_switch_goes_on_as_if_it_were_not(
    step, train, texts, stop_at, digests, logged
):
    whole = train("whole", curriculum=CURRICULUM)
    stop_at(step)
    assert train(curriculum=CURRICULUM).phase == ("cats" if step < 5 else "dogs")
    stop_at(None)
    state = train(curriculum=CURRICULUM)
    assert state.exact
    assert state.phase == whole.phase == "owls"
    assert digests() == digests("whole")
    assert [e["iter"] for e in logged(kind="phase_switch")] == [5, 8]


def test_the_fingerprint_tells_of_every_phase(train, texts, in_tmp):
    state = train(curriculum=CURRICULUM)
    assert state.data.source == "input.txt, then dogs.txt, then owls.txt, dogs.txt"
    (in_tmp / "dogs.txt").write_text((in_tmp / "dogs.txt").read_text()[::-1])
    state = train(curriculum=CURRICULUM, max_iters=13)
    assert any("the data changed" in reason for reason in state.inexact_reasons)


def test_moving_a_switch_is_recorded(train, texts):
    train(curriculum=CURRICULUM)
    moved = [{**CURRICULUM[0], "until_iter": 6}, *CURRICULUM[1:]]
    state = train(curriculum=moved, max_iters=13)
    assert any("curriculum changed" in reason for reason in state.inexact_reasons)
