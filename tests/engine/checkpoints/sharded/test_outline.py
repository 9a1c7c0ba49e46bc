"""Models that are split before they have values, here over one process."""

import pytest
import torch
from attrs import evolve

from mypt.engine.checkpoints.sharded.outline import is_split, outline_new, outline_saved
from mypt.engine.language_model import LanguageModel
from mypt.engine.runtime.fsdp import cut_part, full_tensor, shard, write_whole
from mypt.engine.runtime.world import World
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import FormatError
from mypt.format.open import open_checkpoint
from mypt.plugins.manager import load_plugins
from tests.support.bundles import save_random_bundle

CPU = torch.device("cpu")
CONFIG = GPTConfig(
    dropout=0.0,
    n_layer=2,
    n_embd=12,
    n_head=2,
    block_size=8,
    vocab_size=5,
    pos_encoding="rope",
    norm_type="rmsnorm",
    norm_offset=1.0,
    tie_weights=True,
    head_bias=False,
)


def tensors_of(model):
    """Return all that a model computes with, by name."""
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: full_tensor(tensor.detach()) for name, tensor in named.items()}


def assert_equal(model, other):
    ours, theirs = tensors_of(model), tensors_of(other)
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("tied", [False, True])
def test_a_new_model_has_the_weights_of_its_seed(group, tied):
    config, plugins = evolve(CONFIG, tie_weights=tied), load_plugins()
    outline = outline_new(config, None, 7, plugins)
    assert all(parameter.is_meta for parameter in outline.model.parameters())
    model = outline.split(World(), CPU, None)
    assert (model.lm_head.weight is model.token_embedding_table.weight) == tied
    assert_equal(model, LanguageModel(config, seed=7, plugins=plugins))


@pytest.mark.parametrize("autocast_to", [None, torch.bfloat16])
def test_it_trains_as_one_that_was_whole_before(group, autocast_to):
    plugins, ids = load_plugins(), torch.arange(16).reshape(2, 8) % 5
    outline = outline_new(CONFIG, None, 7, plugins)
    models = [
        outline.split(World(), CPU, autocast_to),
        shard(LanguageModel(CONFIG, seed=7, plugins=plugins), World(), CPU, autocast_to),
    ]
    for model in models:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast_to is not None):
            model.loss(ids, ids).backward()
        optimizer.step()
    assert_equal(*models)


def test_a_saved_model_has_the_weights_that_were_saved(group, tmp_path):
    save_random_bundle(tmp_path / "dante", CONFIG)
    plugins = load_plugins()
    opened = open_checkpoint(tmp_path / "dante", plugins)
    outline = outline_saved(opened, plugins, World())
    model = outline.split(World(), CPU, None)
    weights = opened.weights()
    assert all(
        torch.equal(full_tensor(tensor.detach()), weights[name])
        for name, tensor in model.named_parameters()
    )
    assert model.opened_from == tmp_path / "dante"


def test_a_saved_model_of_another_shape_is_refused_before_it_is_read(tmp_path):
    save_random_bundle(tmp_path / "dante", CONFIG)
    plugins = load_plugins()
    opened = open_checkpoint(tmp_path / "dante", plugins)
    with pytest.raises(FormatError, match="has the shape"):
        outline_saved(opened, plugins, World(), evolve(CONFIG, vocab_size=6))


def test_the_parts_of_all_processes_are_the_tensor_and_the_last_may_have_none():
    whole = torch.arange(10).reshape(5, 2)
    parts = [cut_part(whole, rank, 4) for rank in range(4)]
    assert [len(part) for part in parts] == [2, 2, 1, 0]
    assert torch.equal(torch.cat(parts), whole)


def test_a_tensor_that_is_not_split_has_no_part_to_be_written():
    with pytest.raises(TypeError):
        write_whole(torch.zeros(2), torch.ones(2))


def test_one_process_alone_splits_nothing():
    training = TrainingConfig(shard=True)
    assert not is_split(training, World())
    assert is_split(training, World(size=2))
    assert not is_split(TrainingConfig(), World(size=2))


def test_a_part_of_a_plugin_with_a_buffer_is_outlined_too(group):
    pytest.importorskip("mypt_alibi")
    config, plugins = evolve(CONFIG, pos_encoding="alibi"), load_plugins()
    outline = outline_new(config, None, 7, plugins)
    model = outline.split(World(), CPU, None)
    assert_equal(model, LanguageModel(config, seed=7, plugins=plugins))


def test_a_part_of_a_plugin_that_sets_values_of_its_own_is_made_whole():
    pytest.importorskip("mypt_nanochat")
    parts = dict.fromkeys(("embedding_type", "stack_type", "head_type"), "nanochat")
    bare = {
        "n_embd": 24,
        "norm_weight": False,
        "norm_offset": 0.0,
        "mlp_bias": False,
        "tie_weights": False,
    }
    bare |= {"qk_norm": "head", "embedding_norm": True, "logit_soft_cap": 15}
    assert outline_new(evolve(CONFIG, **parts, **bare), None, 7, load_plugins()) is None
