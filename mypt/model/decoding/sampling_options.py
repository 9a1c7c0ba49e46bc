"""The sampling options of a user; without torch, since `--help` needs them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs
from attrs import evolve, frozen

from mypt.format.errors import ConfigError, Problem, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@frozen
class Sampling:
    """How the next token is chosen.

    Temperature is applied first, then the repetition penalty, n-grams, top-k, top-p and min-p;
    then a token is drawn from the rest.

    Attributes:
        temperature: Divides the logits. 0 is the limit: the likeliest token after the penalty and
            the n-grams, without a draw.
        top_k: Keep the k likeliest tokens, and ties with the k-th; None keeps all.
        top_p: Keep the likeliest tokens until their probability reaches this, in (0, 1];
            None keeps all.
        min_p: Keep the tokens whose probability is at least this fraction of the likeliest one's,
            in [0, 1]; None keeps all.
        repetition_penalty: Logits of tokens in the window are divided by it if positive,
            multiplied if negative; 1 does nothing. Source: Keskar et al. 2019 (CTRL).
        no_repeat_ngram_size: No run of this many tokens occurs twice in the window; None allows
            repetition. Source: Paulus et al. 2017, section 2.5.
        seed: The same seed yields the same text, whatever else is in the batch; None draws one.
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = 0.95
    min_p: float | None = None
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int | None = None
    seed: int | None = None

    def __attrs_post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: Options are out of range; the error lists all of them.
        """
        top_p = 1.0 if self.top_p is None else self.top_p
        size = self.no_repeat_ngram_size
        rules = {
            "temperature": (0 <= self.temperature < math.inf, "a finite number of 0 or more"),
            "top_k": (self.top_k is None or self.top_k >= 1, "1 or more"),
            "top_p": (0 < top_p <= 1, "more than 0 and at most 1"),
            "min_p": (self.min_p is None or 0 <= self.min_p <= 1, "0 to 1"),
            "repetition_penalty": (
                0 < self.repetition_penalty < math.inf,
                "a finite number above 0",
            ),
            "no_repeat_ngram_size": (size is None or size >= 1, "1 or more"),
            "seed": (self.seed is None or 0 <= self.seed < 2**64, "0 or more, below 2^64"),
        }
        problems = [
            Problem("", name, f"is {getattr(self, name)}", f"make it {wanted}", kind="sampling")
            for name, (is_well, wanted) in rules.items()
            if not is_well
        ]
        if problems:
            raise ConfigError(*problems)


def merge_options(sampling: Sampling | None, options: Mapping[str, Any]) -> Sampling:
    """Combine sampling options passed as an object and as keywords.

    Args:
        sampling: The base that `options` override; None is the default.
        options: Fields of `Sampling` by name.

    Raises:
        ConfigError: An option is unknown or out of range.
    """
    known = [field.name for field in attrs.fields(Sampling)]
    unknown = [name for name in options if name not in known]
    if unknown:
        fix = f"correct it; the options are: {', '.join(known)}"
        raise ConfigError(
            *(
                Problem(
                    "", name, f"is not an option{suggestion(name, known)}", fix, kind="sampling"
                )
                for name in unknown
            )
        )
    return evolve(Sampling() if sampling is None else sampling, **options)
