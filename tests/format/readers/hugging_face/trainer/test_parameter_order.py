"""The order of parameters is that of the real classes, of every family that mypt reads."""

import pytest
import torch

from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.families.known import FAMILIES
from mypt.format.readers.hugging_face.trainer.parameter_order import order_names

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 11,  # so that the order of numbers is not that of texts
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 16,
    "tie_word_embeddings": False,
    "attention_bias": True,
    "mlp_bias": True,
    "pad_token_id": 0,
}
SMALL = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
CHANGED = {
    "gpt_neo": [
        {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], **SMALL}
    ],
    "gptj": [{**SIZES, "rotary_dim": 4}],
    "opt": [{**SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32}],
    "stablelm": [{**SIZES, "use_qkv_bias": True}],
    "falcon": [
        {**SMALL, "bias": True, "new_decoder_architecture": True, "num_kv_heads": 2},
        {**SMALL, "bias": True, "parallel_attn": False},
        {**SMALL, "alibi": True},
    ],
    "starcoder2": [{**SIZES, "use_bias": True}],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_names_are_put_into_the_order_of_the_class(transformers, family):
    for sizes in CHANGED.get(family, [SIZES]):
        config = transformers.CONFIG_MAPPING[family](**sizes)
        with torch.device("meta"):
            model = transformers.AutoModelForCausalLM.from_config(config)
        wanted = [name for name, _ in model.named_parameters()]
        assert order_names(sorted(wanted), family, "x") == wanted
        decays = transformers.Trainer.get_decay_parameter_names(None, model)
        assert {*decays} & {*wanted} == {
            name for name, p in model.named_parameters() if p.dim() >= 2
        }


def test_without_a_prefix_the_order_is_the_same():
    names = ["ln_f.bias", "h.10.ln_1.weight", "h.2.ln_1.bias", "h.2.ln_1.weight", "wte.weight"]
    ordered = ["wte.weight", "h.2.ln_1.weight", "h.2.ln_1.bias", "h.10.ln_1.weight", "ln_f.bias"]
    assert order_names(names, "gpt2", "x") == ordered


@pytest.mark.parametrize("name", ["h.0.attn.scale.weight", "h.0.ln_1.gain", "extra.weight"])
def test_what_the_class_does_not_have_is_refused(name):
    with pytest.raises(FormatError, match="numbers the parameters of gpt2 in an order that mypt"):
        order_names([name], "gpt2", "x")
