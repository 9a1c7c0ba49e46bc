import itertools

import pytest
import torch

from mypt.format.errors import ConfigError
from mypt.model.cache import KVCache
from mypt.model.generation import (
    Sampling,
    choose,
    draw_from,
    generate,
    keep_top_k,
    keep_top_p,
    penalise,
)

GREEDY = Sampling(temperature=0)
INF = float("inf")


def run(model, prompt, count, sampling=GREEDY, **options):
    tokens = list(generate(model, prompt, count, sampling, **options))
    return torch.stack(tokens, dim=1)


def argmax_reference(model, prompt, count):
    """Continue greedily in the simplest way: the last block, positions from 0, no cache."""
    for _ in range(count):
        logits = model(prompt[:, -model.config.block_size :])[:, -1]
        prompt = torch.cat([prompt, logits.argmax(-1, keepdim=True)], dim=1)
    return prompt[:, -count:]


@pytest.mark.parametrize("pos_encoding", ["learned", "rope"])
@pytest.mark.parametrize("norm_type", ["layernorm", "rmsnorm"])
@pytest.mark.parametrize("mlp_type", ["relu", "gelu", "gelu_tanh", "swiglu"])
def test_greedy_tokens_are_the_same_with_and_without_cache(
    make_model, ids, pos_encoding, norm_type, mlp_type
):
    model = make_model(pos_encoding=pos_encoding, norm_type=norm_type, mlp_type=mlp_type)
    for length in (1, 9, 16, 21):  # within the block, filling it, longer than it
        prompt = ids(3, length)
        expected = argmax_reference(model, prompt, 30)
        assert torch.equal(run(model, prompt, 30), expected)
        assert torch.equal(run(model, prompt, 30, use_cache=False), expected)


def test_logits_are_the_same_however_the_tokens_reach_the_cache(make_model, ids):
    for pos_encoding in ("learned", "rope"):
        model = make_model(pos_encoding=pos_encoding)
        idx = ids(2, 16)
        expected = model(idx)
        for sizes in ((1,) * 16, (16,), (5, 1, 7, 3)):
            cache = KVCache(model.config)
            pieces = [model(part, cache) for part in idx.split(sizes, dim=1)]
            torch.testing.assert_close(torch.cat(pieces, 1), expected, rtol=1e-4, atol=1e-5)
            assert cache.length == 16
        with pytest.raises(ConfigError):
            model(ids(2, 1), cache)


def test_a_cache_begins_anew_in_the_same_memory(make_model, ids):
    model = make_model()
    cache = KVCache(model.config)
    model(ids(2, 16), cache)
    cache.length = 0
    idx = ids(2, 7)
    torch.testing.assert_close(model(idx, cache), model(idx))


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(seed=3), Sampling(top_k=5, seed=4)])
def test_a_batch_gives_what_its_rows_give_one_by_one(make_model, ids, sampling):
    model = make_model(pos_encoding="rope")
    prompts = ids(4, 6)
    together = run(model, prompts, 25, sampling)
    for row, prompt in zip(together, prompts, strict=True):
        assert torch.equal(run(model, prompt[None], 25, sampling)[0], row)


def test_the_seed_decides_and_the_global_generator_is_left_alone(make_model, ids):
    model, prompt = make_model(), ids(1, 4)
    state = torch.get_rng_state()
    first = run(model, prompt, 40, Sampling(seed=1))
    assert torch.equal(run(model, prompt, 40, Sampling(seed=1)), first)
    assert torch.equal(run(model, prompt, 40, Sampling(seed=1), use_cache=False), first)
    assert torch.equal(run(model, prompt, 10, Sampling(seed=1)), first[:, :10])
    assert not torch.equal(run(model, prompt, 40, Sampling(seed=2)), first)
    unseeded = [run(model, prompt, 40, Sampling()) for _ in range(2)]
    assert not torch.equal(*unseeded)
    assert torch.equal(torch.get_rng_state(), state)


def test_ids_without_text_are_never_chosen(make_model, ids):
    model = make_model(head_bias=True)
    with torch.no_grad():
        model.lm_head.bias[20:] += 50
    for sampling in (GREEDY, Sampling(temperature=5.0, top_p=None, seed=0)):
        free = run(model, ids(2, 3), 20, sampling)
        bound = run(model, ids(2, 3), 20, sampling, allowed_vocab=20)
        assert (free >= 20).any()
        assert (bound < 20).all()


def test_it_stops_when_every_row_had_a_stop_id(make_model, ids):
    model, prompt = make_model(), ids(2, 3)
    free = run(model, prompt, 30, Sampling(seed=0, top_p=None, temperature=3.0))
    stop = int(free[0, 4])
    first = [(row == stop).nonzero()[:1].flatten().tolist() or [29] for row in free]
    last = max(itertools.chain(*first))
    ended = run(
        model, prompt, 30, Sampling(seed=0, top_p=None, temperature=3.0), stop_ids={stop, 30_000}
    )
    assert torch.equal(ended, free[:, : last + 1])


def test_a_model_in_training_mode_is_refused(make_model, ids):
    model = make_model().train()
    with pytest.raises(ValueError, match="eval"):
        run(model, ids(1, 3), 1)
    with pytest.raises(ConfigError, match="max_new_tokens"):
        run(model.eval(), ids(1, 3), -1)
    assert list(generate(model, ids(1, 3), 0, GREEDY)) == []


def test_training_goes_on_after_generating(make_model, ids):
    model = make_model(pos_encoding="rope")
    run(model, ids(1, 3), 20)
    model.train().loss(ids(1, 8), ids(1, 8)).backward()


def test_options_out_of_range_are_all_named():
    with pytest.raises(ConfigError) as raised:
        Sampling(temperature=-1, top_k=0, top_p=1.5, repetition_penalty=0, seed=-1)
    names = {"temperature", "top_k", "top_p", "repetition_penalty", "seed"}
    assert {problem.where for problem in raised.value.problems} == names
    with pytest.raises(ConfigError):
        Sampling(temperature=float("nan"))


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
    for spread in (0.1, 4.0):  # a nucleus of most tokens, and one of a few
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


def test_the_steps_come_in_the_stated_order():
    logits = torch.tensor([[4.0, 3.0, 2.0, -9.0]])
    sampling = Sampling(temperature=0.5, repetition_penalty=4.0, top_k=2, top_p=0.99)
    window = torch.tensor([[0]])
    # 8, 6, 4, -18 by temperature; 2, 6, 4 by the penalty; 6, 4 by top-k
    share = torch.softmax(torch.tensor([6.0, 4.0]), 0)[0]
    assert choose(logits, window, sampling, share - 0.01).item() == 1
    assert choose(logits, window, sampling, share + 0.01).item() == 2
    assert choose(logits, window, Sampling(temperature=0, top_k=1), share).item() == 0


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
        tokens = [choose(model.next_logits(prompt), prompt, sampling, draw) for draw in draws[:200]]
        rows = draw_from(expected.log().expand(1, -1), draws[:, None]).bincount(minlength=31)
    assert all(expected[int(token)] > 0 for token in tokens)
    possible = expected > 0
    assert not rows[~possible].any()
    chi_square = ((rows - n * expected) ** 2 / (n * expected))[possible].sum()
    degrees = int(possible.sum()) - 1
    assert chi_square < degrees + 4 * (2 * degrees) ** 0.5


def test_different_seeds_give_the_models_own_distribution(make_model, ids):
    model, prompt = make_model(vocab_size=31), ids(1, 5)
    with torch.inference_mode():
        expected = model.next_logits(prompt).softmax(-1)[0]
    n = 1500
    plain = [Sampling(temperature=1.0, top_p=None, seed=seed) for seed in range(n)]
    counts = torch.cat([run(model, prompt, 1, s).flatten() for s in plain]).bincount(minlength=31)
    common = n * expected >= 5
    pooled = torch.cat([counts[common], counts[~common].sum()[None]])
    wanted = n * torch.cat([expected[common], expected[~common].sum()[None]])
    chi_square = ((pooled - wanted) ** 2 / wanted.clamp(min=1e-9)).sum()
    degrees = int(common.sum())
    assert chi_square < degrees + 4 * (2 * degrees) ** 0.5
