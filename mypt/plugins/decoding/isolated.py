"""A plugin's logit processor as one whose failures name the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.plugins.decoding.logit_processors import EndingLogitProcessor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from mypt.plugins.decoding.logit_processors import LogitProcessor

    Isolate = Callable[[str, Callable[..., Any]], Callable[..., Any]]


class _Isolated:
    def __init__(self, made: LogitProcessor, isolate: Isolate) -> None:
        self._call = isolate("__call__", made.__call__)

    def __call__(self, logits: Tensor, ids: Sequence[int], /) -> Tensor:
        changed: Tensor = self._call(logits, ids)
        return changed


class _IsolatedEnding(_Isolated):
    def __init__(self, made: EndingLogitProcessor, isolate: Isolate) -> None:
        super().__init__(made, isolate)
        self.is_complete = isolate("is_complete", made.is_complete)
        self.is_done = isolate("is_done", made.is_done)


def isolate_processor(made: LogitProcessor, isolate: Isolate) -> LogitProcessor:
    """Return the processor of a text with each of its functions isolated.

    Args:
        made: What a plugin made.
        isolate: Wraps a function, by its name in messages.
    """
    if isinstance(made, EndingLogitProcessor):
        return _IsolatedEnding(made, isolate)
    return _Isolated(made, isolate)
