"""Texts that follow each other and begin alike: what is computed again, and what comes out."""

import pytest
import torch

from mypt.model.decoding.generate import steps
from mypt.model.decoding.prefix_cache import PrefixCache
from mypt.model.decoding.sampling_options import Sampling

GREEDY = Sampling(temperature=0)


@pytest.fixture
def counted(make_model):
    """Return a model, and the numbers of positions of its passes."""

    def make(**changed):
        model, passed = make_model(**{"block_size": 32, **changed}), []
        model.ln_f.register_forward_hook(lambda _, inputs, __: passed.append(inputs[0].size(1)))
        return model, passed

    return make


def run(model, prompt, count, **options):
    made = steps(model, prompt, count, GREEDY, **options)
    return torch.cat([step.ids for step in made])


def check(model, prompt, count, prefix):
    """Continue a prompt with the cache; the tokens must be those without any."""
    tokens = run(model, prompt, count, prefix=prefix)
    assert torch.equal(tokens, run(model, prompt, count, use_cache=False))
    return torch.cat([prompt, tokens[None]], dim=1)


def test_a_text_that_goes_on_costs_its_new_tokens_alone(counted, ids):
    model, passed = counted()
    prefix = PrefixCache()
    text = check(model, ids(1, 9), 5, prefix)
    passed.clear()
    longer = torch.cat([text, ids(1, 4)], dim=1)
    run(model, longer, 3, prefix=prefix)
    assert passed == [1 + 4, 1, 1]  # the last token of the text was chosen, and not yet computed
    assert prefix.reused == 13


@pytest.mark.parametrize("common", [0, 1, 6, 9, 12])
def test_a_text_that_differs_from_somewhere_keeps_what_is_before(counted, ids, common):
    model, passed = counted()
    prefix = PrefixCache()
    text = check(model, ids(1, 9), 5, prefix)
    other = torch.cat([text[:, :common], (text[:, common : common + 1] + 1) % 31, ids(1, 3)], 1)
    passed.clear()
    run(model, other, 1, prefix=prefix)
    assert passed == [4]
    check(model, other, 8, prefix)


def test_the_same_text_again_costs_one_position(counted, ids):
    model, passed = counted()
    prefix = PrefixCache()
    prompt = ids(1, 9)
    check(model, prompt, 5, prefix)
    passed.clear()
    check(model, prompt, 1, prefix)
    assert passed == [1, 9]  # the second without the cache
    check(model, prompt[:, :4], 3, prefix)


def test_where_positions_slide_nothing_is_taken_for_what_it_is_not(counted, ids):
    model, passed = counted()
    prefix = PrefixCache()
    text = check(model, ids(1, 25), 20, prefix)
    passed.clear()
    longer = torch.cat([text, ids(1, 3)], dim=1)  # its window begins elsewhere
    run(model, longer, 1, prefix=prefix)
    assert passed == [32]
    check(model, longer, 5, prefix)
    check(model, text[:, :25], 5, prefix)


@pytest.mark.parametrize("window", [4, 40])
def test_a_window_goes_back_as_far_as_its_keys_are_kept(counted, ids, window):
    model, passed = counted(block_size=64, sliding_window=window)
    prefix = PrefixCache()
    text = check(model, ids(1, 50), 8, prefix)
    for common, is_kept in [(56, True), (54, True), (30, window == 40)]:
        other = torch.cat([text[:, :common], ids(1, 3)], dim=1)
        passed.clear()
        run(model, other, 1, prefix=prefix)
        assert passed == [3 if is_kept else 3 + common]
        check(model, other, 4, prefix)
        check(model, torch.cat([other, ids(1, 20)], dim=1)[:, :60], 12, prefix)
        text = check(model, text[:, :50], 8, prefix)


def test_of_a_stack_that_does_not_say_so_no_key_is_replaced(counted, ids, monkeypatch):
    model, passed = counted()
    make = model.blocks.make_cache
    monkeypatch.setattr(model.blocks, "make_cache", lambda capacity: tuple(make(capacity)))
    prefix = PrefixCache()
    text = check(model, ids(1, 9), 5, prefix)
    longer = torch.cat([text, ids(1, 4)], dim=1)
    passed.clear()
    run(model, longer, 1, prefix=prefix)
    run(model, text[:, :7], 1, prefix=prefix)
    assert passed == [5, 7]


def test_nothing_is_kept_of_a_model_that_changed(counted, ids):
    model, passed = counted()
    prefix = PrefixCache()
    text = check(model, ids(1, 9), 5, prefix)

    def write():
        with torch.no_grad():
            model.ln_f.weight.mul_(1.5)

    changes = [
        write,
        lambda: setattr(model.ln_f, "weight", torch.nn.Parameter(model.ln_f.weight * 2)),
        lambda: model.blocks[0].register_forward_hook(lambda _, __, x: x * 2),
        lambda: model.double(),
    ]
    for change in changes:
        change()
        passed.clear()
        run(model, text, 1, prefix=prefix)
        assert passed == [text.size(1)]
        run(model, text, 1, prefix=prefix)
        assert passed[1:] == [1]
    other, _ = counted(n_layer=1)
    check(other, text, 3, prefix)


def test_a_pass_that_was_interrupted_leaves_nothing(counted, ids):
    model, passed = counted()
    prefix = PrefixCache()
    text = check(model, ids(1, 9), 5, prefix)
    handle = model.blocks[1].register_forward_hook(lambda *_: 1 / 0)
    prefix.begin(model, text, 1)  # knows the hook, so that only the interruption tells
    with pytest.raises(ZeroDivisionError):
        prefix._compute(text)
    hooks = dict(model.blocks[1]._forward_hooks)
    model.blocks[1]._forward_hooks[handle.id] = lambda *_: None
    passed.clear()
    run(model, text, 1, prefix=prefix)
    assert passed == [14]
    assert hooks.keys() == model.blocks[1]._forward_hooks.keys()


def test_its_decoder_is_that_of_a_text_alone(make_model, ids):
    model, prefix = make_model(block_size=32), PrefixCache()
    text = check(model, ids(1, 9), 8, prefix)
    for _ in range(3):
        text = check(model, torch.cat([text, ids(1, 2)], dim=1), 3, prefix)
        assert prefix.reused
