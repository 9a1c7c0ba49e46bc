"""The commands of mypt, as a user gives them, and folders as nanochat writes them."""

import json
import pickle

import pytest
import tiktoken
import torch
from mypt_nanochat.tokenizer.training import train

import mypt
from mypt.cli.main import main

TEXT = "the cat sat on the mat, twice. In 1234 naps, it didn't stir.\n\n  " * 40
FLAGS = ("--n_layer", "3", "--n_embd", "32", "--n_head", "4", "--block_size", "16")
FLAGS += ("--batch_size", "2", "--eval_interval", "5", "--eval_iters", "1", "--dropout", "0.1")


@pytest.fixture
def run_mypt(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; gives its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        return code or 0, *capsys.readouterr()

    return run


@pytest.fixture
def whole_life(run_mypt, tmp_path):
    """Train, resume, validate and use a model whose architecture the flags choose."""

    def live(*flags):
        (tmp_path / "text.txt").write_text(TEXT)
        steps = ("--max_iters", "20", "--snapshot_interval", "10", "--input_file", "text.txt")
        code, _, said = run_mypt("train", "--model_name", "whole", *steps, *FLAGS, *flags)
        assert code == 0, said
        (snapshot,) = (tmp_path / "checkpoints").glob("whole?*10")
        snapshot.rename(tmp_path / "checkpoints" / "resumed")
        code, _, said = run_mypt("train", "--model_name", "resumed")
        assert code == 0, said
        whole, resumed = (mypt.load(name) for name in ("whole", "resumed"))
        for name, tensor in whole.state_dict().items():
            assert torch.equal(tensor, resumed.state_dict()[name]), name
        code, out, said = run_mypt("format", "validate", "checkpoints/whole")
        assert code == 0, out + said
        texts = {whole.generate("the", 30, temperature=0, use_cache=use) for use in (True, False)}
        assert len(texts) == 1
        code, _, said = run_mypt("generate", "--model_name", "whole", "--prompt", "the")
        assert code == 0, said
        return whole

    return live


@pytest.fixture(scope="session")
def encoding():
    """An encoding of tiktoken, as nanochat makes one of what it has learnt."""
    return as_encoding(train([TEXT], 300))


def as_encoding(tokenizer):
    section = tokenizer.state()["plugins"]["mypt-nanochat"]
    ranks = {token: rank for rank, token in enumerate(tokenizer._vocabulary.tokens)}
    return tiktoken.Encoding(
        "rustbpe",
        pat_str=section["pattern"],
        mergeable_ranks=ranks,
        special_tokens=section["special_tokens"],
    )


@pytest.fixture
def base(tmp_path, encoding):
    """Write models with random weights into one folder as nanochat does; give the folder."""

    def write(tag="base_checkpoints/d4", step=7, prefix="", **sizes):
        sizes = {
            "sequence_len": 16,
            "vocab_size": encoding.n_vocab,
            "n_layer": 2,
            "n_head": 4,
            "n_kv_head": 2,
            "n_embd": 32,
            "window_pattern": "L",
        } | sizes
        folder = tmp_path / "nanochat"
        (folder / tag).mkdir(parents=True, exist_ok=True)
        weights = {prefix + name: value for name, value in draw_weights(sizes).items()}
        torch.save(weights, folder / tag / f"model_{step:06d}.pt")
        meta = {"step": step, "model_config": sizes, "user_config": {"depth": 2}}
        (folder / tag / f"meta_{step:06d}.json").write_text(json.dumps(meta, indent=2))
        (folder / "tokenizer").mkdir(exist_ok=True)
        (folder / "tokenizer" / "tokenizer.pkl").write_bytes(pickle.dumps(encoding))
        return folder

    return write


def draw_weights(sizes):
    """Return random weights under the names and with the shapes of nanochat's."""
    layers, width = sizes["n_layer"], sizes["n_embd"]
    rows = -(-sizes["vocab_size"] // 64) * 64
    kv_width = width // sizes["n_head"] * sizes["n_kv_head"]
    shapes = {
        "resid_lambdas": (layers,),
        "x0_lambdas": (layers,),
        "smear_lambda": (1,),
        "backout_lambda": (1,),
        "transformer.wte.weight": (rows, width),
        "lm_head.weight": (rows, width),
        "smear_gate.weight": (1, 24),
    }
    for layer in range(layers):
        place = f"transformer.h.{layer}"
        shapes[f"{place}.attn.c_q.weight"] = shapes[f"{place}.attn.c_proj.weight"] = (width, width)
        shapes[f"{place}.attn.c_k.weight"] = (kv_width, width)
        shapes[f"{place}.attn.c_v.weight"] = (kv_width, width)
        shapes[f"{place}.mlp.c_fc.weight"] = (4 * width, width)
        shapes[f"{place}.mlp.c_proj.weight"] = (width, 4 * width)
        if layer % 2 == (layers - 1) % 2:
            shapes[f"{place}.attn.ve_gate.weight"] = (sizes["n_kv_head"], 12)
            shapes[f"value_embeds.{layer}.weight"] = (rows, kv_width)
    generator = torch.Generator().manual_seed(5)
    return {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}
