"""Check a logit processor: texts apart, any order of texts, something always left to choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from mypt.plugins.decoding.logit_processors import EndingLogitProcessor, LogitProcessorFactory
from mypt.testing.expectations import check_fields, check_options, checking_results, during, expect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.decoding.logit_processors import BeginText, LogitProcessor

_PADDING = 3  # ids without text behind those of the vocabulary, as a model may have them
_TEXTS, _TOKENS = 3, 40


@during("the logit processor")
def check_logit_processor(
    factory: LogitProcessorFactory, tokenizer: Tokenizer, options: Mapping[str, Any] | None = None
) -> list[list[int]]:
    """Check that a logit processor keeps texts apart and always leaves a token.

    Args:
        factory: As the plugin offers it.
        tokenizer: A vocabulary to choose from, such as `model.need_tokenizer()`.
        options: What a generation gives in `processors`.

    Returns:
        The ids of three texts that were drawn under it, each up to 40; whether they are as
        intended is up to the caller.

    Raises:
        ContractError: The processor violates its contract.
    """
    given = dict(options or {})
    check_fields(factory, LogitProcessorFactory)
    check_options(factory, given)
    begin = checking_results(factory).build(given, tokenizer)
    prompt = tokenizer.encode_array("").tolist() or [0]
    texts = [_draw(begin(prompt), tokenizer, seed) for seed in range(_TEXTS)]
    expect(
        _draw_together(begin, prompt, tokenizer) == texts,
        "texts that are drawn in turn become others than one after another: a processor keeps "
        "something that is not its own text's",
    )
    return texts


class _Text:
    """A text that is drawn under a processor."""

    def __init__(self, processor: LogitProcessor, tokenizer: Tokenizer, seed: int) -> None:
        self._processor, self._n_vocab = processor, tokenizer.n_vocab
        self._chance = torch.Generator().manual_seed(seed)
        self.ids: list[int] = []

    @property
    def is_done(self) -> bool:
        processor = self._processor
        if not isinstance(processor, EndingLogitProcessor):
            return len(self.ids) == _TOKENS
        done, complete = processor.is_done(tuple(self.ids)), processor.is_complete(tuple(self.ids))
        expect(complete or not done, "it is done with a text that it does not call complete")
        return done or len(self.ids) == _TOKENS

    def step(self) -> None:
        """Choose the next token."""
        logits = torch.randn(self._n_vocab + _PADDING, generator=self._chance)
        logits[self._n_vocab :] = float("-inf")
        before = logits.clone()
        with during(f"a call after {len(self.ids)} new tokens"):
            changed = self._processor(logits, tuple(self.ids))
        _check_logits(changed, before)
        probabilities = changed.softmax(-1)
        self.ids.append(int(torch.multinomial(probabilities, 1, generator=self._chance)))


def _check_logits(changed: Any, before: Tensor) -> None:
    got = type(changed).__name__
    expect(isinstance(changed, torch.Tensor), f"it returns a {got}, not a tensor")
    is_alike = changed.shape == before.shape and changed.dtype == before.dtype
    how = f"{tuple(changed.shape)} {changed.dtype}, not {tuple(before.shape)} {before.dtype}"
    expect(is_alike, f"it returns logits {how}")
    is_usable = not bool((changed.isnan() | (changed == float("inf"))).any())
    expect(is_usable, "it returns NaN or infinity; only -inf is allowed beside numbers")
    expect(bool((changed > float("-inf")).any()), "it leaves no token to choose")
    padding = changed[before == float("-inf")]
    expect(bool((padding == float("-inf")).all()), "it makes ids possible that have no text")


def _draw(processor: LogitProcessor, tokenizer: Tokenizer, seed: int) -> list[int]:
    text = _Text(processor, tokenizer, seed)
    while not text.is_done:
        text.step()
    return text.ids


def _draw_together(
    begin: BeginText, prompt: Sequence[int], tokenizer: Tokenizer
) -> list[list[int]]:
    texts = [_Text(begin(prompt), tokenizer, seed) for seed in range(_TEXTS)]
    while going := [text for text in texts if not text.is_done]:
        for text in going:
            text.step()
    return [text.ids for text in texts]
