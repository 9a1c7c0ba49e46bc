"""What a model knows of its tokens."""

import pytest

from mypt.engine.language_model import LanguageModel
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.tokenizer import TokenizerState
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.extension import NewTokens, extend_tokenizer

PLUGINS = load_plugins()
CHAR = PLUGINS.tokenizer("char").train("some words\n")


@pytest.fixture(scope="module")
def make_model():
    """Give what makes a tiny model with a tokenizer."""

    def make(tokenizer, vocab_size):
        sizes = {"block_size": 4, "n_embd": 4, "n_head": 1, "n_layer": 1}
        config = GPTConfig(vocab_size=vocab_size, **sizes)
        return LanguageModel(config, tokenizer, plugins=PLUGINS)

    return make


def test_turns_and_texts_end_with_the_tokens_of_these_roles(make_model):
    wanted = NewTokens.of({"eos": "<|stop|>", "turn_end": "<|end|>", "bos": "<|begin|>"})
    tokenizer = extend_tokenizer(CHAR, wanted, PLUGINS)
    model, special = make_model(tokenizer, tokenizer.n_vocab), tokenizer.state()
    ids = special["special_token_encoder"]
    assert model.end_ids == (ids["<|end|>"], ids["<|stop|>"])
    assert model.begin_ids == ()  # they have a token for it, and do not add it


def test_texts_of_gpt2_end_where_an_earlier_document_names_no_roles(make_model):
    model = make_model(PLUGINS.tokenizer("gpt2").build({}), 50304)
    model.tokenizer_state = TokenizerState(token_kind="gpt2")
    assert model.end_ids == (50256,)


def test_ids_without_a_tokenizer_neither_begin_nor_end_texts(make_model):
    model = make_model(None, 8)
    assert (model.begin_ids, model.end_ids) == ((), ())
