"""A model that mypt trained runs in the real llama.cpp: the same tokens, the same probabilities."""

import numpy as np
import pytest
import torch

import mypt
from mypt.model.decoding.generate import generate
from mypt.model.decoding.sampling_options import Sampling

pytest.importorskip("gguf", reason="the package gguf is not installed")
pytest.importorskip("xllamacpp", reason="llama.cpp (xllamacpp) is not installed")
from tests.support.llama_cpp import LlamaCpp

# How the models are built, by what llama.cpp calls them, and how they are told apart from others.
LLAMA = {
    "pos_encoding": "rope",
    "norm_type": "rmsnorm",
    "mlp_type": "swiglu",
    "head_bias": False,
    "tie_weights": True,
}
GPT2 = {"mlp_type": "gelu_tanh", "head_bias": False}
CASES = {
    "char llama": ("char", LLAMA),
    "char gpt2": ("char", GPT2),
    "gpt2 llama": ("gpt2", LLAMA),
    "bpe llama": ("bpe", LLAMA),
    "bpe gpt2": ("bpe", GPT2),
}
# ggml rounds what goes into GELU to half precision.
TOLERANCE = {"llama": 1e-4, "gpt2": 1e-3}
PROMPTS = ("line 7: the cat", "the cat sat on the mat, 49 times.\nline", "line 123: the")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, plugins, text):
    """What trains a small model once, and returns its bundle."""
    made = {}

    def train(name):
        if name in made:
            return made[name]
        kind, fields = CASES[name]
        factory = plugins.tokenizer(kind)
        settings = {"vocab_size": 300} if kind == "bpe" else None
        tokenizer = factory.trained_on([text], settings) if settings else factory.train(text)
        config = mypt.GPTConfig(
            block_size=64,
            n_embd=32,
            n_head=2,
            n_layer=2,
            batch_size=4,
            **fields,
            dropout=0.0,
            vocab_size=tokenizer.vocab_size,
        )
        loader = mypt.GPTDataLoader(config, tokenizer, text=text)
        made[name] = tmp_path_factory.mktemp("trained") / name.replace(" ", "_")
        mypt.GPT(config, tokenizer).fit(
            loader,
            max_iters=8 if kind == "gpt2" else 60,
            eval_interval=60,
            eval_iters=1,
            learning_rate=1e-2,
            checkpoint_dir=made[name],
            quiet=True,
        )
        return made[name]

    return train


@pytest.mark.parametrize("name", CASES)
def test_llama_cpp_goes_on_with_the_same_tokens_and_logits(name, trained, plugins, tmp_path):
    path = tmp_path / "model.gguf"
    mypt.export_model(trained(name), "gguf", path, plugins=plugins)
    model, llama = mypt.load(trained(name), plugins=plugins), LlamaCpp(path)
    for prompt in PROMPTS:
        ids = model.need_tokenizer().encode(prompt)
        assert llama.count_tokens(prompt) == len(ids)
        wanted = [
            int(token)
            for token in generate(model, torch.tensor([ids]), 12, Sampling(temperature=0))
        ]
        assert llama.generate(prompt, 12) == llama.generate(ids, 12) == wanted
        with torch.no_grad():
            logits = model(torch.tensor([ids]))[0, -1].double()
        np.testing.assert_allclose(
            llama.log_probs(prompt, len(logits)),
            logits.log_softmax(0).numpy(),
            atol=TOLERANCE[name.split()[1]],
            rtol=0,
        )


@pytest.mark.parametrize("name", ["char llama", "bpe gpt2", "gpt2 llama"])
def test_what_was_exported_comes_back(name, trained, plugins, tmp_path):
    path = tmp_path / "model.gguf"
    mypt.export_model(trained(name), "gguf", path, plugins=plugins)
    model, back = (mypt.load(place, plugins=plugins) for place in (trained(name), path))
    ids = model.need_tokenizer().encode(PROMPTS[1])
    assert back.need_tokenizer().encode(PROMPTS[1]) == ids
    assert back.need_tokenizer().token_kind == model.need_tokenizer().token_kind
    with torch.no_grad():
        found, wanted = (one(torch.tensor([ids])).numpy() for one in (back, model))
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("dtype", "most"), [("F16", 0.02), ("BF16", 0.2), ("Q8_0", 0.2)])
def test_rounded_weights_have_about_the_same_probabilities(dtype, most, trained, plugins, tmp_path):
    path = tmp_path / "model.gguf"
    options = {"dtype": dtype}
    mypt.export_model(trained("char llama"), "gguf", path, plugins=plugins, options=options)
    model, rounded = (mypt.load(p, plugins=plugins) for p in (trained("char llama"), path))
    ids = torch.tensor([model.need_tokenizer().encode(PROMPTS[0])])
    with torch.no_grad():
        wanted, ours = (one(ids)[0, -1].log_softmax(0).numpy() for one in (model, rounded))
    found = LlamaCpp(path).log_probs(ids[0].tolist(), len(wanted))
    assert 1e-5 < np.abs(ours - wanted).max() < most
    np.testing.assert_allclose(found, ours, atol=most, rtol=0)


def test_a_text_ends_where_the_model_says(trained, plugins, tmp_path):
    """Of a vocabulary without such a token none is taken for it, whatever llama.cpp presumes."""
    for name in ("char llama", "bpe llama"):
        path = tmp_path / f"{name}.gguf"
        mypt.export_model(trained(name), "gguf", path, plugins=plugins)
        llama = LlamaCpp(path)
        bias = [[11, 100.0]]  # which llama.cpp takes for the end where nothing else is said
        assert (
            llama.complete("the", n_predict=4, logit_bias=bias)["__verbose"]["tokens"] == [11] * 4
        )
