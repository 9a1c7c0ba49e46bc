"""The loop on real, tiny models: it learns, resumes exactly, and its guards fire."""

import json
import math
import re
import signal
import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from attrs import evolve

import mypt
from mypt.api.checkpoint_manager import resume
from mypt.data.randomness import Purpose, torch_seed
from mypt.engine.checkpoints.checkpointer import Checkpointer
from mypt.engine.evaluation.divergence import DivergedError
from mypt.engine.logging import reports
from mypt.engine.training import run
from mypt.engine.training.trainer import Trainer
from mypt.format.bundle.read import read_bundle
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError, Problem, SaveError
from mypt.format.open import open_checkpoint
from mypt.format.storage.generations import read_manifest
from mypt.plugins.manager import load_plugins
from tests.support.rates import learning_rate_at

PLUGINS = load_plugins()
SHAPE = {"block_size": 16, "n_embd": 32, "n_head": 2, "n_layer": 2, "batch_size": 4}
RUN = {"eval_interval": 6, "eval_iters": 2, "learning_rate": 3e-3, "warmup_iters": 3}


def new_model(text, **fields):
    tokenizer = PLUGINS.tokenizer("char").train(text)
    config = mypt.GPTConfig(**{**SHAPE, **fields}, vocab_size=tokenizer.vocab_size)
    return mypt.GPT(config, tokenizer, plugins=PLUGINS)


def loader_of(model, text):
    return mypt.GPTDataLoader(model.config, model.tokenizer, text=text, source="text")


def fit(model, text, folder=None, **options):
    log = None if folder is None else str(folder.parent / f"{folder.name}.jsonl")
    return model.fit(
        loader_of(model, text), checkpoint_dir=folder, quiet=True, log_file=log, **options
    )


def digests(folder):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    return {name: files[name]["sha256"] for name in ("model.pt", "optimizer.pt")}


def go_on(folder, text, **options):
    opened = open_checkpoint(folder, PLUGINS)
    training = opened.training_state.training_config
    model, optimizer, step = resume(opened, training, PLUGINS, torch.device("cpu"))
    return model.fit(
        loader_of(model, text),
        optimizer,
        checkpoint_dir=folder,
        start_step=step,
        learning_rate=training.learning_rate,
        quiet=True,
        **options,
    )


def test_a_model_learns(text):
    model = new_model(text, dropout=0.0)
    loader = loader_of(model, text)
    x, y, _, _ = loader.eval_batch("val", 1, 0)
    before = model.loss(x, y).item()
    fit(model, text, max_iters=80, **RUN)
    assert before == pytest.approx(math.log(model.config.vocab_size), rel=0.1)
    assert model.loss(x, y).item() < before - 1


def test_a_trained_model_is_in_evaluation_mode(text):
    model = new_model(text, dropout=0.5)
    fit(model, text, max_iters=2, **RUN)
    assert not model.training
    assert model.score(text[:50]) == model.score(text[:50])


def test_a_folder_with_a_bundle_may_be_trained_into_anew_where_that_is_asked_for(text, tmp_path):
    fit(new_model(text), text, tmp_path / "cat", max_iters=2, **RUN)
    state = fit(new_model(text), text, tmp_path / "cat", max_iters=3, overwrite=True, **RUN)
    assert state.step == 3
    assert state.exact


@pytest.mark.parametrize("stop_at", [6, 12])
def test_a_resumed_run_ends_in_the_bytes_of_the_unbroken_one(text, tmp_path, stop_at):
    options = {**RUN, "grad_accum_steps": 2}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fit(new_model(text, dropout=0.2), text, whole, max_iters=18, **options)
    interrupt_after(stop_at, new_model(text, dropout=0.2), text, broken, max_iters=18, **options)
    assert read_bundle(broken).training_state.step == stop_at
    state = go_on(broken, text)
    assert state.step == 18
    assert state.exact
    assert digests(broken) == digests(whole)
    assert eval_lines(tmp_path / "broken.jsonl") == eval_lines(tmp_path / "whole.jsonl")


def spoil_at(step, model, monkeypatch):
    """Put a NaN into a weight that no evaluation reads, once `step` updates are done."""
    update = Trainer.update

    def spoiled(self):
        update(self)
        if self.state.step == step:
            with torch.no_grad():
                model.token_embedding_table.weight[-1, 0] = math.nan

    monkeypatch.setattr(Trainer, "update", spoiled)


def finite_steps(folder):
    """Return the step of each bundle, none of which may hold a NaN."""
    found = {}
    for place in sorted(folder.parent.glob(f"{folder.name}*/")):
        bundle = read_bundle(place)
        assert all(bool(tensor.isfinite().all()) for tensor in bundle.weights().values())
        found[place.name] = bundle.training_state.step
    return found


UNSEEN = "\u2603"


@pytest.mark.parametrize(
    ("spoiled_at", "options", "saved"),
    [
        (6, {}, 0),  # found by the save after the evaluation
        (7, {"snapshot_interval": 8}, 6),  # by a numbered copy in between
        (15, {"max_iters": 15, "eval_interval": 100}, 0),  # by the last save
    ],
)
def test_weights_that_no_loss_shows_are_found_by_every_save(
    text, tmp_path, monkeypatch, spoiled_at, options, saved
):
    model = new_model(text + UNSEEN)
    spoil_at(spoiled_at, model, monkeypatch)
    said = f"weights are NaN or infinite at step .*, and step {saved} stays as it was saved"
    with pytest.raises(DivergedError, match=said):
        fit(model, text, tmp_path / "m", **{**RUN, "max_iters": 18, **options})
    assert finite_steps(tmp_path / "m")["m"] == saved


def test_a_signal_saves_no_weights_that_are_not_finite(text, tmp_path, monkeypatch):
    model = new_model(text + UNSEEN)
    spoil_at(8, model, monkeypatch)
    update = Trainer.update

    def interrupted(self):
        update(self)
        if self.state.step == 9:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Trainer, "update", interrupted)
    with pytest.raises(DivergedError, match="at step 9, and step 6 stays as it was saved"):
        fit(model, text, tmp_path / "m", **RUN, max_iters=18)
    assert finite_steps(tmp_path / "m")["m"] == 6


def test_a_step_is_told_as_saved_only_once_it_is(text, tmp_path, monkeypatch):
    """The save of step 6 is still at work when the next step has diverged, and fails then."""
    spoiled, write = threading.Event(), Checkpointer.write_own

    def write_own(self, copy, state):
        if state.step == 6:
            spoiled.wait()
            time.sleep(0.2)
            raise SaveError(Problem(str(tmp_path), "", "the disk is full", "make room", "save"))
        return write(self, copy, state)

    def diverge(self):
        update(self)
        if self.state.step == 7:
            with torch.no_grad():
                self.model.lm_head.weight.fill_(math.nan)
            spoiled.set()
            signal.raise_signal(signal.SIGTERM)

    update = Trainer.update
    monkeypatch.setattr(Checkpointer, "write_own", write_own)
    monkeypatch.setattr(Trainer, "update", diverge)
    with pytest.raises(SaveError, match="the disk is full"):
        fit(new_model(text), text, tmp_path / "m", **RUN, max_iters=18)


def test_a_signal_between_the_last_save_and_the_last_line_cuts_that_off_from_no_log(
    text, tmp_path, monkeypatch
):
    report, seen = reports.training_complete, []

    def signalled(*args, **options):
        signal.raise_signal(signal.SIGTERM)
        seen.append(args)
        return report(*args, **options)

    monkeypatch.setattr(reports, "training_complete", signalled)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        fit(new_model(text), text, tmp_path / "m", **RUN, max_iters=6)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen


def test_a_loss_that_is_not_finite_ends_a_run_long_before_its_next_evaluation(text, tmp_path):
    options = {
        **RUN,
        "eval_interval": 1000,
        "learning_rate": 1e9,
        "grad_clip": 0,
        "warmup_iters": 0,
    }
    with pytest.raises(DivergedError) as raised:
        fit(new_model(text), text, tmp_path / "m", max_iters=1000, **options)
    assert re.search(r"at step \d{1,2}, and step 0 stays as it was saved", str(raised.value))


def test_weights_that_are_not_finite_from_the_start_are_not_trained(text):
    model = new_model(text)
    with torch.no_grad():
        model.lm_head.weight[0, 0] = math.inf
    said = "at step 0, before the first update; nothing was saved; look for the cause in the init"
    with pytest.raises(DivergedError, match=said):
        fit(model, text, max_iters=3, **RUN)
    state = fit(model, text, max_iters=3, **RUN, terminate_on_nan=False)
    assert state.step == 3


def test_a_loss_that_is_not_finite_ends_a_run_whose_weights_are(text, tmp_path):
    def train(**options):
        model = new_model(text)
        with torch.no_grad():
            model.lm_head.weight.mul_(1e38)
        fit(model, text, tmp_path / "m", max_iters=1, **RUN, **options)

    with pytest.raises(DivergedError, match=r"the validation and training loss is .* is off"):
        train()
    assert not read_manifest(tmp_path / "m")
    with pytest.raises(DivergedError, match="step 1, and step 0 stays as it was") as raised:
        train(terminate_on_nan=False)
    assert "terminate_on_nan" not in str(raised.value)
    assert finite_steps(tmp_path / "m") == {"m": 0}  # no gold, nor half precision


def test_a_further_set_without_a_loss_ends_no_run(text, tmp_path, monkeypatch):
    model = new_model(text)
    other = mypt.GPTDataLoader(model.config, model.tokenizer, text=text, source="other")
    empty = other.eval_batch("val", 1, 0)
    empty = empty._replace(mask=torch.zeros(empty.y.shape))
    monkeypatch.setattr(other, "eval_batch", lambda *_: empty)
    state = model.fit(
        loader_of(model, text), eval_data_loaders={"other": other}, quiet=True, max_iters=2, **RUN
    )
    assert state.step == 2


class StopError(Exception):
    """Ends a run from outside, as a kill between two steps does."""


def interrupt_after(step, model, text, folder, **options):
    loader = loader_of(model, text)
    draw = loader.train_batch

    def train_batch(seed, now, micro_step, **options):
        if now == step and micro_step == 0:
            raise StopError
        return draw(seed, now, micro_step, **options)

    loader.train_batch = train_batch
    with pytest.raises(StopError):
        model.fit(
            loader,
            checkpoint_dir=folder,
            log_file=str(folder.parent / f"{folder.name}.jsonl"),
            quiet=True,
            **options,
        )


def eval_lines(path):
    events = [json.loads(line) for line in path.read_text().splitlines()]
    return [(e["iter"], e["train_loss"], e["val_loss"]) for e in events if e["event"] == "eval"]


def test_the_losses_are_those_of_a_plain_pytorch_loop(text):
    """The same architecture, data and schedule in 40 lines of plain PyTorch, over 20 steps."""
    training = TrainingConfig(
        max_iters=20, learning_rate=3e-3, warmup_iters=5, grad_accum_steps=2, seed=3
    )
    model = new_model(text, dropout=0.0, bias=True)
    reference = PlainGPT(model)
    loader = loader_of(model, text)
    plain = reference.train(loader, training)

    ours = []
    model.fit(
        Recording(loader, model, ours),
        max_iters=20,
        learning_rate=3e-3,
        warmup_iters=5,
        grad_accum_steps=2,
        seed=3,
        eval_interval=1000,
        eval_iters=1,
        quiet=True,
    )
    np.testing.assert_allclose(ours, plain, atol=2e-5)
    assert plain[-1] < plain[0] - 0.5


class Recording:
    """A loader that measures the loss of each micro batch as the trainer draws it."""

    def __init__(self, loader, model, losses):
        self._loader, self._model, self._losses = loader, model, losses

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def train_batch(self, seed, step, micro_step, **options):
        batch = self._loader.train_batch(seed, step, micro_step, **options)
        with torch.no_grad():
            self._losses.append(float(self._model.loss(batch.x, batch.y)))
        return batch


class PlainGPT:
    """An independent GPT in functional PyTorch: full logits, manual masking, plain AdamW."""

    def __init__(self, model):
        self.config = model.config
        self.p = {k: v.detach().clone().requires_grad_() for k, v in model.named_parameters()}

    def logits(self, idx):
        p, c = self.p, self.config
        batch, length = idx.shape
        x = p["token_embedding_table.weight"][idx]
        x = x + p["position_embedding_table.weight"][:length]
        for i in range(c.n_layer):
            b = f"blocks.{i}."
            h = self.norm(x, b + "ln1")
            qkv = h @ p[b + "sa.qkv.weight"].T + p[b + "sa.qkv.bias"]
            q, k, v = (
                part.reshape(batch, length, c.n_head, -1).transpose(1, 2)
                for part in qkv.chunk(3, dim=-1)
            )
            scores = q @ k.transpose(-1, -2) / math.sqrt(c.n_embd // c.n_head)
            future = torch.ones(length, length).triu(1).bool()
            mixed = scores.masked_fill(future, -math.inf).softmax(-1) @ v
            mixed = mixed.transpose(1, 2).reshape(batch, length, -1)
            x = x + mixed @ p[b + "sa.proj.weight"].T + p[b + "sa.proj.bias"]
            h = self.norm(x, b + "ln2")
            h = h @ p[b + "fwd.net.0.weight"].T + p[b + "fwd.net.0.bias"]
            h = h * 0.5 * (1 + torch.erf(h / math.sqrt(2)))
            x = x + h @ p[b + "fwd.net.2.weight"].T + p[b + "fwd.net.2.bias"]
        return self.norm(x, "ln_f") @ p["lm_head.weight"].T

    def norm(self, x, name):
        mean, var = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        scaled = (x - mean) / torch.sqrt(var + 1e-5)
        return scaled * self.p[name + ".weight"] + self.p[name + ".bias"]

    def train(self, loader, training):
        decay = [
            v for k, v in self.p.items() if v.dim() > 1 and "embedding" not in k and "ln" not in k
        ]
        rest = [v for v in self.p.values() if not any(v is d for d in decay)]
        groups = [
            {"params": decay, "weight_decay": training.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.95), foreach=False)
        losses = []
        for step in range(training.max_iters):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, training)
            optimizer.zero_grad()
            for micro_step in range(training.grad_accum_steps):
                x, y, _, _ = loader.train_batch(training.seed, step, micro_step)
                logits = self.logits(x)
                loss = -logits.log_softmax(-1).gather(-1, y[..., None]).mean()
                losses.append(float(loss.detach()))
                (loss / training.grad_accum_steps).backward()
            torch.nn.utils.clip_grad_norm_(self.p.values(), training.grad_clip)
            optimizer.step()
        return losses


def test_dropout_differs_between_micro_steps_and_is_a_function_of_the_step():
    seeds = {torch_seed(1, Purpose.DROPOUT, step, micro) for step in range(50) for micro in (0, 1)}
    assert len(seeds) == 100
    assert torch_seed(1, Purpose.DROPOUT, 3, 1) == torch_seed(1, Purpose.DROPOUT, 3, 1)


def test_training_leaves_the_callers_randomness_alone(text):
    model = new_model(text, dropout=0.2)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(model, text, max_iters=3, **RUN)
    assert torch.equal(torch.rand(3), expected)


def test_gold_is_the_best_model_and_whole(text, tmp_path):
    folder = tmp_path / "m"
    state = fit(new_model(text), text, folder, max_iters=30, **RUN)
    gold = read_bundle(tmp_path / "m_gold")
    assert gold.training_state.step == state.gold.best_step
    assert gold.optimizer() is not None
    assert gold.training_state.gold.best_val_loss == state.gold.best_val_loss


def test_the_fp16_copy_is_half_the_size_and_generates(text, tmp_path):
    folder = tmp_path / "m"
    fit(new_model(text), text, folder, max_iters=6, **RUN)
    small = tmp_path / "m_fp16"
    assert not (small / "optimizer.pt").exists()
    assert {t.dtype for t in read_bundle(small).weights().values()} == {torch.float16}
    assert mypt.load(small).generate("the", 5).startswith("the")


def events_of(path, kind):
    events = [json.loads(line) for line in path.read_text().splitlines()]
    return [event for event in events if event["event"] == kind]


def test_a_run_that_memorises_triggers_the_overfit_guard(tmp_path):
    """One letter to learn by heart, and a validation split that has another one now and then."""
    text = "a" * 18000 + ("a" * 499 + "b") * 4
    run = {**RUN, "eval_interval": 4, "eval_iters": 40, "gold_guards": {"trend": False}}
    fit(new_model(text, dropout=0.0), text, tmp_path / "m", max_iters=100, **run)
    blocked = events_of(tmp_path / "m.jsonl", "gold_blocked")
    assert blocked
    assert all(event["reason"].startswith("overfit: val/train=") for event in blocked)
    assert all(event["val_loss"] < event["best_val_loss"] for event in blocked)


def test_a_run_whose_loss_rises_and_dips_triggers_the_trend_guard(train, logged, in_tmp):
    """Another text first teaches the model to expect no letter of the one it is measured on."""
    (in_tmp / "other.txt").write_text("ZQX" * 400)
    phases = [
        {"name": "other", "until_iter": 60, "input_file": "other.txt"},
        {"name": "own", "input_file": "input.txt"},
    ]
    run = {"max_iters": 90, "eval_interval": 30, "eval_iters": 20, "learning_rate": 7e-3}
    train(curriculum=phases, **run, dropout=0.0, gold_guards={"overfit": False})
    losses = [event["val_loss"] for event in logged("cat", "eval")]
    assert losses[0] < losses[1] < losses[2] > losses[0] > losses[3]
    assert [(e["iter"], e["reason"]) for e in logged("cat", "gold_blocked")] == [
        (90, "trend: 2 consecutive val rises")
    ]


def test_a_set_that_gets_worse_triggers_the_regression_guard(text, tmp_path):
    model = new_model(text + "ZQX" * 3, dropout=0.0)
    other = mypt.GPTDataLoader(model.config, model.tokenizer, text="ZQX" * 400, source="other")
    model.fit(
        loader_of(model, text),
        checkpoint_dir=tmp_path / "m",
        log_file=str(tmp_path / "m.jsonl"),
        eval_data_loaders={"other": other},
        quiet=True,
        max_iters=60,
        **RUN,
    )
    blocked = events_of(tmp_path / "m.jsonl", "gold_blocked")
    assert any(event["reason"].startswith("eval regression: other") for event in blocked)


def test_an_unknown_option_of_fit_is_refused(text):
    model = new_model(text)
    with pytest.raises(ConfigError, match=r"max_itters.*did you mean `max_iters`"):
        model.fit(loader_of(model, text), max_itters=3, quiet=True)


def test_the_moments_follow_their_tensors_when_weight_decay_applies_to_others(text, tmp_path):
    folder = tmp_path / "model"
    fit(new_model(text), text, folder, max_iters=6, **RUN)
    opened = open_checkpoint(folder, PLUGINS)
    training = opened.training_state.training_config
    plain = resume(opened, training, PLUGINS, torch.device("cpu"))
    for rule in ("matrices", "all"):
        changed = evolve(training, weight_decay_on=rule)
        model, optimizer, _ = resume(opened, changed, PLUGINS, torch.device("cpu"))
        pairs = zip(plain[0].parameters(), model.parameters(), strict=True)
        for before, after in pairs:
            moments = plain[1].state[before]["exp_avg"]
            assert torch.equal(moments, optimizer.state[after]["exp_avg"])


def read_events(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_that_saves_nothing_has_no_gold_checkpoint(heard_fit):
    state, heard = heard_fit(max_iters=6)
    kinds = [event["event"] for event in heard]
    assert state.gold.best_step == 6
    assert "eval" in kinds
    assert "gold_checkpoint" not in kinds


def test_a_run_that_compiles_says_that_this_takes_its_time(heard_fit, monkeypatch):
    monkeypatch.setattr(run, "set_up_model", lambda *_: nullcontext())
    _, heard = heard_fit(max_iters=1, compile=True)
    (notice,) = [e["message"] for e in heard if "Compiling" in e.get("message", "")]
    assert notice == "Compiling the layers: the first batches take longer, a minute or more"
