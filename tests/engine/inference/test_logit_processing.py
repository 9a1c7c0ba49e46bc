import pytest
import torch

from mypt.engine.inference.logit_processing import TextProcessors
from mypt.format.errors import ConfigError, PluginError


class Until:
    """Allows token 0 until there are so many."""

    def __init__(self, count):
        self.count = count

    def __call__(self, logits, ids):
        allowed = torch.full_like(logits, -torch.inf)
        allowed[0] = logits[0] if len(ids) < self.count + 1 else -torch.inf
        return allowed

    def is_complete(self, ids):
        return len(ids) >= self.count

    def is_done(self, ids):
        return len(ids) > self.count


def plus_one(logits, ids):
    return logits + 1


def test_end_tokens_are_possible_only_once_a_text_is_complete():
    text = TextProcessors({"until": Until(2), "plus": plus_one}, {3: "user"}, {4: "end"})
    assert text.stop_tokens == {3: "user", 4: "end"}
    before = text.apply(torch.arange(6.0), (0,))
    assert before.tolist() == [1, *[-torch.inf] * 5]
    after = text.apply(torch.arange(6.0), (0, 0))
    assert after.tolist() == [1, -torch.inf, -torch.inf, 4, 5, -torch.inf]
    assert text.list_unfinished((0,)) == ("until",)
    assert text.list_unfinished((0, 0)) == ()
    assert text.find_end((0, 0)) is None
    assert text.find_end((0, 0, 0)) == "until"


def test_without_one_that_ends_texts_the_end_tokens_of_the_vocabulary_do_not_end_one():
    text = TextProcessors({"plus": plus_one}, {3: "user"}, {4: "end"})
    assert text.stop_tokens == {3: "user"}
    assert text.find_end(()) is None
    assert not TextProcessors({}, {}, {})


def test_the_user_is_told_when_no_token_is_left():
    text = TextProcessors({"until": Until(0), "again": Until(9)}, {}, {})
    with pytest.raises(ConfigError, match=r"no token .* after 1 new tokens: until, again; "):
        text.apply(torch.zeros(3), (0,))


def test_logits_of_another_shape_name_the_processor():
    text = TextProcessors({"mine": lambda logits, ids: logits[:-1]}, {}, {})
    with pytest.raises(PluginError, match=r"^processors/mine: returns logits of the shape \(2,\)"):
        text.apply(torch.zeros(3), ())
