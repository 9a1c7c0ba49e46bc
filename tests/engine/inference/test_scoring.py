"""The loss of a text, and what it is per token and byte."""

import math

import pytest
import torch

import mypt
from mypt.format.errors import ConfigError, DataError
from mypt.plugins.manager import load_plugins


def test_a_scored_text_costs_what_the_model_says_of_it(model, text):
    short = text[:16]  # no longer than the block
    ids = torch.tensor([model.tokenizer.encode(short)])
    score = model.score(short)
    with torch.inference_mode():
        loss = model.loss(ids[:, :-1], ids[:, 1:]).item()
    assert score.loss == pytest.approx(loss, abs=1e-5)
    assert score.perplexity == pytest.approx(math.exp(loss), rel=1e-5)
    assert score.bits_per_byte == pytest.approx(loss / math.log(2), rel=1e-5)  # a byte a token
    assert len(score.losses) == 15


def test_bits_per_byte_leave_the_bytes_of_the_first_token_out(bundle):
    tokenizer = load_plugins().tokenizer("gpt2").train("")
    config = mypt.GPTConfig(n_layer=1, n_head=1, n_embd=2, block_size=8, vocab_size=50304)
    score = mypt.GPT(config, tokenizer).score("Though it was però")
    assert tokenizer.decode([score.ids[0]]) == "Though"
    bits = math.fsum(score.losses) / math.log(2)
    assert score.bits_per_byte == pytest.approx(bits / len(" it was però".encode()))


def test_tokens_that_are_no_text_have_no_bits_per_byte():
    class Mute(type(load_plugins().tokenizer("char").train("ab"))):
        def decode_bytes(self, ids):
            return b""

    config = mypt.GPTConfig(n_layer=1, n_head=1, n_embd=2, block_size=8, vocab_size=2)
    score = mypt.GPT(config, Mute(["a", "b"])).score("abab")
    assert math.isfinite(score.loss)
    assert math.isnan(score.bits_per_byte)


def test_a_model_in_training_mode_is_scored_without_dropout_and_stays_in_it(bundle, text):
    model = mypt.load(bundle)
    assert model.config.dropout > 0
    wanted = model.score(text[:100])
    assert model.train().score(text[:100]) == wanted
    assert model.training


@pytest.mark.parametrize("stride", [1, 5, 8, 16])
def test_a_long_text_is_scored_in_windows_that_overlap(model, text, stride):
    ids = model.tokenizer.encode(text[:70])
    score = model.score(text[:70], stride=stride)
    wanted = []
    for position in range(1, len(ids)):  # each token from the window that has it first
        windows = max(0, math.ceil((position - 16) / stride))
        end = min(16 + windows * stride, len(ids) - 1)
        context = torch.tensor([ids[max(0, end - 16) : position]])
        with torch.inference_mode():
            logits = model(context)[0, -1]
        wanted.append(-logits.log_softmax(-1)[ids[position]].item())
    assert score.losses == pytest.approx(wanted, abs=1e-4)
    assert (score.stride, score.block_size) == (stride, 16)


def test_the_default_stride_is_half_a_block(model, text):
    assert model.score(text[:100]).stride == 8


def test_a_text_that_cannot_be_scored_is_refused(model):
    with pytest.raises(DataError, match="has 1 token;"):
        model.score("a")
    for stride in (0, 17):
        with pytest.raises(ConfigError, match="stride"):
            model.score("the cat", stride=stride)
