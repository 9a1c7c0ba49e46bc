"""Which tensors an adapter has, by those of the layers of its base."""

import pytest

import mypt
from mypt.format.adapters.places import list_targets
from mypt.format.documents.config_parts.adapter import Adapter
from mypt.format.layout import BUILT_IN, expected_tensors, lay_out

CONFIG = mypt.GPTConfig(n_layer=1, n_embd=8, n_head=4, n_kv_head=2, vocab_size=9)


def tensors(*targets, config=CONFIG):
    adapter = Adapter(rank=3, alpha=6, targets=targets, base="base", base_sha256="0" * 64)
    found = expected_tensors(config.with_adapter(adapter), BUILT_IN)
    return {name.removeprefix("blocks.0."): shape for name, shape in found.items()}


def test_a_matrix_has_one_of_its_columns_and_one_of_its_rows():
    assert tensors("qkv") == {"sa.qkv.lora_A": (3, 8), "sa.qkv.lora_B": (16, 3)}


def test_queries_keys_and_values_may_have_adapters_of_their_own():
    shapes = {"q": (8, 3), "v": (4, 3)}
    assert tensors("v", "q") == {
        name: shape
        for part, rows in shapes.items()
        for name, shape in {
            f"sa.qkv.{part}.lora_A": (3, 8),
            f"sa.qkv.{part}.lora_B": rows,
        }.items()
    }


def test_they_come_in_the_order_of_the_layer():
    assert [*tensors("net.2", "proj")] == [
        *("sa.proj.lora_A", "sa.proj.lora_B"),
        *("fwd.net.2.lora_A", "fwd.net.2.lora_B"),
    ]


@pytest.mark.parametrize("target", ["2", "net", "kv", "et.2"])
def test_a_target_is_whole_words_at_the_end(target):
    found = tensors(target)
    assert [*found] == (["fwd.net.2.lora_A", "fwd.net.2.lora_B"] if target == "2" else [])


def test_the_targets_of_a_layer_are_its_matrices():
    layer = lay_out(CONFIG, BUILT_IN).layer(0)
    assert [*list_targets(layer, CONFIG)] == ["qkv", "proj", "net.0", "net.2"]
    assert list_targets(layer, CONFIG)["qkv"] == ("q", "k", "v")
