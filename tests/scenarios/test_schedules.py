"""Runs whose learning rate, weight decay and batch size are functions of the step."""

import json
import math
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from torch.optim.optimizer import register_optimizer_step_pre_hook

import mypt
from mypt.data.batches.loader import GPTDataLoader
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import ConfigError, PluginError
from mypt.format.validate import validate
from mypt.plugins.manager import load_plugins
from mypt.testing import registered
from tests.support import schedule_plugin

KEPT = dict.fromkeys(
    ("learning_rate", "max_iters", "eval_interval", "eval_iters", "dropout", "batch_size")
)
WSD = {"lr_schedule": "wsd", "warmup_iters": 3}
FOLDER = Path("checkpoints/cat")


def state_of(name="cat"):
    return read_bundle(Path("checkpoints", name)).training_state


@pytest.fixture
def updates():
    """Give the rate and the weight decay of each group at each update, as its step saw them."""
    seen = []

    def note(optimizer, *_):
        seen.append([(g["lr"], g["weight_decay"]) for g in optimizer.param_groups])

    handle = register_optimizer_step_pre_hook(note)
    yield seen
    handle.remove()


def expected_rates(name, options, low, peak=0.01, warmup=3, last=12):
    """Compute the rates of a run by the formulas of the specification."""
    begin = warmup
    if name == "wsd":
        begin = last - int(options.get("decay_iters", 0.2) * last)
    for step in range(last):
        p = min(1, max(0, step - begin) / (last - begin))
        shape = options.get("decay", "linear") if name == "wsd" else name
        falls = {
            "linear": 1 - p,
            "cosine": (1 + math.cos(math.pi * p)) / 2,
            "sqrt": 1 - math.sqrt(p),
            "constant": 1,
        }
        yield min(1, (step + 1) / warmup) * (low + falls[shape] * (peak - low))


@pytest.mark.parametrize(
    ("name", "options", "min_lr", "low"),
    [
        ("cosine", {}, None, 0.001),
        ("cosine", {}, 0.0, 0.0),
        ("cosine", {}, 0.004, 0.004),
        ("linear", {}, None, 0.0),
        ("linear", {}, 0.01, 0.01),
        ("constant", {}, None, 0.0),
        ("wsd", {"decay_iters": 0.5}, None, 0.0),
        ("wsd", {"decay_iters": 0.5, "decay": "cosine"}, 0.002, 0.002),
        ("wsd", {"decay_iters": 0.34, "decay": "sqrt"}, None, 0.0),
    ],
)
def test_the_updates_have_the_rates_of_the_schedule(name, options, min_lr, low, train, updates):
    given = {"lr_schedule": name, "lr_schedule_options": options, "min_lr": min_lr}
    train(warmup_iters=3, **given)
    rates = [groups[0][0] for groups in updates]
    assert rates == pytest.approx([*expected_rates(name, options, low)], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["linear", "constant", "wsd"])
def test_a_run_that_is_stopped_anywhere_ends_in_the_same_bytes(name, train, stop_at, digests):
    given = {"lr_schedule": name, "warmup_iters": 3, "min_lr": 0.001, "grad_accum_steps": 2}
    given |= {"weight_decay_schedule": "cosine", "weight_decay": 0.5}
    given |= {"batch_schedule": [{"from_iter": 4, "grad_accum_steps": 1}]}
    given |= {"lr_schedule_options": {"decay_iters": 4}} if name == "wsd" else {}
    train("whole", **given)
    for step in (2, 4, 8):
        stop_at(step)
        train(**given)
    stop_at(None)
    state = train(tokenization=None, **KEPT)
    assert (state.step, state.exact, state.inexact_reasons) == (12, True, ())
    assert digests() == digests("whole")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"min_lr": 0.02}, "min_lr: is 0.02, above the peak: learning_rate is 0.01"),
        ({"lr_schedule": "wsd", "lr_schedule_options": {"decay": "steep"}}, "decay"),
        ({"lr_schedule": "wsd", "lr_schedule_options": {"decay_iter": 3}}, "decay_iter"),
        ({"lr_schedule": "wsd", "lr_schedule_options": {"decay_iters": 0}}, "decay_iters"),
        ({"lr_schedule": "cosine", "lr_schedule_options": {"decay": "sqrt"}}, "decay"),
        ({"batch_schedule": [{"from_iter": 0, "grad_accum_steps": 1}]}, "from_iter"),
        (
            {"batch_schedule": [{"from_iter": n, "grad_accum_steps": 2} for n in (4, 4)]},
            "batch_schedule/1/from_iter: is 4, but the stretch before begins at step 4",
        ),
        (
            {"batch_schedule": [{"from_iter": n, "grad_accum_steps": 2} for n in (6, 4)]},
            "batch_schedule/1/from_iter: is 4, but the stretch before begins at step 6",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(given, said, train, in_tmp):
    with pytest.raises(ConfigError, match=said):
        train(**given)
    assert not (in_tmp / "checkpoints").exists()


# A longer run, from before the decay


def longer(train, name, **given):
    return train(name, tokenization=None, **{**KEPT, "max_iters": 24, **given})


@pytest.mark.parametrize("options", [{"decay_iters": 0.25}, {"decay_iters": 5, "decay": "sqrt"}])
def test_a_copy_from_before_the_decay_ends_as_the_run_that_was_planned_longer(
    options, train, digests, logged
):
    decay = 12 - int(options["decay_iters"] * (12 if options["decay_iters"] < 1 else 1))
    copy = f"cat_step{decay:08d}"
    train("long", max_iters=24, lr_schedule_options=options, **WSD)
    train(lr_schedule_options=options, **WSD)
    told = [e["message"] for e in logged(kind="notice") if "decay" in e["message"]]
    assert told == [
        f"The learning rate decays from step {decay} on; the model before it is kept as "
        f"checkpoints/{copy}, to train longer from: "
        f'mypt.load("checkpoints/{copy}").fit(loader, max_iters=N)'
    ]
    state = longer(train, copy)
    assert (state.step, state.exact) == (24, True)
    assert digests(copy) == digests("long")


def test_a_run_that_was_stopped_keeps_the_copy_too(train, stop_at, digests):
    train("long", max_iters=24, **WSD)
    for step in (9, 11):  # the decay begins at 10
        stop_at(step)
        train(**WSD)
    stop_at(None)
    train(**WSD)
    longer(train, "cat_step00000010")
    assert digests("cat_step00000010") == digests("long")


def test_a_run_that_decays_from_the_step_it_resumes_at_keeps_a_copy(train, stop_at):
    stop_at(7)
    train(lr_schedule="constant")
    stop_at(None)
    decay = {"lr_schedule": "wsd", "lr_schedule_options": {"decay_iters": 5}}
    assert train(**decay).exact  # the steps that are done were those of wsd too
    assert state_of("cat_step00000007").step == 7


def test_the_copy_is_no_snapshot_of_those_that_are_removed(train):
    train(snapshot_interval=2, keep_snapshots=1, lr_schedule_options={"decay_iters": 7}, **WSD)
    names = {path.name for path in Path("checkpoints").glob("cat_step*")}
    assert names == {"cat_step00000005", "cat_step00000012"}


def test_no_copy_is_kept_where_nothing_decays(train):
    train(lr_schedule="constant")
    train("dog", lr_schedule="wsd", lr_schedule_options={"decay_iters": 100})  # from the first step
    assert not [*Path("checkpoints").glob("*_step*")]


def test_the_commands_of_the_page_train_longer(root, cli, in_tmp, text, digests):
    page = (root / "docs" / "how-to" / "train.md").read_text(encoding="utf-8")
    first, longer = re.findall(
        r"^mypt train (--model_name steady.* --max_iters \d+.*)$", page, re.M
    )
    (in_tmp / "input.txt").write_text(text)
    (in_tmp / "configs").mkdir()
    preset = json.loads((root / "configs" / "tiny.json").read_text(encoding="utf-8"))
    small = {"batch_size": 2, "block_size": 8, "n_embd": 16, "n_layer": 1, "eval_iters": 1}
    (in_tmp / "configs" / "tiny.json").write_text(json.dumps({**preset, **small}))
    planned = first.replace("steady", "planned").replace("--max_iters 100", "--max_iters 200")
    said = []
    for command in (planned, first, longer):
        code, out, err = cli("train", *shlex.split(command), "--device", "cpu")
        assert (code, err) == (0, "")
        said += out.splitlines()
    copy = "steady_step00000075"
    (told,) = [line for line in said if f"kept as checkpoints/{copy}, to train longer" in line]
    assert told.endswith(f"from: mypt train --model_name {copy} --max_iters N")
    assert digests("steady_step00000075") == digests("planned")
    assert state_of("steady_step00000075").exact


# What a resume does to the rate


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        (
            {"warmup_iters": 2},
            {"max_iters": 24},
            "The learning rate of step 13 is 6.14e-03, after 1.22e-03 at step 12: cosine now falls "
            'until 24; lr_schedule="constant", learning_rate=0.00122 goes on as it was',
        ),
        (
            {"lr_schedule": "linear"},
            {"max_iters": 24},
            "The learning rate of step 13 is 5.00e-03, after 8.33e-04 at step 12: linear now falls "
            'until 24; lr_schedule="constant", learning_rate=0.000833 goes on as it was',
        ),
        (
            {"lr_schedule": "constant"},
            {"max_iters": 24},
            "The learning rate of step 13 is 1.00e-02, after 1.00e-02 at step 12: constant now "
            "stays until 24",
        ),
        (
            {"lr_schedule": "wsd"},
            {"max_iters": 24},
            "The learning rate of step 13 is 1.00e-02, after 5.00e-03 at step 12: wsd now falls "
            "from step 20 until 24; to train longer from before the decay: "
            'mypt.load("checkpoints/cat_step00000010").fit(loader, max_iters=24)',
        ),
        (
            {"lr_schedule": "linear"},
            {"max_iters": 24, "lr_schedule": "constant", "learning_rate": 8.33e-4},
            "The learning rate of step 13 is 8.33e-04, after 8.33e-04 at step 12: constant now "
            "stays until 24",
        ),
    ],
)
def test_an_extended_run_says_what_it_does_to_the_rate(first, then, said, train, logged):
    train(**first)
    train(tokenization=None, **{**KEPT, **then})
    told = [event["message"] for event in logged(kind="notice")]
    assert [line for line in told if line.startswith("The learning rate of")] == [said]


def test_on_the_command_line_the_advice_is_of_flags(train, cli):
    train()
    _, out, _ = cli("train", "--model_name", "cat", "--max_iters", 13)
    (line,) = [line for line in out.splitlines() if line.startswith("The learning rate of")]
    assert line.endswith("--lr_schedule constant --learning_rate 0.00115 goes on as it was")


@pytest.mark.parametrize(
    "then", [{"min_lr": 0.0}, {"learning_rate": 0.02}, {"warmup_iters": 9}, {"lr_schedule": "wsd"}]
)
def test_a_change_on_the_way_is_said_too(then, train, stop_at, logged):
    stop_at(6)
    train()
    stop_at(None)
    train(tokenization=None, **{**KEPT, **then})
    told = [e["message"] for e in logged(kind="notice")]
    assert sum(line.startswith("The learning rate of step 7 is") for line in told) == 1


@pytest.mark.parametrize(
    ("given", "is_said"),
    [
        ({"lr_schedule": "constant", "min_lr": 0.001}, True),
        ({"lr_schedule": "constant"}, False),
        ({"lr_schedule": "linear", "min_lr": 0.001}, False),
    ],
)
def test_a_lowest_rate_that_is_never_reached_is_said(given, is_said, train, logged):
    train(max_iters=2, **given)
    said = "min_lr 0.001 has no effect: the schedule constant stays at the peak"
    assert (said in [e["message"] for e in logged(kind="notice")]) is is_said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"lr_schedule_options": {"decay_iters": 50}},
            "wsd: a decay of 50 updates does not fit after the warm-up: it takes 4, and the "
            "learning rate never stays at its peak",
        ),
        (
            {"lr_schedule_options": {"decay_iters": 0.9}, "warmup_iters": 2},
            "wsd: a decay of 3 updates does not fit after the warm-up: it takes 2, and the "
            "learning rate never stays at its peak",
        ),
        (
            {"warmup_iters": 9},
            "warmup_iters 9: the learning rate rises to the end, as the run has 4 updates",
        ),
        ({"lr_schedule_options": {"decay_iters": 4}}, None),
        ({"lr_schedule_options": {"decay_iters": 2}, "warmup_iters": 2}, None),
    ],
)
def test_a_schedule_that_does_not_fit_into_the_run_is_said(given, said, train, logged):
    train(max_iters=4, **{"lr_schedule": "wsd", "warmup_iters": 0, **given})
    notices = [e["message"] for e in logged(kind="notice")]
    told = [notice for notice in notices if notice.startswith(("wsd:", "warmup_iters"))]
    assert told == ([] if said is None else [said])


def test_a_resume_that_changes_nothing_says_nothing_of_the_rate(train, stop_at, logged):
    stop_at(6)
    train()
    stop_at(None)
    train()
    assert not [e for e in logged(kind="notice") if "learning rate" in e["message"]]


# Weight decay and batch size


@pytest.mark.parametrize(
    ("schedule", "factor"),
    [("linear", lambda p: 1 - p), ("cosine", lambda p: (1 + math.cos(math.pi * p)) / 2)],
)
def test_weight_decay_falls_to_zero_at_the_end(schedule, factor, train, updates):
    train(weight_decay=0.5, weight_decay_schedule=schedule, warmup_iters=3)
    decays = [groups[0][1] for groups in updates]
    assert decays == pytest.approx([0.5 * factor(step / 12) for step in range(12)])
    assert {groups[1][1] for groups in updates} == {0.0}
    saved = read_bundle(FOLDER).optimizer()["param_groups"]
    assert [group["weight_decay"] for group in saved] == [0.5, 0.0]  # those of the next run


def test_a_weight_decay_schedule_without_effect_is_said(train, logged):
    train(weight_decay=0, weight_decay_schedule="linear")
    told = [e["message"] for e in logged(kind="notice")]
    assert "weight_decay_schedule linear has no effect: the weight decay is 0" in told


STRETCHES = [{"from_iter": 3, "grad_accum_steps": 3}, {"from_iter": 8, "grad_accum_steps": 1}]


@pytest.fixture
def drawn(monkeypatch):
    """Give the step, micro step and first window of each batch that is drawn."""
    seen, draw = [], GPTDataLoader.train_batch

    def note(self, seed, step, micro_step, *rest, **more):
        seen.append((step, micro_step, more.get("first_window")))
        return draw(self, seed, step, micro_step, *rest, **more)

    monkeypatch.setattr(GPTDataLoader, "train_batch", note)
    return seen


@pytest.mark.parametrize("sampling", ["random", "epoch"])
def test_each_stretch_has_its_micro_steps(sampling, train, drawn, logged):
    given = {"grad_accum_steps": 2, "batch_schedule": STRETCHES, "sampling": sampling}
    state = train(**given)
    counts = [2] * 3 + [3] * 5 + [1] * 4
    assert [(step, m) for step, m, _ in drawn] == [
        (step, m) for step, count in enumerate(counts) for m in range(count)
    ]
    assert state.tokens_processed == sum(counts) * 2 * 8
    evaluations = logged(kind="eval")
    assert [e["tokens_processed"] for e in evaluations] == [0, 15 * 16, 25 * 16]
    start = logged(kind="training_start")[0]["config"]
    assert (start["tokens_per_step"], start["batch_schedule"]) == (32, STRETCHES)
    said = "32 tokens per step, 48 from step 3, 16 from step 8"
    assert said in [e["message"] for e in logged(kind="notice")]
    if sampling == "epoch":
        windows = [window for _, _, window in drawn]
        assert all(after - before == 2 for before, after in pairwise(windows))


@pytest.mark.parametrize("stops", [(1, 3, 8), (4, 7, 9)])
def test_a_batch_schedule_is_gone_on_with_from_any_step(stops, train, stop_at, digests):
    given = {"grad_accum_steps": 2, "batch_schedule": STRETCHES, "sampling": "epoch"}
    whole = train("whole", **given)
    for step in stops:
        stop_at(step)
        train(**given)
    stop_at(None)
    state = train(**given)
    assert digests() == digests("whole")
    assert (state.exact, state.epoch.windows) == (True, whole.epoch.windows)
    assert state.tokens_processed == whole.tokens_processed


def test_a_stretch_that_is_added_for_later_steps_is_the_run_that_was_planned_so(
    train, stop_at, digests
):
    train("whole", batch_schedule=STRETCHES)
    stop_at(3)
    train()
    stop_at(None)
    assert train(batch_schedule=STRETCHES).exact
    assert digests() == digests("whole")


def test_another_peak_is_no_harmless_change_where_one_group_has_its_own(train, stop_at, digests):
    """The rate of step 1 is the same, but for the matrices of muon."""
    muon = {"optimizer": "muon", "optimizer_options": {"muon_learning_rate": 0.002}}
    for name, options, is_exact in (("muons", muon, False), ("adamws", {}, True)):
        fast = {**options, "lr_schedule": "constant", "learning_rate": 0.02, "warmup_iters": 4}
        train(f"{name}_whole", **fast)
        stop_at(1)
        train(name, **{**fast, "learning_rate": 0.01, "warmup_iters": 2})
        stop_at(None)
        assert train(name, **fast).exact is is_exact
        assert (digests(name) == digests(f"{name}_whole")) is is_exact


def test_a_longer_fall_of_no_weight_decay_is_the_run_that_was_planned_so(train, stop_at, digests):
    flat = {"lr_schedule": "constant", "weight_decay": 0, "weight_decay_schedule": "cosine"}
    train("whole", **flat, max_iters=14)
    stop_at(5)
    train(**flat)
    stop_at(None)
    assert train(**flat, max_iters=14).exact
    assert digests() == digests("whole")


def test_a_stretch_of_steps_that_are_done_makes_another_run(train, stop_at):
    stop_at(6)
    train()
    stop_at(None)
    (reason,) = train(batch_schedule=STRETCHES).inexact_reasons
    assert reason == f"step 6: batch_schedule changed from [] to {STRETCHES}"


def test_a_stretch_beyond_the_end_is_said(train, logged):
    train(batch_schedule=[{"from_iter": 12, "grad_accum_steps": 4}])
    told = [e["message"] for e in logged(kind="notice")]
    said = "batch_schedule: 4 micro steps from step 12 are never trained with: the run ends at 12"
    assert said in told


def test_fit_follows_the_schedules_and_says_what_it_changes(text, in_tmp, updates, logged):
    tokenizer = load_plugins().tokenizer("char").train(text)
    shape = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 1, "batch_size": 2}
    model = mypt.GPT(mypt.GPTConfig(vocab_size=tokenizer.vocab_size, **shape), tokenizer)
    loader = mypt.GPTDataLoader(model.config, model.tokenizer, text=text, source="text")
    kept = {"checkpoint_dir": "checkpoints/cat", "eval_iters": 1, "quiet": True}
    given = {"learning_rate": 0.01, "lr_schedule": "linear", "weight_decay_schedule": "linear"}
    given |= {"batch_schedule": [{"from_iter": 2, "grad_accum_steps": 3}]}
    state = model.fit(loader, max_iters=4, **kept, **given)
    shares = (1, 0.75, 0.5, 0.25)
    assert [rate for (rate, _), *_ in updates] == pytest.approx([0.01 * s for s in shares])
    assert [decay for (_, decay), *_ in updates] == pytest.approx([0.1 * s for s in shares])
    assert state.tokens_processed == 8 * 16
    model.fit(loader, max_iters=8, **kept)
    told = [e["message"] for e in logged(kind="notice")]
    said = "The learning rate of step 5 is 5.00e-03, after 2.50e-03 at step 4: linear now falls"
    assert sum(line.startswith(said) for line in told) == 1


# Schedules of plugins


@pytest.fixture
def plugins():
    return registered(schedule_plugin, package="acme")


STAIRS = {"lr_schedule": "acme_stairs", "lr_schedule_options": {"factor": 0.25, "every": 3}}


def test_a_plugins_schedule_is_followed_and_gone_on_with(
    train, plugins, stop_at, digests, updates, logged
):
    state = train("whole", warmup_iters=2, min_lr=0.002, **STAIRS)
    factors = [1, 1, 1, 1, 1, *[0.25] * 3, *[0.0625] * 3, 0.25**3]
    rates = [0.002 + factor * 0.008 for factor in factors]
    assert [groups[0][0] for groups in updates] == pytest.approx([0.005, *rates[1:]])
    for step in (3, 7):
        stop_at(step)
        train(warmup_iters=2, min_lr=0.002, **STAIRS)
    stop_at(None)
    state = train(tokenization=None, **KEPT)
    assert (state.exact, digests()) == (True, digests("whole"))
    assert state_of("cat_step00000005").step == 5  # where it says that its decay begins
    found = validate(FOLDER, plugins.layouts, settings=plugins.settings)
    assert found == []
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    assert manifest["plugins"]["acme"]["needed_for"] == ["train"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("nan", "it returns nan, not a number from 0"),
        ("-0.1", "it returns -0.1, not a number from 0"),
        ("1.5", "it returns 1.5, not a number from 0"),
        ("none", "TypeError"),
        ("raise", "LookupError: no 7"),
    ],
)
def test_a_schedule_that_fails_on_the_way_is_refused_at_once(made, said, train, in_tmp):
    place = "acme.*`factor` of its schedule `acme_odd` at step 7: "
    with pytest.raises(PluginError, match=place + f".*{said}"):
        train(lr_schedule="acme_odd", lr_schedule_options={"made": made})
    assert not (in_tmp / "checkpoints").exists()


def test_a_run_with_a_schedule_of_nobody_is_refused(train, in_tmp):
    with pytest.raises(PluginError, match="no plugin offers the schedule `cosin`"):
        train(lr_schedule="cosin")
    assert not (in_tmp / "checkpoints").exists()


def test_options_of_a_former_name_are_brought_up_to_date(train, plugins):
    train(max_iters=6, **STAIRS)
    state = FOLDER / "training_state.json"
    document = json.loads(state.read_text())
    document["training_config"]["lr_schedule"] = "acme_steps"
    document["training_config"]["lr_schedule_options"] = {"gamma": 0.25}
    state.write_text(json.dumps(document))
    after = train(tokenization=None, **KEPT).training_config
    assert (after.lr_schedule, after.lr_schedule_options) == ("acme_stairs", {"factor": 0.25})
