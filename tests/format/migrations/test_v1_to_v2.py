import pytest
import torch

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.errors import FormatError
from mypt.format.migrations.v1_to_v2 import V1_TO_V2

CONFIG = {"block_size": 4, "vocab_size": 3, "n_embd": 2, "n_head": 1, "n_layer": 1}
HEADS = "blocks.0.sa.heads.0."


def upgrade(config=CONFIG, tensors=(), **fields):
    made = {name: torch.zeros(2, 2) for name in tensors}
    return V1_TO_V2.apply(Checkpoint(version="1", config=config, tensors=made, **fields))


def test_masks_are_left_out_and_the_report_says_so():
    names = [f"{HEADS}{role}.weight" for role in ("key", "query", "value")]
    upgraded = upgrade(tensors=[f"{HEADS}tril", *names])
    assert list(upgraded.tensors) == ["blocks.0.sa.qkv.weight"]
    assert upgraded.config["mlp_type"] == "relu"  # as every model with one matrix per head
    assert len(upgraded.report) == 3  # the masks, the heads, the vocabulary


@pytest.mark.parametrize("bias", [False, True])
def test_a_bias_that_the_config_does_not_say_is_seen_in_the_tensors(bias):
    names = ["blocks.0.sa.qkv.weight", "blocks.0.sa.proj.bias"]
    upgraded = upgrade({**CONFIG, "bias": bias}, names)
    wanted = {"qkv_bias": False} if bias else {"proj_bias": True}
    assert {k: v for k, v in upgraded.config.items() if k.endswith("_bias")} == wanted


def test_a_lost_vocabulary_is_gpt2_s_where_its_ids_fit():
    assert upgrade().tokenizer is None
    wide = upgrade({**CONFIG, "vocab_size": 50304}).tokenizer
    roles = {"bos": [50256], "eos": [50256]}
    assert wide == {"format_version": "2.0", "token_kind": "gpt2", "special_tokens": roles}


def test_a_size_that_is_missing_is_named():
    with pytest.raises(FormatError, match=r"config\.json#/n_head: is missing"):
        upgrade({name: value for name, value in CONFIG.items() if name != "n_head"})


def test_a_state_without_step_is_none():
    assert upgrade(training_state={"training_config": {"max_iters": 3}}).training_state is None
