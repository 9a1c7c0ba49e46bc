"""The mean of the weights: what it is of, where it is kept, measured and saved."""

import json

import pytest
import torch

import mypt
from mypt.engine.averaging.weight_mean import WeightMean, decay_at, find_means
from mypt.format.bundle.read import read_bundle
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError
from mypt.format.layout import EMBEDDING, HEAD
from mypt.format.tensors.info import DeferredTensor
from mypt.format.tensors.values import FetchedValues

SHAPE = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 2, "batch_size": 2}
RUN = {"eval_interval": 5, "eval_iters": 2, "learning_rate": 0.01, "warmup_iters": 50}
DECAY = 0.7


@pytest.fixture
def new(plugins, text):
    tokenizer = plugins.tokenizer("char").train(text)

    def build(**fields):
        config = mypt.GPTConfig(**SHAPE, dropout=0.2, vocab_size=tokenizer.vocab_size, **fields)
        return mypt.GPT(config, tokenizer, plugins=plugins)

    return build


@pytest.fixture
def loader(new, text):
    model = new()
    return mypt.GPTDataLoader(model.config, model.tokenizer, text=text, source="text")


def fit(model, loader, folder=None, **options):
    return model.fit(loader, checkpoint_dir=folder, quiet=True, **{**RUN, **options})


def weights_after_each_update(model, loader, **options):
    """Return the weights before the first update and after each."""
    found = [{name: p.detach().clone() for name, p in model.named_parameters()}]

    def note(event):
        found.append({name: p.detach().clone() for name, p in event.model.named_parameters()})

    fit(model, loader, after_step=note, **options)
    return found


def mean_by_hand(found, decay):
    """Return the mean in float64; of n updates the last has min(decay, (1 + n) / (10 + n))."""
    mean = {name: value.double() for name, value in found[0].items()}
    for step, weights in enumerate(found[1:], 1):
        kept = min(decay, (1 + step) / (10 + step))
        mean = {n: kept * value + (1 - kept) * weights[n].double() for n, value in mean.items()}
    return mean


@pytest.mark.parametrize("fields", [{}, {"tie_weights": True}], ids=["apart", "tied"])
def test_the_copy_is_the_mean_of_the_weights_of_all_updates(fields, new, loader, in_tmp):
    found = weights_after_each_update(new(**fields), loader, max_iters=10)
    model = new(**fields)
    fit(model, loader, in_tmp / "m", max_iters=10, ema=DECAY)
    copy = read_bundle(in_tmp / "m_ema")
    weights = copy.weights()
    for name, value in mean_by_hand(found, DECAY).items():
        torch.testing.assert_close(weights[name].double(), value, rtol=1e-5, atol=1e-6)
    if fields:
        assert torch.equal(weights[HEAD], weights[EMBEDDING])
    own = read_bundle(in_tmp / "m").weights()
    assert all(torch.equal(own[name], value) for name, value in found[-1].items())
    state = copy.training_state
    assert (state.copy_of, state.mean_decay, state.optimizer_file) == ("m", DECAY, None)
    assert read_bundle(in_tmp / "m").training_state.mean_decay is None


def test_its_loss_is_that_of_the_saved_copy_and_no_other_loss_changes(new, loader, in_tmp):
    def losses(**options):
        told = []
        model = new()
        fit(model, loader, after_evaluation=told.append, max_iters=10, **options)
        return [(event.train_loss, event.val_loss, dict(event.eval_losses)) for event in told]

    plain, averaged = losses(), losses(folder=in_tmp / "m", ema=DECAY)
    assert [one[:2] for one in plain] == [one[:2] for one in averaged]
    assert averaged[0][2]["ema"] == averaged[0][1]  # before the first update
    assert averaged[-1][2]["ema"] != averaged[-1][1]
    other = []
    mean = mypt.load(in_tmp / "m_ema")
    mean.fit(
        loader,
        max_iters=20,
        quiet=True,
        start_step=0,
        after_evaluation=lambda e: (other.append(e.val_loss), e.stop()),
        **RUN,
    )
    assert other[0] == averaged[-1][2]["ema"]


def test_frozen_parameters_have_none_and_are_what_they_are(new, loader, in_tmp):
    model = new()
    fit(model, loader, in_tmp / "m", max_iters=5, ema=DECAY, freeze_layers=1)
    bundle = read_bundle(in_tmp / "m")
    own, mean = bundle.weights(), read_bundle(in_tmp / "m_ema").weights()
    kept = bundle.optimizer()["state"]
    frozen = {name for name in own if name.startswith("blocks.0.")}
    assert frozen
    assert not any("ema" in kept.get(name, {}) for name in frozen)
    assert all(torch.equal(own[name], mean[name]) for name in frozen)
    trained = {name for name in own if name.startswith("blocks.1.")}
    assert all(kept[name]["ema"].dtype == torch.float32 for name in trained)
    assert not torch.equal(own["blocks.1.sa.qkv.weight"], mean["blocks.1.sa.qkv.weight"])


def test_it_goes_on_bit_for_bit_from_memory_and_from_a_folder(new, loader, in_tmp):
    whole = new()
    fit(whole, loader, in_tmp / "whole", max_iters=10, ema=DECAY)
    model = new()
    fit(model, loader, in_tmp / "parts", max_iters=4, ema=DECAY)
    fit(model, loader, in_tmp / "parts", max_iters=7)
    again = mypt.load(in_tmp / "parts")
    fit(again, loader, in_tmp / "parts", max_iters=10)
    for name in ("whole", "whole_ema"):
        expected = read_bundle(in_tmp / name).weights()
        found = read_bundle(in_tmp / name.replace("whole", "parts")).weights()
        assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_switched_on_it_begins_there_and_switched_off_it_is_dropped(train, in_tmp):
    def notices():
        lines = (in_tmp / "logs" / "train" / "cat_eval.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        return [event["message"] for event in events if event["event"] == "notice"]

    train(max_iters=4)
    begun = read_bundle(in_tmp / "checkpoints" / "cat").weights()
    train(max_iters=5, ema=DECAY)
    assert (
        f"The mean of the weights begins at step 4, with the weights as they are (ema {DECAY})"
        in (notices())
    )
    one, mean = (
        read_bundle(in_tmp / "checkpoints" / name).weights() for name in ("cat", "cat_ema")
    )
    kept = decay_at(5, DECAY)
    for name, value in mean.items():
        torch.testing.assert_close(value, kept * begun[name] + (1 - kept) * one[name])
    train(max_iters=6, ema=0.9)
    assert "The mean of the weights goes on with ema 0.9 instead of 0.7" in notices()
    state = train(max_iters=7, ema=0.0)
    assert "The mean of the weights (ema) is dropped" in notices()
    assert not any("ema" in reason for reason in state.inexact_reasons)
    kept = read_bundle(in_tmp / "checkpoints" / "cat").optimizer()["state"]
    assert not any("ema" in entry for entry in kept.values())


@pytest.mark.parametrize(
    ("metric", "is_mean"), [({"ema": 1.0}, True), ({"ema": 1.0, "val": 1.0}, False), ({}, False)]
)
def test_gold_is_the_mean_where_its_loss_alone_decides(metric, is_mean, new, loader, in_tmp):
    fit(new(), loader, in_tmp / "m", max_iters=10, ema=DECAY, gold_metric=metric)
    gold = read_bundle(in_tmp / "m_gold")
    assert gold.training_state.step == 10
    like = read_bundle(in_tmp / ("m_ema" if is_mean else "m")).weights()
    assert all(torch.equal(gold.weights()[name], value) for name, value in like.items())
    assert gold.training_state.mean_decay == (DECAY if is_mean else None)
    assert (gold.optimizer() is None) == is_mean


def test_a_set_of_the_users_cannot_have_its_name_and_a_metric_needs_it(new, loader):
    with pytest.raises(ConfigError, match=r"`ema` is the name of the mean of the weights"):
        fit(new(), loader, max_iters=1, eval_data_loaders={"ema": loader})
    with pytest.raises(ConfigError, match=r"not measured.*--ema"):
        fit(new(), loader, max_iters=1, gold_metric={"ema": 1.0})


@pytest.mark.parametrize(("step", "decay"), [(1, 2 / 11), (10, 11 / 20), (10**6, 0.999)])
def test_the_decay_is_warmed_up(step, decay):
    assert decay_at(step, 0.999) == pytest.approx(decay)
    assert decay_at(step, 0.1) == 0.1


def test_it_is_kept_in_float32_for_weights_of_half_precision():
    layer = torch.nn.Linear(3, 3, bias=False, dtype=torch.bfloat16)
    mean = WeightMean(layer, {layer.weight}, 0.5, {})
    before = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.add_(1)
    mean.update(100)
    after, value = layer.weight.detach().clone(), mean.values["weight"].clone()
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, (before.float() + after.float()) / 2)
    with mean.swapped():
        assert torch.equal(layer.weight, value.bfloat16())
    assert torch.equal(layer.weight, after)
    assert torch.equal(mean.values["weight"], value)


def test_a_training_config_refuses_a_decay_of_one():
    with pytest.raises(ConfigError, match="ema"):
        TrainingConfig(ema=1.0)


def test_the_log_has_its_loss(new, loader, in_tmp):
    fit(new(), loader, in_tmp / "m", max_iters=5, ema=DECAY)
    lines = (in_tmp / "logs" / "train" / "m_eval.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert all("eval_ema" in event for event in events if event["event"] == "eval")


def test_means_are_read_when_they_are_asked_for():
    read = []

    def fetch():
        read.append(1)
        return torch.ones(2)

    held = FetchedValues({"ema": DeferredTensor("float32", (2,), "ema", fetch)})
    means = find_means({"state": {"a": held, "b": {"step": 1.0}}})
    assert (list(means), len(means), "a" in means, "b" in means) == (["a"], 1, True, False)
    assert read == []
    assert torch.equal(means["a"], torch.ones(2))
    assert read == [1]
