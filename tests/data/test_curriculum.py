"""A curriculum: which data at which step, in real runs."""

import json
from collections import Counter

import pytest

import mypt
from mypt.data.batches.loader import GPTDataLoader
from mypt.data.curriculum import DataPhase, Phases
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import ConfigError

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


@pytest.fixture
def rows(monkeypatch):
    """Collect the rows that are trained on, by the source of their data."""
    found, train_batch = {}, GPTDataLoader.train_batch

    def draw(self, *where, **options):
        batch = train_batch(self, *where, **options)
        found.setdefault(self.fingerprint.source, []).extend(map(tuple, batch.x.tolist()))
        return batch

    monkeypatch.setattr(GPTDataLoader, "train_batch", draw)
    return found


def counting(count):
    """A text whose windows of 8 all differ; about a tenth of it validates."""
    return "".join(f"{number:07d}\n" for number in range(count))


def most_often(rows):
    """Return how often the row that came up most often did, and how many there are."""
    return max(Counter(rows).values()), len(set(rows))


EPOCHS = {"sampling": "epoch", "max_iters": 30, "eval_interval": 30}


def test_an_epoch_begins_where_its_phase_does(train, in_tmp, rows):
    """Each of the 72 blocks of the second phase comes up before any comes again."""
    (in_tmp / "few.txt").write_text(counting(40))
    (in_tmp / "more.txt").write_text(counting(81))
    phases = [
        {"name": "few", "until_iter": 7, "input_file": "few.txt"},
        {"name": "more", "input_file": "more.txt"},
    ]
    train(curriculum=phases, batch_size=4, **{**EPOCHS, "max_iters": 25})
    assert len(rows["more.txt"]) == 72
    assert most_often(rows["more.txt"]) == (1, 72)


@pytest.mark.parametrize(
    "changed",
    [{"grad_accum_steps": 2, "max_iters": 14}, {"batch_size": 5, "max_iters": 16}],
    ids=["grad_accum_steps", "batch_size"],
)
def test_an_epoch_goes_on_where_the_batches_change(changed, train, in_tmp, rows):
    (in_tmp / "text.txt").write_text(counting(81))
    common = {**EPOCHS, "input_file": "text.txt", "batch_size": 3}
    train(**{**common, "max_iters": 4})
    state = train(**{**common, **changed})
    assert any("changed from" in reason for reason in state.inexact_reasons)
    assert (state.epoch.windows, state.epoch.per_epoch) == (72, 72)
    assert most_often(rows["text.txt"]) == (1, 72)


@pytest.mark.parametrize(
    "changed", [{"seed": 5}, {"input_file": "other.txt"}, {"sampling": "random"}]
)
def test_an_epoch_begins_anew_where_its_order_does(changed, train, in_tmp, rows):
    (in_tmp / "text.txt").write_text(counting(81))
    (in_tmp / "other.txt").write_text(counting(82)[8:])
    common = {**EPOCHS, "input_file": "text.txt", "batch_size": 4, "seed": 1337}
    train(**{**common, **changed, "max_iters": 4})
    rows.clear()
    state = train(**{**common, "max_iters": 22})
    assert state.epoch.windows == 72
    assert most_often(rows["text.txt"]) == (1, 72)


def test_a_phase_added_later_leaves_the_epoch_of_the_present_one(train, in_tmp, rows):
    (in_tmp / "text.txt").write_text(counting(81))
    (in_tmp / "later.txt").write_text(counting(60))
    common = {**EPOCHS, "batch_size": 4, "eval_interval": 4}
    one = {"name": "one", "input_file": "text.txt"}
    train(curriculum=[one], **{**common, "max_iters": 4})
    later = {"name": "later", "input_file": "later.txt"}
    train(curriculum=[{**one, "until_iter": 18}, later], **{**common, "max_iters": 18})
    assert most_often(rows["text.txt"]) == (1, 72)


def without_epoch(folder):
    """Make of a bundle one of an earlier mypt, which recorded no place."""
    file = folder / "training_state.json"
    document = json.loads(file.read_text())
    del document["epoch"]
    file.write_text(json.dumps(document))
    (folder / "manifest.json").unlink()


def test_an_earlier_bundle_tells_its_place_in_the_first_phase(train, in_tmp, stop_at, digests):
    common = {**EPOCHS, "grad_accum_steps": 2}
    train("whole", **common)
    stop_at(10)
    train(**common)
    without_epoch(in_tmp / "checkpoints" / "cat")
    stop_at(None)
    state = train(**common)
    assert state.inexact_reasons == ("step 10: there was no manifest.json",)
    assert digests() == digests("whole")


def test_an_earlier_bundle_in_a_later_phase_does_not_tell_its_place(train, texts, in_tmp):
    train(curriculum=CURRICULUM, **{**EPOCHS, "max_iters": 10})
    without_epoch(in_tmp / "checkpoints" / "cat")
    state = train(curriculum=CURRICULUM, **{**EPOCHS, "max_iters": 12})
    assert any("its place in the epoch was not recorded" in r for r in state.inexact_reasons)
    assert state.epoch.windows == 4


def test_a_fit_by_epochs_goes_on_as_one(text, plugins, in_tmp, digests):
    """The sampling is the loader's, so the state has to say so."""
    tokenizer = plugins.tokenizer("char").train(text)
    config = mypt.GPTConfig(
        block_size=8, n_embd=16, n_head=2, n_layer=1, batch_size=2, vocab_size=tokenizer.vocab_size
    )
    loader = mypt.GPTDataLoader(config, tokenizer, text=text, source="input.txt", sampling="epoch")
    run = {"learning_rate": 0.01, "eval_interval": 6, "eval_iters": 1, "quiet": True}
    mypt.GPT(config, tokenizer).fit(loader, max_iters=6, checkpoint_dir="checkpoints/cat", **run)
    state = read_bundle(in_tmp / "checkpoints" / "cat").training_state
    assert (state.training_config.sampling, state.epoch.windows) == ("epoch", 12)
    with pytest.raises(ConfigError, match="the loader has 'epoch'"):
        mypt.GPT(config, tokenizer).fit(loader, max_iters=6, sampling="random", **run)
