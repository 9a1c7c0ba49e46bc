"""Published `config.json` of every family of GPT's kind, word for word but for their sizes."""

import json
import re

import pytest
import torch

import mypt
from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.families.known import FAMILIES
from mypt.format.tensors import safetensors
from tests.support.neighbour_models import IDS

SUMMARY = {
    "summary_activation": None,
    "summary_first_dropout": 0.1,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
}
ENDS = {"bos_token_id": 60, "eos_token_id": 60}
CODE_OF_FALCON = {
    "AutoConfig": "configuration_falcon.FalconConfig",
    "AutoModel": "modeling_falcon.FalconModel",
    "AutoModelForCausalLM": "modeling_falcon.FalconForCausalLM",
}
PUBLISHED = {
    "gpt2": {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        **ENDS,
        "embd_pdrop": 0.1,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_ctx": 16,
        "n_embd": 32,
        "n_head": 4,
        "n_layer": 2,
        "n_positions": 16,
        "resid_pdrop": 0.1,
        **SUMMARY,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
        "vocab_size": 61,
    },
    "pythia-70m": {
        "architectures": ["GPTNeoXForCausalLM"],
        "bos_token_id": 0,
        "eos_token_id": 0,
        "hidden_act": "gelu",
        "hidden_size": 32,
        "initializer_range": 0.02,
        "intermediate_size": 128,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 16,
        "model_type": "gpt_neox",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "rotary_emb_base": 10000,
        "rotary_pct": 0.25,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "transformers_version": "4.24.0",
        "use_cache": True,
        "use_parallel_residual": True,
        "vocab_size": 61,
    },
    "TinyStories-33M": {
        "_name_or_path": "./results/checkpoint",
        "activation_function": "gelu_new",
        "architectures": ["GPTNeoForCausalLM"],
        "attention_dropout": 0,
        "attention_layers": ["global", "local", "global", "local"],
        "attention_types": [[["global", "local"], 2]],
        **ENDS,
        "embed_dropout": 0,
        "gradient_checkpointing": False,
        "hidden_size": 32,
        "initializer_range": 0.02,
        "intermediate_size": None,
        "layer_norm_epsilon": 1e-05,
        "max_position_embeddings": 16,
        "model_type": "gpt_neo",
        "num_heads": 4,
        "num_layers": 4,
        "resid_dropout": 0,
        **SUMMARY,
        "torch_dtype": "float32",
        "transformers_version": "4.28.1",
        "use_cache": True,
        "vocab_size": 61,
        "window_size": 8,
    },
    "opt-125m": {
        "_name_or_path": "facebook/opt-125m",
        "activation_dropout": 0.0,
        "activation_function": "relu",
        "architectures": ["OPTForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 2,
        "do_layer_norm_before": True,
        "dropout": 0.1,
        "eos_token_id": 2,
        "ffn_dim": 128,
        "hidden_size": 32,
        "init_std": 0.02,
        "layerdrop": 0.0,
        "max_position_embeddings": 16,
        "model_type": "opt",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "pad_token_id": 1,
        "prefix": "</s>",
        "torch_dtype": "float16",
        "transformers_version": "4.21.0.dev0",
        "use_cache": True,
        "vocab_size": 61,
        "word_embed_proj_dim": 32,
    },
    "galactica-125m": {
        "_remove_final_layer_norm": False,
        "activation_function": "gelu",
        "architectures": ["OPTForCausalLM"],
        "attention_dropout": 0.1,
        "bos_token_id": 0,
        "do_layer_norm_before": True,
        "dropout": 0.1,
        "enable_bias": False,
        "eos_token_id": 2,
        "ffn_dim": 128,
        "hidden_size": 32,
        "init_std": 0.02,
        "layer_norm_elementwise_affine": False,
        "layerdrop": 0.0,
        "learned_embeddings": True,
        "max_position_embeddings": 16,
        "model_type": "opt",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "pad_token_id": 1,
        "scale_embeddings": False,
        "torch_dtype": "float16",
        "transformers_version": "4.21.0.dev0",
        "use_cache": True,
        "vocab_size": 61,
        "word_embed_proj_dim": 32,
    },
    "bloom-560m": {
        "apply_residual_connection_post_layernorm": False,
        "attention_dropout": 0.0,
        "attention_softmax_in_fp32": True,
        "architectures": ["BloomForCausalLM"],
        "bias_dropout_fusion": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_dropout": 0.0,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "masked_softmax_fusion": True,
        "model_type": "bloom",
        "n_embed": 32,
        "n_inner": None,
        "n_layer": 2,
        "num_attention_heads": 4,
        "offset_alibi": 100,
        "pad_token_id": 3,
        "pretraining_tp": 1,
        "skip_bias_add": True,
        "skip_bias_add_qkv": False,
        "slow_but_exact": False,
        "transformers_version": "4.20.0",
        "unk_token_id": 0,
        "use_cache": True,
        "vocab_size": 61,
    },
    "falcon-rw-1b": {
        "alibi": True,
        "apply_residual_connection_post_layernorm": False,
        "architectures": ["FalconForCausalLM"],
        "attention_dropout": 0.0,
        "auto_map": CODE_OF_FALCON,
        "bias": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_dropout": 0.0,
        "hidden_size": 32,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "falcon",
        "multi_query": False,
        "new_decoder_architecture": False,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "parallel_attn": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.27.4",
        "use_cache": True,
        "vocab_size": 61,
    },
    "falcon-7b": {
        "alibi": False,
        "apply_residual_connection_post_layernorm": False,
        "architectures": ["FalconForCausalLM"],
        "attention_dropout": 0.0,
        "auto_map": CODE_OF_FALCON,
        "bias": False,
        "bos_token_id": 11,
        "eos_token_id": 11,
        "hidden_dropout": 0.0,
        "hidden_size": 32,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "falcon",
        "multi_query": True,
        "new_decoder_architecture": False,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "parallel_attn": True,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.27.4",
        "use_cache": True,
        "vocab_size": 61,
    },
    "falcon-40b": {
        "alibi": False,
        "apply_residual_connection_post_layernorm": False,
        "architectures": ["FalconForCausalLM"],
        "attention_dropout": 0.0,
        "auto_map": CODE_OF_FALCON,
        "bias": False,
        "bos_token_id": 11,
        "eos_token_id": 11,
        "hidden_dropout": 0.0,
        "hidden_size": 32,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "falcon",
        "new_decoder_architecture": True,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_kv_heads": 2,
        "parallel_attn": True,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.27.4",
        "use_cache": True,
        "vocab_size": 61,
    },
    "phi-1_5": {
        "_name_or_path": "microsoft/phi-1_5",
        "architectures": ["PhiForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "embd_pdrop": 0.0,
        "eos_token_id": None,
        "hidden_act": "gelu_new",
        "hidden_size": 32,
        "initializer_range": 0.02,
        "intermediate_size": 128,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 16,
        "model_type": "phi",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": None,
        "partial_rotary_factor": 0.5,
        "qk_layernorm": False,
        "resid_pdrop": 0.0,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "transformers_version": "4.37.0",
        "use_cache": True,
        "vocab_size": 61,
    },
    "phi-2": {
        "_name_or_path": "microsoft/phi-2",
        "architectures": ["PhiForCausalLM"],
        "attention_dropout": 0.0,
        "auto_map": {
            "AutoConfig": "configuration_phi.PhiConfig",
            "AutoModelForCausalLM": "modeling_phi.PhiForCausalLM",
        },
        **ENDS,
        "embd_pdrop": 0.0,
        "hidden_act": "gelu_new",
        "hidden_size": 40,
        "initializer_range": 0.02,
        "intermediate_size": 160,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 16,
        "model_type": "phi",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 4,
        "partial_rotary_factor": 0.4,
        "qk_layernorm": False,
        "resid_pdrop": 0.1,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "transformers_version": "4.37.0",
        "use_cache": True,
        "vocab_size": 61,
    },
    "gpt-j-6b": {
        "activation_function": "gelu_new",
        "architectures": ["GPTJForCausalLM"],
        "attn_pdrop": 0.0,
        **ENDS,
        "embd_pdrop": 0.0,
        "gradient_checkpointing": False,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gptj",
        "n_embd": 32,
        "n_head": 4,
        "n_inner": None,
        "n_layer": 2,
        "n_positions": 16,
        "resid_pdrop": 0.0,
        "rotary": True,
        "rotary_dim": 4,
        "scale_attn_weights": True,
        **SUMMARY,
        "task_specific_params": {
            "text-generation": {"do_sample": True, "max_length": 50, "temperature": 1.0}
        },
        "tie_word_embeddings": False,
        "tokenizer_class": "GPT2Tokenizer",
        "transformers_version": "4.18.0.dev0",
        "use_cache": True,
        "vocab_size": 61,
    },
}

DAMAGES = {
    "missing": lambda held, name: held.pop(name),
    "renamed": lambda held, name: held.update({f"{name}s": held.pop(name)}),
    "misshapen": lambda held, name: held.update({name: held[name][:-1].clone()}),
    "too many": lambda held, name: held.update({name.replace(".1.", ".9."): held[name]}),
}


def save(name, transformers, folder):
    """Save a random model with a published config, and return it."""
    held = PUBLISHED[name]
    if held.get("alibi") or held["model_type"] == "bloom":
        pytest.importorskip("mypt_alibi")
    cls = getattr(transformers, FAMILIES[held["model_type"]].classes[0])
    torch.manual_seed(3)
    model = cls(cls.config_class(**{**held, "auto_map": None})).float().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.tie_weights()
    model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(held))
    return model


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_is_read_as_transformers_reads_it(name, transformers, plugins, tmp_path):
    theirs = save(name, transformers, tmp_path / name)
    with torch.no_grad():
        found = mypt.load(tmp_path / name, plugins=plugins).eval()(IDS)
        torch.testing.assert_close(found, theirs(IDS).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_damaged_tensors_are_refused_by_name(name, transformers, plugins, tmp_path):
    save(name, transformers, tmp_path / name)
    path = tmp_path / name / "model.safetensors"
    whole = {n: tensor.clone() for n, tensor in safetensors.load(path, path.name).items()}
    place = next(n for n in reversed(whole) if ".1." in n and whole[n].dim() == 2)
    for damage in DAMAGES.values():
        held = dict(whole)
        damage(held, place)
        with path.open("wb") as stream:
            safetensors.write(stream, held)
        with pytest.raises(FormatError, match=re.escape(place).replace(r"\.1\.", r"\.[19]\.")):
            mypt.get_model_info(tmp_path / name, plugins=plugins)
