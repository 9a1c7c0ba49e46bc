"""Freezing, activation checkpointing and compiling: what changes, and what must not."""

import contextlib

import pytest
import torch

import mypt
from mypt.engine.training.setup.model_setup import repeatable, set_up_model
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError

# torch warns of its own doing while it compiles
TORCH = pytest.mark.filterwarnings("ignore")
FIRST = "blocks.0."
EMBEDDINGS = ("token_embedding_table.weight", "position_embedding_table.weight")


@pytest.fixture
def started(train, saved):
    """Train a model without freezing; gives its weights after two steps, copied."""
    train(max_iters=2)
    return {name: tensor.clone() for name, tensor in saved().items()}


def changed(before, after):
    return {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize(
    ("frozen", "stay"),
    [
        ({"freeze_layers": 1}, lambda name: name.startswith(FIRST)),
        ({"freeze_layers": 2}, lambda name: name.startswith("blocks.")),
        ({"freeze_embeddings": True}, lambda name: name in EMBEDDINGS),
        (
            {"freeze_layers": 1, "freeze_embeddings": True},
            lambda name: name in EMBEDDINGS or name.startswith(FIRST),
        ),
    ],
)
def test_what_is_frozen_stays_to_the_bit_and_the_rest_learns(train, started, saved, frozen, stay):
    train(max_iters=4, **frozen)
    assert changed(started, saved()) == {name for name in started if not stay(name)}


def test_frozen_weights_do_not_decay(train, started, saved):
    train(max_iters=4, freeze_layers=2, weight_decay=0.9)
    assert not any(name.startswith("blocks.") for name in changed(started, saved()))


def test_a_tied_head_is_frozen_with_the_embeddings(train, saved):
    tied = {"tie_weights": True, "head_bias": False}
    train(max_iters=2, **tied)
    before = {name: tensor.clone() for name, tensor in saved().items()}
    train(max_iters=4, freeze_embeddings=True)
    assert "lm_head.weight" not in changed(before, saved())


def test_a_stopped_run_with_frozen_layers_goes_on_exactly(train, stop_at, digests):
    frozen = {"freeze_layers": 1, "freeze_embeddings": True}
    train("whole", **frozen)
    stop_at(4)
    assert train(**frozen).step == 4
    stop_at(None)
    assert train(**frozen).exact
    assert digests() == digests("whole")


def test_what_was_frozen_can_learn_later(train, saved):
    train(max_iters=2, freeze_layers=2, freeze_embeddings=True)
    before = {name: tensor.clone() for name, tensor in saved().items()}
    state = train(max_iters=4, freeze_layers=0, freeze_embeddings=False)
    assert changed(before, saved()) == set(before)
    assert any("freeze_layers changed from 2 to 0" in reason for reason in state.inexact_reasons)


def test_more_frozen_layers_than_there_are_is_refused(train, in_tmp):
    with pytest.raises(ConfigError, match="freeze_layers: is 3, but the model has 2 layers"):
        train(freeze_layers=3)
    assert not list((in_tmp / "checkpoints").glob("*"))


def new_model(**fields):
    shape = {"block_size": 32, "n_embd": 32, "n_head": 2, "n_layer": 4, "vocab_size": 40}
    return mypt.GPT(mypt.GPTConfig(**{**shape, "dropout": 0.3, **fields})).train()


def loss_and_gradients(model, training):
    ids = torch.arange(2 * 33).reshape(2, 33) % 40
    with set_up_model(model, training):
        torch.manual_seed(3)
        loss = model.loss(ids[:, :-1], ids[:, 1:])
        loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters()}


def test_checkpointed_activations_give_the_same_bits_with_dropout():
    plain = loss_and_gradients(new_model(), TrainingConfig())
    ours = loss_and_gradients(new_model(), TrainingConfig(activation_checkpointing=True))
    assert torch.equal(ours[0], plain[0])
    assert all(torch.equal(ours[1][name], gradient) for name, gradient in plain[1].items())


def kept_bytes(training):
    """Count what the forward pass keeps for the backward pass, each storage once."""
    model, kept = new_model(), {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.arange(2 * 33).reshape(2, 33) % 40
    with set_up_model(model, training), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        model.loss(ids[:, :-1], ids[:, 1:])
    return sum(kept.values())


def test_checkpointed_activations_take_a_fraction_of_the_memory():
    assert kept_bytes(TrainingConfig(activation_checkpointing=True)) < 0.3 * kept_bytes(
        TrainingConfig()
    )


def test_a_run_with_checkpointed_activations_ends_in_the_same_bytes(train, digests):
    train("plain", max_iters=4)
    train(max_iters=4, activation_checkpointing=True)
    assert digests() == digests("plain")


@TORCH
def test_a_model_is_afterwards_as_it_was_also_when_the_run_failed():
    model = new_model()
    training = TrainingConfig(
        freeze_layers=2, freeze_embeddings=True, activation_checkpointing=True, compile=True
    )
    model.blocks[3].ln1.weight.requires_grad_(False)
    with contextlib.suppress(RuntimeError), set_up_model(model, training):
        assert not model.blocks[0].ln1.weight.requires_grad
        raise RuntimeError
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert frozen == ["blocks.3.ln1.weight"]
    assert not model.activation_checkpointing
    assert all(block._compiled_call_impl is None for block in model.blocks)


@TORCH
@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_compiled_run_learns_alike_keeps_its_names_and_resumes_exactly(
    train, stop_at, saved, digests, logged, checkpointing
):
    fields = {"compile": True, "activation_checkpointing": checkpointing, "max_iters": 6}
    train("plain", max_iters=6, dropout=0.0)
    train("same", **fields, dropout=0.0)
    assert list(saved("same")) == list(saved("plain"))
    for ours, theirs in zip(logged("same", "eval"), logged("plain", "eval"), strict=True):
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], abs=1e-4)
    train("whole", **fields)
    stop_at(3)
    train(**fields)
    stop_at(None)
    assert train(**fields).exact
    assert digests() == digests("whole")


@pytest.mark.parametrize("before", [(False, False), (True, True), (True, False)])
def test_a_gpu_is_asked_to_be_repeatable_and_torch_left_as_it_was(before):
    enabled, warn_only = before
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    try:
        with repeatable():
            assert torch.are_deterministic_algorithms_enabled()
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
            assert not torch.utils.deterministic.fill_uninitialized_memory
        assert torch.are_deterministic_algorithms_enabled() == enabled
        assert torch.is_deterministic_algorithms_warn_only_enabled() == warn_only
        assert torch.utils.deterministic.fill_uninitialized_memory
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("compile_it", [False, True])
def test_long_windows_on_a_gpu_resume_exactly(train, stop_at, digests, compile_it):
    """Attention over several blocks of keys adds up by atomics unless it is told otherwise."""
    fields = {"device": "cuda", "compile": compile_it, "block_size": 600, "n_embd": 128}
    train("whole", **fields)
    stop_at(4)
    train(**fields)
    stop_at(None)
    assert train(**fields).exact
    assert digests() == digests("whole")
