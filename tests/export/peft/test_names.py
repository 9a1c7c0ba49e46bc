import pytest

from mypt.export.peft.names import name_tensor, parse_tensor


@pytest.mark.parametrize("kind", ["lora_A", "lora_B"])
def test_a_name_is_read_as_it_is_written(kind):
    name = name_tensor("model.layers.0.self_attn.q_proj", kind)
    assert name == f"base_model.model.model.layers.0.self_attn.q_proj.{kind}.weight"
    assert parse_tensor(name) == ("model.layers.0.self_attn.q_proj", kind)


def test_names_in_memory_are_read_too_and_others_are_not():
    assert parse_tensor("h.0.c_attn.lora_A.default.weight") == ("h.0.c_attn", "lora_A")
    for other in ("h.0.c_attn.weight", "h.0.lora_embedding_A", "h.0.lora_A.bias"):
        assert parse_tensor(other) is None
