"""The sampling options of a user; without torch, since `--help` needs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from attrs import evolve, field, frozen

from mypt.format.calls.signatures import checks_calls
from mypt.format.errors import ConfigError, Problem
from mypt.format.names.lookup import explain_name
from mypt.format.rules.arguments import (
    MAPPING,
    check_arguments,
    mapping_of,
    number_where,
    optional,
    whole_number,
)

# The options of logit processors by name.
ProcessorOptions = Mapping[str, Mapping[str, Any]]
# Logits are float32: beyond these numbers they would overflow, and no token would be left.
_TEMPERATURES, _PENALTIES = (1e-20, 1e20), (1e-10, 1e10)
_COUNT = optional(whole_number(1))
RULES = {
    "temperature": number_where(
        lambda t: t == 0 or _TEMPERATURES[0] <= t <= _TEMPERATURES[1],
        "a finite number from {:g} to {:g}, or 0".format(*_TEMPERATURES),
    ),
    "top_k": _COUNT,
    "top_p": optional(number_where(lambda p: 0 < p <= 1, "more than 0 and at most 1")),
    "min_p": optional(number_where(lambda p: 0 <= p <= 1, "0 to 1")),
    "repetition_penalty": number_where(
        lambda penalty: _PENALTIES[0] <= penalty <= _PENALTIES[1],
        "a finite number from {:g} to {:g}".format(*_PENALTIES),
    ),
    "no_repeat_ngram_size": _COUNT,
    "seed": optional(whole_number(0, below=2**64)),
    "processors": mapping_of(
        MAPPING, 'the options of logit processors by name, such as {"regex": {"pattern": "[a-z]+"}}'
    ),
}
# Keyword arguments of a generation that stand for the one option of a logit processor.
SHORTHANDS = {
    "logit_bias": "bias",
    "banned_words": "words",
    "json_schema": "schema",
    "regex": "pattern",
    "grammar": "lark",
}


@checks_calls
@frozen
class Sampling:
    """How the next token is chosen.

    The logit processors come first, then temperature, the repetition penalty, n-grams, top-k,
    top-p and min-p; then a token is drawn from the rest.

    Attributes:
        temperature: Divides the logits, 1e-20 to 1e20. 0 is the limit: the likeliest token after
            the penalty and the n-grams, without a draw.
        top_k: Keep the k likeliest tokens, and ties with the k-th; None keeps all.
        top_p: Keep the likeliest tokens until their probability reaches this, in (0, 1];
            None keeps all.
        min_p: Keep the tokens whose probability is at least this fraction of the likeliest one's,
            in [0, 1]; None keeps all.
        repetition_penalty: Logits of tokens in the window are divided by it if positive,
            multiplied if negative; 1e-10 to 1e10, and 1 does nothing. Source: Keskar et al. 2019
            (CTRL).
        no_repeat_ngram_size: No run of this many tokens occurs twice in the window; None allows
            repetition. Source: Paulus et al. 2017, section 2.5.
        processors: The options of logit processors, by the names under which plugins offer them.
            They change the model's logits, before all of the above, in this order; those that
            decide when a text ends come last.
        seed: The same seed yields the same text, whatever else is in the batch; None draws one.
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = 0.95
    min_p: float | None = None
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int | None = None
    processors: ProcessorOptions = field(factory=dict, hash=False)
    seed: int | None = None

    def __attrs_post_init__(self) -> None:
        """Check types and ranges.

        Raises:
            ConfigError: Options are of another type or out of range; the error lists all of them.
        """
        given = {name: (getattr(self, name), rule) for name, rule in RULES.items()}
        for name, value in check_arguments(**given).items():
            object.__setattr__(self, name, value)  # a number of numpy becomes one of Python


def merge_options(sampling: Sampling | None, options: Mapping[str, Any]) -> Sampling:
    """Combine sampling options passed as an object and as keywords.

    Args:
        sampling: The base that `options` override; None is the default.
        options: Fields of `Sampling` by name, and keys of `SHORTHANDS`, which are added to its
            `processors`; one that is None is left out.

    Raises:
        ConfigError: An option is unknown or out of range.
    """
    known = [*(one.name for one in attrs.fields(Sampling)), *SHORTHANDS]
    elsewhere = dict.fromkeys(("prompt", "max_new_tokens"), "another argument")
    unknown = [name for name in options if name not in known]
    if unknown:
        fix = f"correct it; the options are: {', '.join(known)}"
        raise ConfigError(
            *(
                Problem(
                    "",
                    name,
                    f"is not an option{explain_name(name, known, elsewhere)}",
                    fix,
                    kind="sampling",
                )
                for name in unknown
            )
        )
    base = Sampling() if sampling is None else sampling
    named = {name: options[name] for name in SHORTHANDS if options.get(name) is not None}
    fields = {name: value for name, value in options.items() if name not in SHORTHANDS}
    sampling = evolve(base, **fields)
    own = {name: {SHORTHANDS[name]: value} for name, value in named.items()}
    return evolve(sampling, processors={**sampling.processors, **own}) if own else sampling
