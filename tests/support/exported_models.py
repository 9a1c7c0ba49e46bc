"""Models exported by `mypt export`, for the programs that people open them with."""

import os
from pathlib import Path

import torch
from attrs import frozen

import mypt
from mypt.cli.main import mypt_group, run

# Read when the packages are imported: whatever is not in a folder must not be asked for.
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
os.environ.update(OFFLINE)

TEXT = "the cat sat on the mat. the dog ran to the red door, twice!\n"
BLOCK_SIZE = 32
_LLAMA_LIKE = {
    "pos_encoding": "rope",
    "norm_type": "rmsnorm",
    "mlp_type": "swiglu",
    "bias": False,
    "mlp_bias": False,
}
ARCHITECTURES = {
    "default": {},
    "llama_like": _LLAMA_LIKE,
    "grouped_queries": {**_LLAMA_LIKE, "n_kv_head": 2},
    "tied": {"tie_weights": True, "mlp_type": "gelu_tanh", "bias": True},
}
CASES = [
    ("char", "default"),
    ("char", "grouped_queries"),
    ("gpt2", "tied"),
    ("gpt2", "llama_like"),
    ("bpe", "grouped_queries"),
    ("bpe", "default"),
]


@frozen
class Exported:
    """A model of mypt, and the folder that `mypt export --to hf` wrote of it."""

    model: mypt.GPT
    folder: Path

    @property
    def ends(self):
        """The ids that end a text."""
        return self.model.tokenizer_state.special_tokens.eos


def make_model(kind, architecture, plugins):
    """Make a model of decided opinions: with its first weights, all tokens are about as likely."""
    factory = plugins.tokenizer(kind)
    tokenizer = factory.trained_on([TEXT * 9], {"vocab_size": 280} if kind == "bpe" else None)
    config = mypt.GPTConfig(
        vocab_size=tokenizer.vocab_size,
        n_layer=2,
        n_embd=32,
        n_head=4,
        block_size=BLOCK_SIZE,
        dropout=0.0,
        head_bias=False,
        **ARCHITECTURES[architecture],
    )
    model = mypt.GPT(config, tokenizer, plugins=plugins)
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 3
    return model


def export(path, folder):
    assert (
        run(mypt_group, "mypt", ["export", str(path), "--to", "hf", "--output", str(folder)]) == 0
    )
