"""The learning-rate finder, through the command line, on real files."""

import hashlib
import math
from pathlib import Path

import pytest

from mypt.data.batches.loader import GPTDataLoader
from mypt.engine.training.lr_finder import RateSearch

SMALL = (
    *("--block_size", "8", "--n_embd", "16", "--n_head", "2", "--n_layer", "1"),
    *("--batch_size", "4", "--tokenization", "char", "--device", "cpu"),
)


def search_of(losses, first=1e-5):
    rates = tuple(first * 10 ** (place / 25) for place in range(len(losses)))
    return RateSearch(rates, tuple(losses), has_exploded=False)


def test_the_suggestion_is_where_the_loss_falls_steepest():
    losses = [4 - 1 / (1 + math.exp(-(place - 60) / 5)) for place in range(120)]
    search = search_of(losses)
    assert search.suggestion == search.rates[60]
    assert search.lowest == search.rates[119]


@pytest.mark.parametrize("losses", [[], [4.0], [4.0] * 50, [4.0 + n for n in range(50)]])
def test_nothing_is_suggested_where_no_loss_falls(losses):
    assert search_of(losses).suggestion is None


@pytest.fixture
def find(cli, in_tmp, text):
    (in_tmp / "input.txt").write_text(text)

    def call(*flags):
        return cli("train", "--model_name", "cat", "--find_lr", *flags)

    return call


def everything():
    files = (path for path in Path().rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in files}


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--loss_options", '{"z_loss": 1e-4}', "--warmup_iters", "5", "--lr_schedule", "wsd"),
        ("--optimizer", "muon", "--weight_decay_schedule", "linear", "--freeze_layers", "1"),
    ],
)
def test_rates_are_tried_and_nothing_is_kept(flags, find, in_tmp):
    code, out, _ = find("--input_file", "input.txt", *SMALL, *flags)
    assert code == 0
    lines = out.splitlines()
    rows = [line.split() for line in lines[lines.index("learning rate      loss") + 1 :]]
    rates = [float(row[0]) for row in rows[: [len(row) for row in rows].index(2) + 10]]
    assert rates[0] == 1e-7
    assert rates == sorted(rates)
    (said,) = [line for line in lines if line.startswith("Suggested: ")]
    assert 1e-5 < float(said.split()[2].rstrip(",")) < 1
    assert "the rule `steep` of fastai" in said
    assert {path.name for path in in_tmp.iterdir()} == {"input.txt"}


def test_a_finished_model_is_searched_from_as_it_is_and_stays(find, cli, in_tmp):
    short = ("--max_iters", 4, "--eval_iters", 1, "--eval_interval", 4)
    cli("train", "--model_name", "cat", "--input_file", "input.txt", *SMALL, *short)
    before = everything()
    code, out, _ = find("--find_lr_plot", "rates.html")
    assert code == 0
    assert "Resuming checkpoints/cat from step 4" in out
    assert "rates.html: written" in out
    assert "suggested" in Path("rates.html").read_text()
    Path("rates.html").unlink()
    assert everything() == before


def test_the_batches_are_those_that_the_run_would_begin_with(find, cli, in_tmp, monkeypatch):
    drawn = []
    real = GPTDataLoader.train_batch

    def note(self, seed, step, micro_step, *, first_window, rows):
        drawn.append((seed, step, micro_step, first_window))
        return real(self, seed, step, micro_step, first_window=first_window, rows=rows)

    monkeypatch.setattr(GPTDataLoader, "train_batch", note)
    often = ("--eval_iters", 1, "--eval_interval", 4)
    train = ("train", "--model_name", "cat")
    flags = ("--input_file", "input.txt", *SMALL, "--sampling", "epoch")
    cli(*train, *flags, *often, "--max_iters", 4)
    drawn.clear()
    again = ("--seed", 7, "--grad_accum_steps", 2)  # another order: the epoch begins anew
    assert find(*again)[0] == 0
    tried = drawn[:8]
    drawn.clear()
    assert cli(*train, *again, *often, "--max_iters", 8)[0] == 0
    assert tried == drawn
    assert [window for *_, window in tried] == [*range(0, 32, 4)]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--find_lr", "--find_lr_plot", "rates.txt"), "neither a page nor an image"),
        (("--find_lr", "--overwrite"), "--overwrite cannot be used with --find_lr"),
        (("--find_lr_plot", "rates.svg"), "--find_lr_plot needs --find_lr"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags, said, refused, in_tmp):
    assert said in refused("train", "--model_name", "cat", *flags, code=2)
    assert not any(in_tmp.iterdir())
