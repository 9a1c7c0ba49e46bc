"""Cache the keys and values of a text, for its next token and for the next text."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mypt.model.decoding.decoder import Decoder
from mypt.model.decoding.weights_version import WeightsVersion
from mypt.model.part_failures import naming_failures

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from mypt.model.transformer import Transformer


class CachedLogits:
    """Computes the logits after a window, caching the keys and values of earlier tokens.

    Attributes:
        cache: The keys and values.
    """

    def __init__(self, model: Transformer, batch_size: int, length: int, new_tokens: int) -> None:
        """Begin with nothing stored.

        Args:
            model: In any mode.
            batch_size: Number of texts.
            length: Number of positions of the longest text.
            new_tokens: About how many tokens are added to each.
        """
        self._model = model
        self._cacheable = model.config.cacheable_length
        self.cache = model.make_cache(length)
        self._make_decoder = partial(Decoder.make, model, batch_size, new_tokens)
        self._decoder: Decoder | Transformer | None = None

    def __call__(self, window: Tensor) -> Tensor:
        """Return the logits of the token after each row of a window, (B, vocab_size).

        Args:
            window: (B, T) int64; its first `cache.length` ids are those whose keys are stored,
                unless it has block_size ids: then it may have slid.
        """
        cache = self.cache
        if window.size(1) > self._cacheable:
            return self._model.next_logits(window)
        if cache.length == self._model.config.block_size:  # it slid: all positions are new
            cache.length = 0
        new = window[:, cache.length :]
        if new.size(1) > 1 or cache.length == 0:
            return self._model.next_logits(new, cache)
        with naming_failures(self._model):
            if self._decoder is None:
                self._decoder = self._make_decoder() or self._model
            return self._decoder.next_logits(new, cache)


class PrefixCache:
    """The keys and values that a text leaves for the next one, which may begin like it.

    One text at a time uses it, of one model after another. Of a model that changed in between,
    nothing is kept.

    Attributes:
        reused: Number of positions of the last prompt whose keys and values were there already.
    """

    def __init__(self) -> None:
        """Begin with nothing stored."""
        self.reused = 0
        self._logits: CachedLogits | None = None
        self._version: WeightsVersion | None = None
        self._stored: Tensor | None = None  # ids whose keys are stored, (T,); None during a pass

    def begin(self, model: Transformer, prompt: Tensor, new_tokens: int) -> Callable[..., Tensor]:
        """Return what computes the logits after a window, which begins with a prompt.

        Args:
            model: In any mode.
            prompt: Ids, (1, T) int64 with T <= block_size.
            new_tokens: About how many tokens are added.
        """
        logits = self._logits
        if logits is None or self._version is None or not self._version.is_of(model):
            logits, self._stored = CachedLogits(model, 1, model.config.block_size, new_tokens), None
            self._logits, self._version = logits, WeightsVersion(model)
        # The last position is computed in any case, for its logits.
        start = min(_count_common(self._stored, prompt[0]), prompt.size(1) - 1)
        self.reused = logits.cache.length = start if logits.cache.can_resume(start) else 0
        return self._compute

    def _compute(self, window: Tensor) -> Tensor:
        """Return the logits after a window (1, T), and know its keys unless that is interrupted."""
        logits, self._stored = self._logits, None
        assert logits is not None  # noqa: S101 - `begin` made it
        computed = logits(window)
        if logits.cache.length == window.size(1):
            self._stored = window[0]
        return computed


def _count_common(stored: Tensor | None, prompt: Tensor) -> int:
    """Return with how many equal ids two texts begin, (T,) int64 each."""
    if stored is None:
        return 0
    length = min(len(stored), len(prompt))
    same = stored[:length].to(prompt.device) == prompt[:length]
    return int(same.long().cumprod(0).sum())
