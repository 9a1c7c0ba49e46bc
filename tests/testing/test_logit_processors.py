"""The kit finds what is wrong with logit processors; see `test_offered` for mypt's own."""

import pytest
import torch

from mypt.plugins import LogitProcessorFactory
from mypt.testing import ContractError, check_logit_processor
from mypt.tokenizers.char import CharTokenizer

TOKENIZER = CharTokenizer.train("abcd")


def offer(begin):
    return LogitProcessorFactory("mine", lambda options, tokenizer: begin)


def shared(_):
    seen = offer.__dict__.setdefault("seen", [])

    def ban_last(logits, ids):
        seen.append(ids)
        logits[len(seen) % 3] = -torch.inf
        return logits

    return ban_last


class NeverComplete:
    def __call__(self, logits, ids):
        return logits

    def is_complete(self, ids):
        return False

    def is_done(self, ids):
        return len(ids) == 3


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        (shared, "texts that are drawn in turn become others"),
        (lambda _: lambda logits, ids: logits[None], r"it returns logits \(1, 7\)"),
        (lambda _: lambda logits, ids: logits.double(), "torch.float64, not"),
        (lambda _: lambda logits, ids: logits * 0, "NaN or infinity"),
        (lambda _: lambda logits, ids: logits.fill_(-torch.inf), "leaves no token"),
        (lambda _: lambda logits, ids: logits.fill_(0.0), "makes ids possible that have no text"),
        (lambda _: lambda logits, ids: logits.tolist(), "it returns a list, not a tensor"),
        (lambda _: NeverComplete(), "done with a text that it does not call complete"),
        (lambda _: lambda logits, ids: 1 / 0, "after 0 new tokens: it raises ZeroDivisionError"),
    ],
)
def test_what_is_wrong_is_said(begin, said):
    with pytest.raises(ContractError, match=said):
        check_logit_processor(offer(begin), TOKENIZER)


def test_the_texts_are_returned():
    texts = check_logit_processor(offer(lambda _: lambda logits, ids: logits), TOKENIZER)
    assert [len(text) for text in texts] == [40] * 3
    assert {number for text in texts for number in text} == {0, 1, 2, 3}
