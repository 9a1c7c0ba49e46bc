import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mypt.format.errors import ConfigError
from mypt.model.decoding.generate import generate, steps
from mypt.model.decoding.sampling_options import Sampling

GREEDY = Sampling(temperature=0)


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
            cache = model.make_cache()
            pieces = [model(part, cache) for part in idx.split(sizes, dim=1)]
            torch.testing.assert_close(torch.cat(pieces, 1), expected, rtol=1e-4, atol=1e-5)
            assert cache.length == 16
        with pytest.raises(ConfigError):
            model(ids(2, 1), cache)


def test_a_cache_begins_anew_in_the_same_memory(make_model, ids):
    model = make_model()
    cache = model.make_cache()
    model(ids(2, 16), cache)
    cache.length = 0
    idx = ids(2, 7)
    torch.testing.assert_close(model(idx, cache), model(idx))


SAMPLINGS = [
    GREEDY,
    Sampling(),
    Sampling(top_k=5, top_p=None, min_p=0.05),
    Sampling(temperature=2.0, repetition_penalty=1.3, no_repeat_ngram_size=2),
    Sampling(temperature=0, repetition_penalty=1.3, no_repeat_ngram_size=2),
]


def draws(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def drawer(numbers):
    """Return what draws the given numbers, (B, new)."""
    return lambda row, count: numbers[row, :count]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("use_cache", [True, False])
def test_a_batch_gives_what_its_rows_give_one_by_one(make_model, ids, sampling, use_cache):
    model = make_model(pos_encoding="rope")
    prompts, numbers = ids(4, 6), draws(4, 25)
    together = run(model, prompts, 25, sampling, draw=drawer(numbers), use_cache=use_cache)
    for row, prompt, own in zip(together, prompts, numbers, strict=True):
        alone = run(model, prompt[None], 25, sampling, draw=drawer(own[None]), use_cache=use_cache)
        assert torch.equal(alone[0], row)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("pos_encoding", ["learned", "rope"])
def test_prompts_of_several_lengths_become_what_they_become_alone(
    make_model, ids, sampling, pos_encoding
):
    model = make_model(pos_encoding=pos_encoding)
    lengths = (5, 1, 16, 21, 5, 12)  # 21 is longer than the block
    prompts = [ids(1, length)[0] for length in lengths]
    numbers = draws(len(prompts), 20)
    together = run(model, prompts, 20, sampling, draw=drawer(numbers))
    for row, prompt, own in zip(together, prompts, numbers, strict=True):
        begin = min(16, len(prompt)) - 1
        alone = run(model, [prompt], 20, sampling, draw=drawer(own[None]))[0]
        assert torch.equal(row[begin : begin + 20], alone)


def test_the_global_generator_is_left_alone(make_model, ids):
    model, prompt = make_model(), ids(1, 4)
    state = torch.get_rng_state()
    run(model, prompt, 40, Sampling(), draw=drawer(draws(1, 40)))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_logits_of_a_step_are_the_models_own(make_model, ids):
    model, prompt = make_model(), ids(2, 4)
    sampling = Sampling(temperature=3.0, repetition_penalty=2.0)
    for step in steps(model, prompt, 5, sampling, draw=drawer(draws(2, 5)), allowed_vocab=9):
        torch.testing.assert_close(step.logits, model.next_logits(prompt), rtol=1e-4, atol=1e-5)
        prompt = torch.cat([prompt, step.ids[:, None]], dim=1)


def test_ids_without_text_are_never_chosen(make_model, ids):
    model = make_model(head_bias=True)
    with torch.no_grad():
        model.lm_head.bias[20:] += 50
    for sampling in (GREEDY, Sampling(temperature=5.0, top_p=None)):
        numbers = draws(2, 20)
        free = run(model, ids(2, 3), 20, sampling, draw=drawer(numbers))
        bound = run(model, ids(2, 3), 20, sampling, draw=drawer(numbers), allowed_vocab=20)
        assert (free >= 20).any()
        assert (bound < 20).all()


def test_a_number_of_new_tokens_below_0_is_refused(make_model, ids):
    model = make_model()
    with pytest.raises(ConfigError, match="max_new_tokens"):
        run(model, ids(1, 3), -1)
    assert list(generate(model, ids(1, 3), 0, GREEDY)) == []


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_model_in_training_mode_generates_without_dropout_and_stays_in_it(
    make_model, ids, use_cache
):
    model, prompt = make_model(dropout=0.5), ids(1, 3)
    wanted = run(model, prompt, 20, GREEDY, use_cache=use_cache)
    model.train()
    two = [generate(model, prompt, 20, GREEDY, use_cache=use_cache) for _ in range(2)]
    pairs = list(zip(*two, strict=True))  # by turns, and each leaves the mode as it was
    assert [one.item() for one, _ in pairs] == wanted[0].tolist()
    assert [other.item() for _, other in pairs] == wanted[0].tolist()
    assert all(module.training for module in model.modules())


def test_training_goes_on_after_generating(make_model, ids):
    model = make_model(pos_encoding="rope")
    run(model, ids(1, 3), 20)
    model.train().loss(ids(1, 8), ids(1, 8)).backward()


EVERYTHING = Sampling(
    top_k=5, top_p=0.9, min_p=0.1, repetition_penalty=1.2, no_repeat_ngram_size=3, seed=1
)


@pytest.mark.parametrize("sampling", [GREEDY, EVERYTHING])
@pytest.mark.parametrize("lengths", [(3,), (5, 9)])
@pytest.mark.parametrize("use_cache", [True, False])
def test_no_token_is_read_that_a_gpu_would_have_to_be_waited_for(
    make_model, sampling, lengths, use_cache
):
    with FakeTensorMode():  # tensors without values: to read one is an error
        model = make_model()
        prompts = [torch.zeros(length, dtype=torch.int64) for length in lengths]
        made = steps(
            model,
            prompts,
            20,
            sampling,
            draw=lambda row, count: torch.zeros(count),
            allowed_vocab=model.config.vocab_size - 1,
            use_cache=use_cache,
        )
        assert len(list(made)) == 20 + max(lengths) - min(lengths)
