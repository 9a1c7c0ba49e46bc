import numpy as np
import pytest

from mypt.engine.inference.prompt_ids import encode_prompt, encode_prompts
from mypt.format.errors import ConfigError, DataError
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.added_tokens import build_from_state

BEGIN = (9,)

PLUGINS = load_plugins()


class Words:
    """A tokenizer that joins words by spaces; its texts begin with the id 9."""

    words = ("the", "cat", "sat")

    def encode(self, text):
        return [self.words.index(word) for word in text.split()]

    def encode_array(self, text):
        return np.array(self.encode(text), np.uint32)

    def state(self):
        return {"token_kind": "words"}

    def decode(self, ids):
        return self.decode_bytes(ids).decode().removeprefix(" ")

    def decode_bytes(self, ids):
        return "".join(
            " <s>" if number == 9 else f" {self.words[number]}" for number in ids
        ).encode()


@pytest.fixture
def chars():
    return load_plugins().tokenizer("char").train("the cat")


def test_a_text_is_encoded_and_ids_are_taken_as_they_are(chars):
    ids = chars.encode("the cat")
    for prompt in ("the cat", ids, tuple(ids), chars.encode_array("the cat")):
        encoded = encode_prompt(chars, prompt, chars.n_vocab)
        assert (encoded.text, encoded.ids) == ("the cat", tuple(ids))


def test_an_empty_prompt_is_a_line_break_or_the_first_id(chars):
    lines = load_plugins().tokenizer("char").train("a\nb")
    for empty in ("", []):
        assert encode_prompt(lines, empty, 3).ids == tuple(lines.encode("\n"))
        assert encode_prompt(chars, empty, 9).ids == (0,)
        assert encode_prompt(chars, empty, 9).text == ""


def test_what_begins_every_text_is_put_before_a_text_and_has_none():
    words = Words()
    assert encode_prompt(words, "the cat", 10, BEGIN).ids == (9, 0, 1)
    assert encode_prompt(words, "", 10, BEGIN).ids == (9,)
    assert encode_prompt(words, "the cat", 10).ids == (0, 1)
    for ids in ([9, 0, 1], [0, 1]):  # an id is never put before ids
        encoded = encode_prompt(words, ids, 10, BEGIN)
        assert (encoded.text, encoded.ids) == ("the cat", tuple(ids))


def test_only_the_first_word_of_a_text_is_without_a_space():
    words = Words()
    for prompt, wanted in (("", "sat"), ([9], "sat"), ("the", " sat"), ([9, 0], " sat")):
        detokenizer = encode_prompt(words, prompt, 10, BEGIN).begin_detokenizer(())
        assert detokenizer.feed(2) + detokenizer.feed(1) == f"{wanted} cat"


def test_prompts_that_cannot_be_are_refused(chars):
    for prompt, said in (
        (None, "prompt: is None; make it a text, or the ids of tokens"),
        ([1.5], "prompt: is [1.5]; "),
        ([7], "prompt: holds the id 7; make it 0 to 6"),
        ([-1], "prompt: holds the id -1; "),
    ):
        with pytest.raises(ConfigError) as refused:
            encode_prompt(chars, prompt, 7)
        assert str(refused.value).startswith(said)
    with pytest.raises(DataError, match="x"):
        encode_prompt(chars, "x", 7)
    for prompts, said in (("the", "are a single string"), (5, "is 5; make it a list of prompts")):
        with pytest.raises(ConfigError, match=f"^prompts: {said}"):
            encode_prompts(chars, prompts, 7)


def test_what_spells_a_special_token_becomes_one_only_if_asked():
    state = {"token_kind": "gpt2", "special_token_encoder": {"<|end|>": 50257}}
    plain, special = load_plugins().tokenizer("gpt2").build({}), build_from_state(state, PLUGINS)
    text = "Stop.<|end|>"
    ordinary = encode_prompt(special, text, 50304)
    assert ordinary.ids == tuple(plain.encode(text))
    assert ordinary.text == text
    read = encode_prompt(special, text, 50304, read_special_tokens=True)
    assert read.ids == (*plain.encode("Stop."), 50257)
    assert [one.ids for one in encode_prompts(special, [text], 50304)] == [ordinary.ids]
