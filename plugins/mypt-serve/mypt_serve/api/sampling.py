"""The parameters of a request that say how texts are made."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.model.decoding.sampling_options import Sampling
from mypt_serve.api.errors import refuse
from mypt_serve.api.fields import Fields, boolean, integer, mapping, number, text
from mypt_serve.plugin import PENALTIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.plugins.manager import Plugins
    from mypt_serve.settings import Limits

MOST_STOPS, MOST_LOG_PROBS = 16, 20
SCHEMA = "json_schema"  # the logit processor
_MOST_BIASES = 1024
_ID = re.compile("0|[1-9][0-9]{0,8}")  # one way to write each
# Parameters of OpenAI's API that are not supported, with the values that ask for nothing.
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "audio": (),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "metadata": ({},),
    "modalities": (["text"],),
    "moderation": (),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "reasoning_effort": ("none",),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "verbosity": (),
    "web_search_options": (),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
}


@frozen(kw_only=True)
class Texts:
    """How the texts of a request are made.

    Attributes:
        sampling: How tokens are chosen.
        max_tokens: Tokens of one text; None where the request does not say.
        stop: Strings before which a text ends.
        n: Texts for each prompt.
    """

    sampling: Sampling
    max_tokens: int | None
    stop: tuple[str, ...]
    n: int


@frozen(kw_only=True)
class Streaming:
    """Whether the answer comes in pieces, and the last piece says how many tokens it took."""

    is_on: bool
    with_usage: bool


def read_texts(fields: Fields, limits: Limits, plugins: Plugins, most_tokens: int) -> Texts:
    """Take the parameters that say how texts are made.

    Args:
        fields: The parameters of the request.
        limits: Those of the server.
        plugins: What offers logit processors.
        most_tokens: The largest number of new tokens.

    Raises:
        ApiError: One is wrong, or not supported.
    """
    count = integer(1, most_tokens)
    limit = fields.take("max_tokens", count, None)
    other = fields.take("max_completion_tokens", count, limit)
    if limit not in (None, other):
        refuse("max_completion_tokens", "is another number than 'max_tokens'; set one of them")
    limit = other
    for name in ("user", "safety_identifier", "prompt_cache_key"):
        fields.take(name, text, "")  # they name who asks, and change no text
    sampling = Sampling(
        temperature=_read_temperature(fields),
        top_p=fields.take("top_p", _read_top_p, 1.0),
        top_k=fields.take("top_k", integer(1, 1 << 31), None),
        min_p=fields.take("min_p", number(0, 1), None),
        repetition_penalty=fields.take("repetition_penalty", number(0.01, 100), 1.0),
        no_repeat_ngram_size=fields.take("no_repeat_ngram_size", integer(1, 1 << 20), None),
        seed=fields.take("seed", _read_seed, None),
        processors=_read_processors(fields, plugins),
    )
    return Texts(
        sampling=sampling,
        max_tokens=limit,
        stop=fields.take("stop", _read_stops, ()),
        n=fields.take("n", integer(1, limits.choices), 1),
    )


def read_streaming(fields: Fields) -> Streaming:
    """Take `stream` and `stream_options`.

    Raises:
        ApiError: One is wrong, or there are options without a stream.
    """
    is_on = fields.take("stream", boolean, False)
    given = fields.take("stream_options", mapping, None)
    if given is not None and not is_on:
        refuse("stream_options", "is only allowed when 'stream' is true")
    options = Fields(given or {}, "stream_options")
    with_usage = options.take("include_usage", boolean, False)
    options.refuse_rest({"include_obfuscation": (False,)})
    return Streaming(is_on=is_on, with_usage=with_usage)


def _read_temperature(fields: Fields) -> float:
    temperature = fields.take("temperature", number(0, 2), 1.0)
    return temperature if temperature >= 1e-6 else 0.0  # what is smaller would overflow


def _read_top_p(name: str, value: Any) -> float:
    return max(number(0, 1)(name, value), 1e-9)  # of 0, OpenAI keeps the likeliest token


def _read_seed(name: str, value: Any) -> int:
    return integer(-(2**63), 2**63 - 1)(name, value) % 2**64


def _read_stops(name: str, value: Any) -> tuple[str, ...]:
    stops = value if isinstance(value, list) else [value]
    if len(stops) > MOST_STOPS:
        refuse(name, f"has more than {MOST_STOPS} strings")
    read = tuple(text(name, stop) for stop in stops)
    if "" in read:
        refuse(name, "has an empty string")
    return read


def _read_processors(fields: Fields, plugins: Plugins) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    penalties = {
        kind: fields.take(f"{kind}_penalty", number(-2, 2), 0.0)
        for kind in ("presence", "frequency")
    }
    if any(penalties.values()):
        found[PENALTIES] = penalties
    biases = fields.take("logit_bias", _read_biases, dict[int, float]())
    if biases:
        found["logit_bias"] = {"bias": biases}
    schema = fields.take("response_format", _read_format, None)
    if schema is not None:
        if SCHEMA not in plugins.logit_processors or not find_spec("llguidance"):
            what = 'can only be {"type": "text"} here; for JSON: pip install "mypt-lm[constraints]"'
            refuse("response_format", what, "unsupported_parameter")
        found[SCHEMA] = {"schema": schema}
    return found


def _read_biases(name: str, value: Any) -> dict[int, float]:
    given = mapping(name, value)
    if len(given) > _MOST_BIASES:
        refuse(name, f"has more than {_MOST_BIASES} tokens")
    if not all(_ID.fullmatch(key) for key in given):
        refuse(name, "must have ids of tokens as its names")
    return {int(key): number(-100, 100)(f"{name}.{key}", bias) for key, bias in given.items()}


def _read_format(name: str, value: Any) -> dict[str, Any] | None:
    """Return the schema that the text has to match; None for any text."""
    given = Fields(mapping(name, value), name)
    kind = given.need("type", text)
    if kind == "json_schema":
        described = Fields(given.need("json_schema", mapping), f"{name}.json_schema")
        schema: dict[str, Any] | None = described.need("schema", mapping)
        described.take("name", text, "")
        described.take("description", text, "")
        described.take("strict", boolean, True)
        described.refuse_rest({})
    elif kind in ("text", "json_object"):
        schema = None if kind == "text" else {"type": "object"}
    else:
        refuse(name, "must be of type text, json_object or json_schema")
    given.refuse_rest({})
    return schema
