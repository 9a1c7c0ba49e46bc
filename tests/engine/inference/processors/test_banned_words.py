import itertools

import pytest
import torch

from mypt.engine.inference.processors.banned_words import build_word_ban
from mypt.engine.inference.processors.vocabulary import Vocabulary
from mypt.format.errors import ConfigError

WORDS = (["ab"], ["abc", "é"], ["the", "b", "c c"], ["é…"], ["aa", "aab"])


@pytest.mark.parametrize("words", WORDS, ids=str)
def test_a_banned_word_never_appears_however_its_tokens_cut_it(model, words):
    likely = {token: 9.0 for token in "abc thé…" if token not in words}
    prompts = ["x", "a", "xab t", "é"]
    options = {"samples": 3, "temperature": 1.0, "seed": 1, "logit_bias": likely}
    free = [one.text for one in model.generate_many(prompts, 80, **options)]
    assert any(word in text for word in words for text in free)
    for one in model.generate_many(prompts, 80, banned_words=words, **options):
        for word in words:  # nor where it would begin in the prompt
            begin = max(0, len(one.prompt) - len(word) + 1)
            assert word not in (one.prompt + one.text)[begin:]


def test_a_token_is_banned_if_and_only_if_it_would_complete_a_word(pieces):
    vocabulary = Vocabulary.of(pieces.tokenizer)
    words = ["abc", "bca", "é", "he"]
    begin = build_word_ban({"words": words}, vocabulary)
    usual = [t for t in range(pieces.tokenizer.n_vocab) if t not in vocabulary.special]
    some = [pieces.tokenizer.id_of(token) for token in (b"a", b"b", b"bc", b"ab", b"\xc3", b" the")]
    for prompt in ([], *itertools.product(some, repeat=2)):
        for ids in ([], [some[0]], [some[1], some[3]], [some[4]]):
            logits = begin(prompt)(torch.zeros(pieces.config.vocab_size), ids)
            before = vocabulary.tokenizer.decode_bytes([*prompt, *ids])
            for token in usual:
                after = before + vocabulary.tokens[token]
                new = [
                    word.encode() in after[max(0, len(before) - len(word.encode()) + 1) :]
                    for word in words
                ]
                assert (logits[token] == -torch.inf) == any(new), (before, vocabulary.tokens[token])


def test_the_words_of_a_special_token_are_no_text(pieces):
    ban = build_word_ban({"words": ["end"]}, Vocabulary.of(pieces.tokenizer))([])
    assert ban(torch.zeros(pieces.config.vocab_size), ())[pieces.tokenizer.end] == 0


def test_an_empty_word_is_refused_and_no_word_bans_nothing(chars):
    with pytest.raises(ConfigError, match=r"^banned_words: has an empty word; "):
        chars.generate("a", 3, banned_words=["a", ""])
    with pytest.raises(ConfigError, match=r"^banned_words/words: is "):
        chars.generate("a", 3, banned_words="ab")
    with pytest.raises(ConfigError, match=r"^banned_words: contains half a character "):
        chars.generate("a", 3, banned_words=["a", "\udcff"])
    assert chars.generate("a", 9, seed=1, banned_words=[]) == chars.generate("a", 9, seed=1)


def test_a_vocabulary_of_which_nothing_is_left_is_told_so(chars):
    with pytest.raises(ConfigError, match="leave no token that could follow after 0 new tokens"):
        chars.generate("a", 3, banned_words=list(chars.tokenizer.chars))
