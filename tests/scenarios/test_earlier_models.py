"""Checkpoints of earlier releases give the logits and tokens that those releases gave."""

import json

import numpy as np
import pytest
import torch

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document
from mypt.model.decoding.generate import generate
from mypt.model.decoding.sampling_options import Sampling
from mypt.model.transformer import Transformer
from tests.support.paths import FIXTURES

FUSED = ("fused_qkv_char", "modern_char", "modern_char_gold", "gpt2_special")


@pytest.fixture(params=FUSED)
def fixture(request, plugins):
    folder = FIXTURES / "mypt" / request.param
    if not folder.exists():
        pytest.skip("the shared fixtures are not beside this checkout")
    config = from_document(GPTConfig, json.loads((folder / "config.json").read_text()))
    stored = torch.load(folder / "model.pt", weights_only=True, mmap=True)
    with torch.device("meta"):
        model = Transformer(config, plugins)
    model.load_weights(stored.get("state_dict", stored))
    return model.eval(), json.loads((folder / "expected.json").read_text()), folder


def test_logits_are_those_of_the_release_that_wrote_it(fixture):
    model, expected, folder = fixture
    wanted = torch.from_numpy(np.load(folder / expected["logits_file"]))
    with torch.inference_mode():
        logits = model(torch.tensor([expected["prompt_ids"]]))
    torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("use_cache", [True, False])
def test_greedy_tokens_are_those_of_the_release_that_wrote_it(fixture, use_cache):
    model, expected, _ = fixture
    prompt = torch.tensor([expected["prompt_ids"]])
    tokens = generate(model, prompt, 20, Sampling(temperature=0), use_cache=use_cache)
    assert [int(token) for token in tokens] == expected["greedy_ids"]
