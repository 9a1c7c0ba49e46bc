import pytest
import torch

from mypt.model.decoding.generate import steps
from mypt.model.decoding.sampling import (
    ban_repeated_ngrams,
    choose_ids,
    draw_from,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalise,
)
from mypt.model.decoding.sampling_options import Sampling

INF = float("inf")


def test_top_k_keeps_ties_of_the_last():
    logits = torch.tensor([[1.0, 4.0, 2.0, 2.0, 0.0], [5.0, 4.0, 3.0, 2.0, 1.0]])
    kept = keep_top_k(logits, 2)
    assert kept.tolist() == [[-INF, 4, 2, 2, -INF], [5, 4, -INF, -INF, -INF]]
    assert torch.equal(keep_top_k(logits, 99), logits)


def test_top_p_keeps_the_token_that_passes_the_threshold():
    probabilities = torch.tensor([[0.1, 0.5, 0.15, 0.25], [0.05, 0.9, 0.03, 0.02]])
    kept = keep_top_p(probabilities.log(), 0.7).exp()
    expected = torch.tensor([[0, 0.5, 0, 0.25], [0, 0.9, 0, 0]])
    torch.testing.assert_close(kept, expected)
    torch.testing.assert_close(keep_top_p(probabilities.log(), 0.76).exp()[0, 2].item(), 0.15)


def test_top_p_of_a_wide_vocabulary_keeps_what_a_full_sort_keeps():
    generator = torch.Generator().manual_seed(0)
    for spread in (0.1, 1.5, 4.0):  # a nucleus of most tokens, of some, and of a few
        logits = torch.randn(2, 9000, generator=generator) * spread
        ordered, ids = logits.double().softmax(-1).sort(-1, descending=True)
        wanted = (ordered.cumsum(-1) - ordered < 0.9).sum(-1)
        kept = keep_top_p(logits, 0.9).isfinite()
        assert ((kept.sum(-1) - wanted).abs() <= 1).all()  # the last one may hang on rounding
        for row in range(2):
            assert kept[row, ids[row, : wanted[row] - 1]].all()


def test_the_penalty_divides_what_is_positive_and_multiplies_the_rest():
    logits = torch.tensor([[2.0, -2.0, 1.0, -1.0, 0.5]])
    window = torch.tensor([[0, 1, 0, 1, 1]])  # repeated ids count once
    assert penalise(logits, window, 2.0).tolist() == [[1.0, -4.0, 1.0, -1.0, 0.5]]


def test_min_p_keeps_what_is_likely_enough_beside_the_likeliest():
    probabilities = torch.tensor([[0.1, 0.5, 0.15, 0.25], [0.05, 0.9, 0.03, 0.02]])
    kept = keep_min_p(probabilities.log(), 0.29).exp()
    expected = torch.tensor([[0, 0.5, 0.15, 0.25], [0, 0.9, 0, 0]])
    torch.testing.assert_close(kept, expected)
    assert torch.equal(keep_min_p(probabilities, 0.0), probabilities)
    assert keep_min_p(probabilities.log(), 1.0).isfinite().sum() == 2


def test_no_run_of_n_tokens_comes_twice():
    logits = torch.zeros(2, 6)
    window = torch.tensor([[1, 2, 3, 1, 2], [1, 2, 4, 2, 2]])
    banned = [
        row.isinf().nonzero().flatten().tolist() for row in ban_repeated_ngrams(logits, window, 3)
    ]
    assert banned == [[3], []]
    banned = [
        row.isinf().nonzero().flatten().tolist() for row in ban_repeated_ngrams(logits, window, 2)
    ]
    assert banned == [[3], [2, 4]]  # 2 4, and the 2 2 that it ends with
    banned = [
        row.isinf().nonzero().flatten().tolist() for row in ban_repeated_ngrams(logits, window, 1)
    ]
    assert banned == [[1, 2, 3], [1, 2, 4]]
    assert torch.equal(ban_repeated_ngrams(logits, window, 6), logits)


def test_a_row_in_which_nothing_is_left_may_repeat():
    window = torch.tensor([[0, 1, 2], [0, 1, 1]])
    left = ban_repeated_ngrams(torch.ones(2, 3), window, 1)
    assert left.tolist() == [[1, 1, 1], [-INF, -INF, 1]]


def test_the_steps_come_in_the_stated_order():
    logits = torch.tensor([[4.0, 3.0, 2.0, 3.9, -9.0]])
    sampling = Sampling(
        temperature=0.5, repetition_penalty=4.0, no_repeat_ngram_size=2, top_k=2, top_p=0.99
    )
    window = torch.tensor([[0, 3, 0]])
    # 8, 6, 4, 7.8, -18 by temperature; 2, 6, 4, 1.95 by the penalty; 3 after 0 was there already;
    # 6, 4 by top-k
    share = torch.softmax(torch.tensor([6.0, 4.0]), 0)[0]
    assert choose_ids(logits, window, sampling, share - 0.01).item() == 1
    assert choose_ids(logits, window, sampling, share + 0.01).item() == 2
    min_p = Sampling(temperature=0.5, repetition_penalty=4.0, top_p=0.99, min_p=0.2)
    assert choose_ids(logits, window, min_p, torch.tensor(0.999)).item() == 1


def test_temperature_0_is_the_limit_of_small_ones():
    logits = torch.tensor([[4.0, 3.0, 2.0]])
    window = torch.tensor([[0, 1, 0]])
    for options in ({}, {"repetition_penalty": 3.0}, {"no_repeat_ngram_size": 1}):
        zero = Sampling(temperature=0, **options)
        small = Sampling(temperature=1e-4, **options)
        draw = torch.tensor(0.5)
        assert choose_ids(logits, window, zero, draw) == choose_ids(logits, window, small, draw)


def test_draws_near_1_still_meet_a_token():
    logits = torch.zeros(1, 50_000)
    assert 0 < draw_from(logits, torch.tensor(1 - 2**-24)).item() < 50_000


def test_draws_at_the_ends_never_meet_an_impossible_token():
    logits = torch.tensor([[-INF, 0.0, -INF, 1.0, -INF]])
    assert draw_from(logits, torch.tensor(0.0)).item() == 1
    assert draw_from(logits, torch.tensor(1 - 2**-20)).item() == 3


def test_sampled_tokens_follow_the_stated_distribution(make_model, ids):
    model, prompt = make_model(), ids(1, 7)
    sampling = Sampling(temperature=1.5, top_k=20, top_p=0.9, repetition_penalty=1.2)
    with torch.inference_mode():
        logits = penalise(model.next_logits(prompt) / 1.5, prompt, 1.2)
        expected = keep_top_p(keep_top_k(logits, 20), 0.9).softmax(-1)[0]
        n = 4000
        generator = torch.Generator().manual_seed(0)
        draws = torch.rand(n, generator=generator)
        tokens = [
            choose_ids(model.next_logits(prompt), prompt, sampling, draw) for draw in draws[:200]
        ]
        rows = draw_from(expected.log().expand(1, -1), draws[:, None]).bincount(minlength=31)
    assert all(expected[int(token)] > 0 for token in tokens)
    possible = expected > 0
    assert not rows[~possible].any()
    chi_square = ((rows - n * expected) ** 2 / (n * expected))[possible].sum()
    degrees = int(possible.sum()) - 1
    assert chi_square < degrees + 4 * (2 * degrees) ** 0.5


def test_different_draws_give_the_models_own_distribution(make_model, ids):
    model, prompt = make_model(vocab_size=31), ids(1, 5)
    with torch.inference_mode():
        expected = model.next_logits(prompt).softmax(-1)[0]
    n = 1500
    draws = torch.rand(n, 1, generator=torch.Generator().manual_seed(0))
    plain = Sampling(temperature=1.0, top_p=None)
    step = next(steps(model, prompt.expand(n, -1), 1, plain, draw=lambda row, _: draws[row]))
    counts = step.ids.bincount(minlength=31)
    common = n * expected >= 5
    pooled = torch.cat([counts[common], counts[~common].sum()[None]])
    wanted = n * torch.cat([expected[common], expected[~common].sum()[None]])
    chi_square = ((pooled - wanted) ** 2 / wanted.clamp(min=1e-9)).sum()
    degrees = int(common.sum())
    assert chi_square < degrees + 4 * (2 * degrees) ** 0.5


@pytest.mark.parametrize("width", [3, 100, 50304])
def test_of_equally_likely_tokens_the_first_is_taken(width):
    logits, window = torch.zeros(3, width), torch.zeros(3, 1, dtype=torch.int64)
    logits[1, 1:] = 1.0
    logits[2, -1] = 1.0
    chosen = choose_ids(logits, window, Sampling(temperature=0), torch.zeros(3))
    assert chosen.tolist() == [0, 1, width - 1]
