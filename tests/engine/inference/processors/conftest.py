"""Tiny models with random weights, for which any text is about as likely as any other."""

import pytest

import mypt
from mypt.tokenizers.char import CharTokenizer
from tests.support.pieces_tokenizer import TEXT, PiecesTokenizer

TINY = {"block_size": 24, "n_embd": 16, "n_head": 2, "n_layer": 1, "dropout": 0.0}


def make_model(tokenizer):
    config = mypt.GPTConfig(**TINY, vocab_size=tokenizer.vocab_size + 3)
    return mypt.GPT(config, tokenizer, seed=3)


@pytest.fixture(scope="session")
def chars():
    return make_model(CharTokenizer.train(TEXT))


@pytest.fixture(scope="session")
def pieces():
    return make_model(PiecesTokenizer())


@pytest.fixture(scope="session", params=["chars", "pieces"])
def model(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def make_anew():
    return lambda: make_model(CharTokenizer.train(TEXT))
