"""An update out of several micro steps, beside one made of all their rows at once."""

import pytest
import torch
from attrs import evolve
from torch._subclasses.fake_tensor import FakeTensorMode

import mypt
from mypt.data.batches.batch import Batch
from mypt.engine.optimizers.build import make_optimizer
from mypt.engine.runtime.world import ALONE
from mypt.engine.training.update import Updater
from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.training import TrainingConfig, TrainingState
from mypt.format.errors import PluginError
from mypt.plugins import OptimizerFactory
from mypt.testing.registration import register_beside
from tests.support.rates import learning_rate_at

TRAINING = TrainingConfig(max_iters=10, learning_rate=0.01, grad_clip=0.0)
SHAPE = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 1, "vocab_size": 40}


def gradients_and_loss(batches, training=TRAINING, **fields):
    """Make one update; gives the gradients that it was made of, and its loss."""
    model = mypt.GPT(mypt.GPTConfig(**{**SHAPE, "dropout": 0.0, **fields})).train()
    optimizer = make_optimizer(model, training)
    kept = {}
    optimizer.register_step_pre_hook(
        lambda *_: kept.update({n: p.grad.clone() for n, p in model.named_parameters()})
    )
    loss = Updater(model, optimizer, training).update(batches, 0).loss
    return kept, loss.item(), model


def batch(seed, rows, kept=None):
    """Draw a batch; `kept` is the share of its tokens that are trained on."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(40, (rows, 9), generator=generator)
    mask = None if kept is None else (torch.rand(rows, 8, generator=generator) < kept).float()
    return Batch(ids[:, :-1], ids[:, 1:], mask)


def joined(*batches):
    masks = None if batches[0].mask is None else torch.cat([b.mask for b in batches])
    return Batch(torch.cat([b.x for b in batches]), torch.cat([b.y for b in batches]), masks)


@pytest.mark.parametrize("kept", [(None, None, None), (0.9, 0.1, 0.4), (1.0, 0.0, 0.5)])
def test_micro_steps_are_one_big_batch_whatever_they_are_trained_on(kept):
    parts = [batch(seed, 4, share) for seed, share in enumerate(kept)]
    ours, loss, _ = gradients_and_loss(parts)
    whole, expected, _ = gradients_and_loss([joined(*parts)])
    assert loss == pytest.approx(expected, rel=1e-5)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, whole[name], rtol=1e-4, atol=1e-7)


def test_weights_that_sum_to_less_than_one_token_give_the_mean_all_the_same():
    whole = batch(1, 4, kept=0.5)
    faint = Batch(whole.x, whole.y, whole.mask / 1000)
    ours, loss, _ = gradients_and_loss([faint])
    theirs, expected, _ = gradients_and_loss([whole])
    assert loss == pytest.approx(expected, rel=1e-5)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-4, atol=1e-7)


def test_clipping_bounds_the_norm_of_the_whole_gradient():
    free, _, _ = gradients_and_loss([batch(1, 4)])
    norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in free.values()]))
    clipped, _, _ = gradients_and_loss(
        [batch(1, 4)], TrainingConfig(max_iters=10, grad_clip=norm.item() / 4)
    )
    for name, gradient in clipped.items():
        torch.testing.assert_close(gradient, free[name] / 4, rtol=1e-4, atol=1e-8)


def test_the_learning_rate_is_that_of_the_step():
    training = TrainingConfig(max_iters=10, learning_rate=0.01, warmup_iters=4)
    model = mypt.GPT(mypt.GPTConfig(**SHAPE)).train()
    optimizer = make_optimizer(model, training)
    updater = Updater(model, optimizer, training)
    for step in (0, 3, 9):
        update = updater.update([batch(1, 2)], step)
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == [learning_rate_at(step, training)] * 2
        assert update.lr == rates[0]


def test_dropout_depends_on_the_step_and_on_nothing_before():
    parts = [batch(1, 4), batch(2, 4)]
    first, loss, _ = gradients_and_loss(parts, dropout=0.5)
    torch.manual_seed(99)
    torch.rand(7)
    again, same, _ = gradients_and_loss(parts, dropout=0.5)
    assert loss == same
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_an_update_reads_nothing_that_a_gpu_would_have_to_be_waited_for():
    with FakeTensorMode() as device:  # tensors without values: to read one is an error
        model = mypt.GPT(mypt.GPTConfig(**SHAPE)).train()
        optimizer = make_optimizer(model, TRAINING)
        training = evolve(TRAINING, grad_clip=1.0)
        updater = Updater(model, optimizer, training)
        batches = [Batch(torch.zeros(2, 8).long(), torch.zeros(2, 8).long()) for _ in range(2)]
        for step in range(2):
            loss = updater.update(batches, step).loss
    assert device.is_our_fake(loss)


def test_without_mixed_precision_there_is_no_scaler_to_save():
    model = mypt.GPT(mypt.GPTConfig(**SHAPE))
    assert Updater(model, make_optimizer(model, TRAINING), TRAINING).scaler_state is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("amp_dtype", ["bf16", "fp16"])
def test_mixed_precision_resumes_exactly_with_its_scaler(amp_dtype, train, stop_at, digests):
    fields = {"device": "cuda", "amp_dtype": amp_dtype}
    state = train("whole", **fields)
    assert (state.scaler is not None) == (amp_dtype == "fp16")
    stop_at(4)
    train(**fields)
    stop_at(None)
    assert train(**fields).exact
    assert digests() == digests("whole")


def test_a_scaler_survives_the_document():
    scaler = torch.amp.GradScaler("cpu")
    saved = {**scaler.state_dict(), "scale": 512.0, "_growth_tracker": 7}
    state = to_document(TrainingState(step=1, scaler=saved))
    scaler.load_state_dict(dict(from_document(TrainingState, state).scaler))
    assert scaler.state_dict() == saved


@pytest.mark.parametrize("is_saved", [False, True])
def test_buffers_are_sent_to_all_processes_only_where_they_are_saved(is_saved, group):
    model = mypt.GPT(mypt.GPTConfig(**SHAPE, pos_encoding="rope", dropout=0.0)).train()
    if is_saved:
        model.blocks.register_buffer("statistics", torch.zeros(3))
    world = evolve(ALONE, size=2)
    updater = Updater(model, make_optimizer(model, TRAINING), TRAINING, world=world)
    assert updater._parallel.broadcast_buffers is is_saved


@pytest.mark.parametrize("package", ["acme", None])
def test_what_an_optimizer_of_a_plugin_raises_names_it(package):
    class Failing(torch.optim.SGD):
        def step(self, closure=None):
            raise ValueError("no\nway")

    factory = OptimizerFactory("odd", lambda named, _: Failing(named.values(), lr=0.1))
    model = mypt.GPT(mypt.GPTConfig(**SHAPE), plugins=register_beside(factory, package)).train()
    training = evolve(TRAINING, optimizer="odd")
    updater = Updater(model, make_optimizer(model, training), training)
    kind, said = (
        (ValueError, "no")
        if package is None
        else (
            PluginError,
            "^the optimizer odd of the .*acme 0: failed: ValueError: no; update that plugin",
        )
    )
    with pytest.raises(kind, match=said):
        updater.update([batch(1, 4)], 0)
