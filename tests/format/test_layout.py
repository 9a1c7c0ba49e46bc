"""Which tensors a model has: layer by layer, and with stacks of every kind."""

from functools import partial

import pytest
from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.layout import (
    BUILT_IN,
    SLOTS,
    PartLayout,
    are_parts_known,
    expected_tensors,
    find_asked,
    lay_out,
    used_slots,
)

CONFIG = GPTConfig(block_size=4, vocab_size=5, n_embd=4, n_head=2, n_layer=3)


def with_part(slot, tensors, **changed):
    """Return a config that chooses a part of this layout, and the layouts that know it."""
    layouts = {**BUILT_IN, (slot, "mine"): PartLayout(tensors)}
    return evolve(CONFIG, **{slot: "mine"}, **changed), layouts


def names_of(config, layouts, place="blocks."):
    return [name for name in expected_tensors(config, layouts) if name.startswith(place)]


def own_layers(config, layer, norm):
    if layer is None:
        return {"gate": (config.n_embd,)}
    odd = {"values": (config.vocab_size,)} if layer % 2 else {}
    return odd | {f"norm.{name}": shape for name, shape in norm.items()}


def with_blocks(config, layer, block):
    return {"gate": ()} if layer is None else {"share": ()} | block


def wrapped(config, block):
    return {f"inner.{name}": shape for name, shape in block.items()}


def no_layers(config):
    return {"a": (1,), "b.weight": (2, 3)}


def test_a_part_that_asks_is_laid_out_by_layer():
    config, layouts = with_part("mlp_type", lambda config, layer: {"w": (layer,)})
    tensors = expected_tensors(config, layouts)
    assert [tensors[f"blocks.{layer}.fwd.w"] for layer in range(3)] == [(0,), (1,), (2,)]
    assert not lay_out(config, layouts).is_uniform


def test_layers_that_are_alike_are_laid_out_once():
    asked = []
    config, layouts = with_part("mlp_type", lambda config: asked.append(1) or {"w": (1,)})
    assert len(names_of(evolve(config, n_layer=1000), layouts)) == 1000 * 7
    assert asked == [1]


def test_a_norm_that_asks_is_outside_of_layers_too():
    config, layouts = with_part("norm_type", lambda config, layer: {"w": (layer,)})
    tensors = expected_tensors(config, layouts)
    assert tensors["ln_f.w"] == (None,)
    assert tensors["blocks.2.ln1.w"] == tensors["blocks.2.ln2.w"] == (2,)


def test_a_stack_has_layers_of_its_own():
    config, layouts = with_part("stack_type", own_layers)
    assert names_of(config, layouts) == [
        "blocks.gate",
        *("blocks.layers.0.norm.weight", "blocks.layers.0.norm.bias"),
        *("blocks.layers.1.values", "blocks.layers.1.norm.weight", "blocks.layers.1.norm.bias"),
        *("blocks.layers.2.norm.weight", "blocks.layers.2.norm.bias"),
    ]


def test_a_stack_is_made_of_blocks():
    blocks = [
        name.removeprefix("blocks.0.") for name in names_of(evolve(CONFIG, n_layer=1), BUILT_IN)
    ]
    config, layouts = with_part("stack_type", with_blocks, n_layer=2)
    layers = [f"blocks.layers.{n}.{name}" for n in range(2) for name in ("share", *blocks)]
    assert names_of(config, layouts) == ["blocks.gate", *layers]
    config, layouts = with_part("stack_type", wrapped, n_layer=1)
    assert names_of(config, layouts) == [f"blocks.layers.0.inner.{name}" for name in blocks]


def test_a_stack_has_no_layers_at_all():
    config, layouts = with_part("stack_type", no_layers)
    assert names_of(config, layouts) == ["blocks.a", "blocks.b.weight"]


def test_an_embedding_has_a_norm_of_the_config():
    config = evolve(CONFIG, embedding_norm=True, norm_type="rmsnorm")
    assert names_of(config, BUILT_IN, "token_embedding_table.") == [
        "token_embedding_table.weight",
        "token_embedding_table.norm.weight",
    ]


@pytest.mark.parametrize(
    ("tensors", "used"), [(with_blocks, True), (own_layers, False), (no_layers, False)]
)
def test_what_blocks_are_made_of_counts_only_where_there_are_blocks(tensors, used):
    config, layouts = with_part("stack_type", tensors, attention_type="of_nobody")
    assert ("attention_type" in used_slots(config, layouts)) == used
    assert are_parts_known(config, layouts) != used
    assert {*SLOTS} - {*used_slots(config, layouts)} <= {"attention_type", "mlp_type", "block_type"}


def test_of_a_stack_that_is_not_known_every_slot_counts():
    config = evolve(CONFIG, stack_type="of_nobody")
    assert [*used_slots(config, BUILT_IN)] == [*SLOTS]
    assert not are_parts_known(config, BUILT_IN)


class Built:
    def __init__(self, config, make_norm, *, layer):
        pass


def test_a_function_gets_what_it_names():
    assert find_asked(lambda config: None) == frozenset()
    assert find_asked(lambda config, width=3: None) == frozenset()
    assert find_asked(Built) == {"make_norm", "layer"}
    assert find_asked(partial(Built, make_norm=None)) == {"make_norm", "layer"}
    assert find_asked(dict) == frozenset()
