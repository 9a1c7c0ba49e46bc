import math

import pytest
import torch

from mypt.engine.inference.processors.logit_bias import build_logit_bias
from mypt.format.errors import ConfigError


def test_a_bias_is_added_to_the_logits_of_its_tokens_alone(chars):
    tokenizer = chars.tokenizer
    add = build_logit_bias({"bias": {"a": 1.5, 0: -2.0}}, tokenizer)([])
    changed = add(torch.zeros(tokenizer.n_vocab + 3), ())
    assert changed[tokenizer.encode("a")] == 1.5
    assert changed[0] == -2
    assert changed.count_nonzero() == 2


def test_a_large_bias_decides_and_a_small_one_bans(model):
    assert model.generate("x", 5, logit_bias={"q": 100}) == "xqqqqq"
    often = model.generate("x", 100, temperature=0, repetition_penalty=1.0)
    (likeliest,) = {*often[-1]}
    assert (
        likeliest not in model.generate("x", 100, temperature=0, logit_bias={likeliest: -100})[1:]
    )


@pytest.mark.parametrize(
    ("bias", "said"),
    [
        ({10**6: 1.0}, "logit_bias/1000000: is no token of this vocabulary; make it 0 to "),
        ({-1: 1.0}, "logit_bias/-1: is no token of this vocabulary"),
        ({"abc": 1.0}, "logit_bias/abc: is not one token but 3"),
        ({"a": math.inf}, "logit_bias/a: is inf; make it a finite number"),
        ({"!": 1.0, 2: 1.0}, "logit_bias/2: is the token 2, which is there twice"),
        ({"a": "much"}, "logit_bias/bias/a: is "),
        ([1], "logit_bias/bias: is "),
    ],
)
def test_what_is_no_token_or_no_bias_is_refused(chars, bias, said):
    with pytest.raises(ConfigError) as refused:
        chars.generate("a", 3, logit_bias=bias)
    assert str(refused.value).startswith(said)


def test_all_that_is_wrong_is_named(chars):
    with pytest.raises(ConfigError) as refused:
        chars.generate("a", 3, logit_bias={"abc": 1.0, "a": math.nan})
    assert len(refused.value.problems) == 2
