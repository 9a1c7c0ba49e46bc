import math

import pytest
import torch

import mypt
from mypt.engine.inference.padded_batches import TOGETHER
from mypt.format.errors import ConfigError, DataError
from mypt.plugins.manager import load_plugins

PAIRS = [
    ("the cat ", "sat on the mat"),
    ("the", " "),
    ("", "the cat"),
    ("line 12: the cat sat on the mat, 144 times.\nline 13: the", " cat sat"),
    ("a", "the cat sat on the mat, 144 times.\n" * 3),
    ([1, 2, 3], [4, 5]),
    ("on the ", [4]),
]


def reference(model, one):
    """Score one token after the other, each from all that the window holds before it."""
    ids, found = [*one.prompt_ids], []
    for number in one.ids:
        with torch.inference_mode():
            logits = model(torch.tensor([ids[-model.config.block_size :]]))[0, -1]
        found.append((float(logits.log_softmax(-1)[number]), int(logits.argmax()) == number))
        ids.append(number)
    return found


def test_a_batch_has_the_scores_of_each_alone(model):
    together = [*model.score_continuations(PAIRS)]
    assert [one.ids for one in together][5] == (4, 5)
    for pair, one in zip(PAIRS, together, strict=True):
        for batch_size in (1, 2):
            (alone,) = model.score_continuations([pair], batch_size=batch_size)
            assert alone.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-5)
            assert (alone.ids, alone.is_greedy) == (one.ids, one.is_greedy)


def test_the_scores_are_those_of_one_token_after_the_other(model):
    for one in model.score_continuations(PAIRS[:4]):
        if len(one.prompt_ids) + len(one.ids) > model.config.block_size + 1:
            continue
        wanted = reference(model, one)
        assert one.log_probs == pytest.approx([log for log, _ in wanted], abs=1e-5)
        assert one.log_likelihood == pytest.approx(math.fsum(one.log_probs))
        assert one.is_greedy == all(greedy for _, greedy in wanted)


def test_what_the_model_writes_at_temperature_0_is_greedy(model):
    (best,) = model.generate_many(["the c"], 12, temperature=0, log_probs=True)
    pair = (best.prompt_ids, best.ids)
    (one,) = model.score_continuations([pair])
    assert one.is_greedy
    assert one.log_probs == pytest.approx(best.log_probs, abs=1e-4)
    (other,) = model.score_continuations([(best.prompt_ids, [*best.ids[:-1], 0])])
    assert not other.is_greedy


def test_of_a_long_prompt_as_much_is_read_as_fits_beside_the_continuation(model):
    block_size = model.config.block_size
    (long,) = model.score_continuations([("the cat sat on " * 40, "the mat")])
    cut = long.prompt_ids[-(block_size + 1 - len(long.ids)) :]
    (short,) = model.score_continuations([(cut, long.ids)])
    assert short.log_probs == pytest.approx(long.log_probs, abs=1e-5)


def test_a_continuation_longer_than_the_window_is_read_in_several(model):
    text = "the cat sat on the mat, 144 times.\n" * 8
    (one,) = model.score_continuations([(text[0], text[1:])])
    score = model.score(text)
    assert len(one.ids) > 2 * model.config.block_size
    assert [-loss for loss in score.losses] == pytest.approx(one.log_probs, abs=1e-4)
    assert one.bits_per_byte == pytest.approx(score.bits_per_byte, abs=1e-4)


def test_where_a_token_would_be_part_of_both_each_is_encoded_by_itself():
    tokenizer = load_plugins().tokenizer("gpt2").build({"token_kind": "gpt2"})
    config = mypt.GPTConfig(block_size=8, n_embd=2, n_head=1, n_layer=1, vocab_size=50257)
    model = mypt.GPT(config, tokenizer)
    cut, whole = model.score_continuations([("say hel", "lo"), ("say", " hello")])
    assert [tokenizer.decode([number]) for number in whole.ids] == [" hello"]
    assert (cut.prompt_ids, cut.ids) == (tuple(tokenizer.encode("say hel")), (5439,))


def test_half_a_character_counts_as_what_it_is_read_as():
    tokenizer = load_plugins().tokenizer("gpt2").build({})
    config = mypt.GPTConfig(block_size=8, n_embd=8, n_head=1, n_layer=1, vocab_size=50257)
    model = mypt.GPT(config, tokenizer).eval()
    half, whole = model.score_continuations([("the", "a\ud800"), ("the", "a\ufffd")])
    assert (half.ids, half.bits_per_byte) == (whole.ids, pytest.approx(whole.bits_per_byte))


def test_pairs_are_read_as_the_results_are_taken(model):
    taken = []

    def pairs():
        for number in range(10_000):
            taken.append(number)
            yield "the", " cat"

    next(model.score_continuations(pairs(), batch_size=2))
    assert len(taken) == 2 * TOGETHER


@pytest.mark.parametrize(
    ("pair", "error", "said"),
    [
        (("the", ""), DataError, "continuation: is empty; give at least one token"),
        (("the", []), DataError, "continuation: is empty"),
        (("the", "é"), DataError, "the vocabulary of "),
        (("the", "\ud800"), DataError, "the vocabulary of "),
        (("the", [999]), ConfigError, "continuation: holds the id 999; make it 0 to "),
        (("the", 1.5), ConfigError, "continuation: is 1.5; make it a text, or the ids"),
        ("the cat", ConfigError, "pairs: holds 'the cat', which is no prompt with its "),
    ],
)
def test_what_cannot_be_scored_is_refused(model, pair, error, said):
    with pytest.raises(error, match=said):
        list(model.score_continuations([pair]))
