"""A model whose stack, embedding and head are a plugin's: trained, frozen, saved and checked."""

import json
from types import SimpleNamespace

import pytest
import torch

import mypt
from mypt.format.validate import validate
from mypt.plugins import (
    LinearHead,
    PartFactory,
    TokenEmbedding,
    hookimpl,
    linear_head,
    token_embedding,
)
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins
from tests.testing.parts.test_alone import OwnStack, Stack, own_tensors, stack_tensors

SIZES = {"block_size": 16, "n_embd": 24, "n_head": 2, "n_layer": 3, "batch_size": 4, "dropout": 0.1}


class Embedding(TokenEmbedding):
    """mypt's own, under another name."""


class Head(LinearHead):
    """mypt's own, under another name."""


@hookimpl
def mypt_parts():
    return [
        PartFactory("stack_type", "blocks", build=Stack, tensors=stack_tensors),
        PartFactory("stack_type", "own", build=OwnStack, tensors=own_tensors),
        PartFactory("embedding_type", "mine", build=Embedding, tensors=token_embedding),
        PartFactory("head_type", "mine", build=Head, tensors=linear_head),
    ]


@pytest.fixture
def plugins():
    plugins = load_plugins()
    offered = SimpleNamespace(mypt_parts=mypt_parts)
    plugins.register(offered, PluginOrigin("stacks", "acme-stacks", "1.0"))
    return plugins


@pytest.fixture
def start(plugins, text):
    """Make a model and what feeds it."""

    def make(stack, **changed):
        tokenizer = plugins.tokenizer("char").train(text)
        ends = {"embedding_type": "mine", "head_type": "mine", "tie_weights": stack == "own"}
        config = mypt.GPTConfig(
            **SIZES, vocab_size=tokenizer.vocab_size, stack_type=stack, **ends, **changed
        )
        model = mypt.GPT(config, tokenizer, plugins=plugins)
        return model, mypt.GPTDataLoader(config, tokenizer, text=text)

    return make


def fit(model, loader, steps, **options):
    model.fit(
        loader,
        max_iters=steps,
        eval_interval=4,
        eval_iters=1,
        learning_rate=1e-2,
        warmup_iters=0,
        quiet=True,
        **options,
    )
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("stack", ["blocks", "own"])
def test_what_was_trained_is_valid_and_opens_as_it_was(start, plugins, in_tmp, stack):
    whole = fit(*start(stack), 8, checkpoint_dir=in_tmp / "whole")
    settings = {"layouts": plugins.layouts, "settings": plugins.settings}
    problems = validate(in_tmp / "whole", **settings)
    assert [p for p in problems if p.severity == "error"] == []
    loaded = mypt.load(in_tmp / "whole", plugins=plugins).eval()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, whole[name]), name
    texts = {loaded.generate("the", 30, seed=1, use_cache=use) for use in (True, False)}
    assert len(texts) == 1


@pytest.mark.parametrize("stack", ["blocks", "own"])
def test_its_first_layers_and_its_embedding_are_frozen(start, in_tmp, stack):
    model, loader = start(stack)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = fit(model, loader, 3, freeze_layers=2, freeze_embeddings=True)
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed
    for name in before:
        is_frozen = name.startswith(
            ("blocks.layers.0.", "blocks.layers.1.", "token_embedding", "position_embedding")
        ) or (stack == "own" and name == "lm_head.weight")
        assert (name not in changed) == is_frozen, name


def test_recomputed_activations_teach_the_same(start, in_tmp):
    plain = fit(*start("blocks"), 3)
    again = fit(*start("blocks"), 3, activation_checkpointing=True)
    for name, tensor in plain.items():
        torch.testing.assert_close(again[name], tensor)


def test_what_a_stack_does_not_look_at_is_required_by_nobody(start, plugins, in_tmp):
    model, _ = start("own", attention_type="of_nobody")
    model.save("checkpoints/odd")
    manifest = json.loads((in_tmp / "checkpoints" / "odd" / "manifest.json").read_text())
    assert [*manifest["plugins"]] == ["acme-stacks"]
    assert mypt.load("odd", plugins=plugins).config.attention_type == "of_nobody"
    settings = {"layouts": plugins.layouts, "settings": plugins.settings}
    found = validate(in_tmp / "checkpoints" / "odd", **settings)
    assert [problem for problem in found if problem.severity == "error"] == []


def test_an_error_in_a_layer_names_the_plugin(start):
    model, _ = start("own")
    model.blocks.layers[1].mix = None
    with pytest.raises(
        mypt.PluginError, match=r"acme-stacks 1\.0: failed in `forward` of its stack"
    ):
        model(torch.zeros(1, 3, dtype=torch.int64))
