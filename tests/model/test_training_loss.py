"""What `loss` and `loss_options` do in a run: the updates follow them, evaluation does not."""

import pytest
import torch
import torch.nn.functional as F
from attrs import evolve

import mypt
from mypt.data.batches.batch import Batch
from mypt.engine.optimizers.build import make_optimizer
from mypt.engine.training.update import Updater
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError, PluginError
from mypt.model.training_loss import build_loss
from mypt.plugins import LinearHead, PartFactory, hookimpl, linear_head, output_loss
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins
from tests.support import loss_plugin
from tests.support.loss_plugin import WRONG

SHAPE = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 2, "batch_size": 2}
RUN = {"eval_interval": 2, "eval_iters": 1, "learning_rate": 0.01, "quiet": True}
TRAINING = TrainingConfig(max_iters=10, learning_rate=0.01, grad_clip=0.0)
LOSSES = {
    "smoothed": {"loss_options": {"label_smoothing": 0.1}},
    "z-loss": {"loss_options": {"z_loss": 0.01}},
    "both": {"loss_options": {"z_loss": 0.01, "label_smoothing": 0.2}},
    "focal": {"loss": "focal", "loss_options": {"gamma": 1.5}},
}


class OldHead(LinearHead):
    """A head of a plugin that was written before there were other losses."""

    def loss(self, x, targets, loss_mask):
        return output_loss(x, self.weight, self.bias, targets, loss_mask)


class Heads:
    @hookimpl
    def mypt_parts(self):
        return [PartFactory("head_type", "old", OldHead, linear_head)]


@pytest.fixture
def plugins():
    found = load_plugins()
    found.register(loss_plugin, PluginOrigin("acme", "acme-losses", "1.0"))
    found.register(Heads(), PluginOrigin("heads", "acme-heads", "1.0"))
    return found


@pytest.fixture
def new(plugins, text):
    tokenizer = plugins.tokenizer("char").train(text)

    def make(**fields):
        config = mypt.GPTConfig(**{**SHAPE, "vocab_size": tokenizer.vocab_size, **fields})
        return mypt.GPT(config, tokenizer, seed=1, plugins=plugins)

    return make


@pytest.fixture
def loader(new, text):
    model = new()
    return mypt.GPTDataLoader(model.config, model.tokenizer, text=text, source="text")


def batch(vocab_size):
    ids = torch.randint(vocab_size, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.rand(3, 8, generator=torch.Generator().manual_seed(1))
    return Batch(ids[:, :-1], ids[:, 1:], mask)


def expected_losses(logits, targets, loss_options, loss="cross_entropy"):
    if loss == "focal":
        return loss_plugin.build_focal(loss_options)(logits, targets)
    smoothing = loss_options.get("label_smoothing", 0.0)
    losses = F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
    return losses + loss_options.get("z_loss", 0.0) * logits.logsumexp(1) ** 2


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("vocab_size", [40, 1500])
@pytest.mark.parametrize("name", LOSSES)
def test_an_update_follows_the_gradient_of_the_loss(new, name, vocab_size, tied):
    training = evolve(TRAINING, **LOSSES[name], activation_checkpointing=name == "both")
    shape = {"vocab_size": vocab_size, "tie_weights": tied, "dropout": 0.0}
    shape |= {"logit_soft_cap": 5.0, "logit_scale": 0.7}
    given, model, other = batch(vocab_size), new(**shape).train(), new(**shape).train()
    model.activation_checkpointing = training.activation_checkpointing
    logits = other(given.x).flatten(0, 1)
    mask = given.mask.flatten()
    losses = expected_losses(logits, given.y.flatten(), **LOSSES[name])
    expected = losses @ mask / mask.sum()
    expected.backward()
    optimizer, found = make_optimizer(model, training), {}
    optimizer.register_step_pre_hook(
        lambda *_: found.update({n: p.grad.clone() for n, p in model.named_parameters()})
    )
    updater = Updater(model, optimizer, training, token_loss=build_loss(model, training))
    made = updater.update([given], 0)
    torch.testing.assert_close(made.loss, expected.detach())
    for key, parameter in other.named_parameters():
        torch.testing.assert_close(found[key], parameter.grad, rtol=1e-4, atol=1e-6)


def test_plain_cross_entropy_is_what_it_was(new):
    for options in ({}, {"z_loss": 0}, {"z_loss": 0, "label_smoothing": 0.0}):
        assert build_loss(new(), evolve(TRAINING, loss_options=options)) is None


@pytest.mark.parametrize("name", LOSSES)
def test_training_follows_it_and_evaluation_is_cross_entropy(new, loader, name):
    plain, other = new(), new()
    evaluations = []
    for model, fields in ((plain, {}), (other, LOSSES[name])):
        kept = []
        model.fit(loader, max_iters=4, after_evaluation=kept.append, **fields, **RUN)
        evaluations.append(kept)
    first = [kept[0].val_loss for kept in evaluations]
    assert first[0] == first[1]  # before the first update
    weights = [dict(model.named_parameters()) for model in (plain, other)]
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    x, y, _, _ = loader.eval_batch("val", 1337, 0)
    with torch.no_grad():
        measured = F.cross_entropy(other(x).flatten(0, 1), y.flatten())
    assert evaluations[1][-1].val_loss == pytest.approx(float(measured), abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_resume_is_exact_and_another_loss_is_not(new, loader, in_tmp, plugins, name):
    new().fit(loader, max_iters=6, warmup_iters=50, **LOSSES[name], **RUN, checkpoint_dir="whole")
    new().fit(loader, max_iters=3, warmup_iters=50, **LOSSES[name], **RUN, checkpoint_dir="m")
    model = mypt.GPT.load(in_tmp / "m", plugins=plugins)
    state = model.fit(loader, max_iters=6, **RUN, checkpoint_dir="m")
    assert state.inexact_reasons == ()
    whole = mypt.GPT.load(in_tmp / "whole", plugins=plugins)
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[key])
    changed = {"loss_options": {"z_loss": 0.5}, "loss": "cross_entropy"}
    state = model.fit(loader, max_iters=7, **changed, **RUN, checkpoint_dir="m")
    assert any("loss_options changed from" in reason for reason in state.inexact_reasons)
    assert any("loss changed from" in r for r in state.inexact_reasons) == (name == "focal")


@pytest.mark.parametrize("name", WRONG)
def test_a_loss_that_does_wrong_is_named(new, loader, name):
    with pytest.raises(PluginError, match=WRONG[name][1]) as refused:
        new().fit(loader, max_iters=2, loss=name, **RUN)
    said = str(refused.value)
    assert f"plugin acme of acme-losses 1.0: failed in `loss` of its loss `{name}`" in said


def test_a_head_that_knows_no_other_loss_trains_on_cross_entropy_alone(new, loader, in_tmp):
    new(head_type="old").fit(loader, max_iters=2, **RUN)
    for given in LOSSES.values():
        with pytest.raises(ConfigError, match=r"loss: is .*head_type `old`"):
            new(head_type="old").fit(loader, max_iters=2, checkpoint_dir="m", **given, **RUN)
    assert not (in_tmp / "m").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"loss": "focal", "loss_options": {"gama": 2}}, "gama"),
        ({"loss": "focal", "loss_options": {"gamma": -2}}, "loss_options/gamma"),
        ({"loss": "hinge"}, "no plugin offers the loss `hinge`"),
        ({"loss_options": {"label_smoothing": 1.5}}, "loss_options/label_smoothing"),
        ({"loss_options": {"smoothing": 0.1}}, "smoothing"),
        ({"loss_options": {"z_loss": "much"}}, "loss_options/z_loss"),
    ],
)
def test_wrong_names_and_options_are_refused_before_the_first_update(new, loader, given, message):
    with pytest.raises((ConfigError, PluginError), match=message):
        new().fit(loader, max_iters=2, **given, **RUN)


def test_a_plugin_may_leave_the_gradient_to_mypt(new, loader, plugins):
    ours, theirs = new(), new()
    ours.fit(loader, max_iters=3, loss_options={"label_smoothing": 0.3}, **RUN)
    theirs.fit(loader, max_iters=3, loss="smoothed", **RUN)
    for key, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[key])
