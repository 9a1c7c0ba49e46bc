"""Adapters that peft has saved compute the same in mypt."""

import json
import shutil

import pytest
import torch

import mypt
from mypt.format.errors import FormatError
from mypt.format.validate import validate

IDX = torch.arange(12)[None]
# What peft says of the release of transformers, and of a target that is tied.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

TARGETS = [
    ("gpt2", ["c_attn"], ("qkv",)),
    ("gpt2", ["c_attn", "c_proj", "c_fc"], ("qkv", "proj", "net.0", "net.2")),
    ("llama", ["q_proj", "v_proj"], ("q", "v")),
    ("llama", "all-linear", ("q", "k", "v", "proj", "w_gate", "w_up", "w_down")),
    ("phi3", ["qkv_proj", "gate_up_proj"], ("qkv", "w_gate", "w_up")),
]


@pytest.mark.parametrize(("family", "targets", "ours"), TARGETS)
def test_the_logits_are_those_of_peft(adapt, bases, family, targets, ours):
    folder, logits = adapt(family, targets)
    model = mypt.load(folder, options={"base": str(bases[family])})
    assert model.config.adapter.targets == ours
    torch.testing.assert_close(model(IDX), logits, atol=1e-5, rtol=0)


def test_matrices_of_other_ranks_are_filled_up(adapt, bases):
    patterns = {"rank_pattern": {"c_fc": 2}, "alpha_pattern": {"attn.c_attn": 3}}
    folder, logits = adapt("gpt2", ["c_attn", "c_fc"], **patterns)
    model = mypt.load(folder, options={"base": str(bases["gpt2"])})
    assert not model.state_dict()["blocks.0.fwd.net.0.lora_A"][2:].any()
    torch.testing.assert_close(model(IDX), logits, atol=1e-5, rtol=0)


def test_a_base_may_be_a_bundle_of_mypt(adapt, bases, cli, tmp_path):
    folder, logits = adapt("llama", ["q_proj", "o_proj"])
    base, ours = tmp_path / "base", tmp_path / "ours"
    options = ["--option", "tokenizer=none"]
    assert cli("format", "migrate", bases["llama"], "--output", base, *options)[0] == 0
    named = ["--option", f"base={base}"]
    code, out, err = cli("format", "migrate", folder, "--output", ours, *named)
    assert code == 0, out + err
    shutil.rmtree(folder)
    assert {problem.where for problem in validate(ours)} == {""}  # of the tokenizer alone
    torch.testing.assert_close(mypt.load(ours)(IDX), logits, atol=1e-5, rtol=0)


def test_a_base_that_nobody_names_is_asked_for(adapt):
    folder, _ = adapt("gpt2", ["c_attn"])
    config = folder / "adapter_config.json"
    document = {**json.loads(config.read_text()), "base_model_name_or_path": "somebody/gpt2"}
    config.write_text(json.dumps(document))
    with pytest.raises(FormatError, match=r"somebody/gpt2; supply it: --option base=PATH"):
        mypt.load(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_dora", True),
        ("use_rslora", True),
        ("bias", "all"),
        ("modules_to_save", ["lm_head"]),
        ("layers_to_transform", [0]),
        ("init_lora_weights", "pissa"),
        ("peft_type", "IA3"),
        ("of_a_later_version", 1),
    ],
)
def test_what_would_compute_something_else_is_refused_by_its_name(adapt, bases, key, value):
    folder, _ = adapt("gpt2", ["c_attn"])
    config = folder / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), key: value}))
    with pytest.raises(FormatError, match=f"/{key}: "):
        mypt.load(folder, options={"base": str(bases["gpt2"])})


@pytest.mark.parametrize("targets", [["c_attn", "lm_head"], ["c_fc", "wte"]])
def test_an_adapter_outside_of_the_layers_is_refused(adapt, bases, targets):
    folder, _ = adapt("gpt2", targets)
    with pytest.raises(FormatError, match=r"(lm_head|wte)\S*: is no matrix"):
        mypt.load(folder, options={"base": str(bases["gpt2"])})
