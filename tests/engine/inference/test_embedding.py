import pytest
import torch

from mypt.format.errors import ConfigError

TEXTS = ["the cat", "t", "", "the cat sat on the mat, 144 times.\n" * 5, [1, 2, 3]]


@pytest.mark.parametrize("pool", ["mean", "last"])
def test_a_batch_has_the_vectors_of_each_alone(model, pool):
    together = model.embed(TEXTS, pool=pool)
    assert together.shape == (len(TEXTS), model.config.n_embd)
    assert together.dtype == torch.float32
    for text, vector in zip(TEXTS, together, strict=True):
        for batch_size in (1, 3):
            alone = model.embed([text], pool=pool, batch_size=batch_size)[0]
            torch.testing.assert_close(alone, vector, atol=1e-5, rtol=1e-5)


def test_a_vector_is_the_mean_or_the_last_of_the_states_that_the_head_reads(model):
    idx = torch.tensor([model.tokenizer.encode("the cat sat")])
    with torch.inference_mode():
        states = model.hidden(idx)
        torch.testing.assert_close(model.lm_head(states), model(idx))
    torch.testing.assert_close(model.embed(["the cat sat"])[0], states[0].mean(0))
    torch.testing.assert_close(model.embed(["the cat sat"], pool="last")[0], states[0, -1])


def test_each_token_of_a_long_text_counts_once(model):
    block_size = model.config.block_size
    ids = torch.arange(3 * block_size) % model.tokenizer.n_vocab
    half = block_size // 2
    with torch.inference_mode():
        parts = [model.hidden(ids[None, :block_size])[0]]
        for end in range(block_size + half, len(ids) + 1, half):
            parts.append(model.hidden(ids[None, end - block_size : end])[0, -half:])
    wanted = torch.cat(parts).mean(0)
    torch.testing.assert_close(model.embed([ids.tolist()])[0], wanted, atol=1e-5, rtol=1e-5)


def test_dropout_and_mode_play_no_part(model):
    before = model.embed(["the cat"])
    model.train()
    try:
        assert torch.equal(model.embed(["the cat"]), before)
    finally:
        model.eval()
    assert model.embed([]).shape == (0, model.config.n_embd)


def test_a_single_text_and_another_pool_are_refused(model):
    with pytest.raises(ConfigError, match="a single string"):
        model.embed("the cat")
    with pytest.raises(ConfigError, match="pool: is 'max'; make it mean or last"):
        model.embed(["the"], pool="max")
