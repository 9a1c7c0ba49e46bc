"""The arguments of a generation, from the flags of `mypt generate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.cli.options.text import parse_token

if TYPE_CHECKING:
    from mypt.model.decoding.sampling_options import Sampling


@frozen(kw_only=True)
class Request:
    """What to generate: the arguments of `GPT.generate_many`."""

    prompts: list[str]
    max_new_tokens: int
    sampling: Sampling
    stop: tuple[str, ...]
    stop_tokens: tuple[int | str, ...]
    samples: int
    batch_size: int
    read_special_tokens: bool = False
    stop_at_end: bool | None = None


def make_request(
    prompts: list[str],
    max_new_tokens: int,
    stop: tuple[str, ...],
    stop_token: tuple[str, ...],
    samples: int,
    batch_size: int,
    *,
    read_special_tokens: bool = False,
    stop_at_end: bool | None = None,
    **sampling: Any,
) -> Request:
    """Build the request from the values of the flags; a sampling flag that is None was not given.

    Raises:
        ConfigError: A sampling option is out of range.
        DataError: The file of a schema or a grammar cannot be read.
    """
    from mypt.cli.generation.processors import read_processors
    from mypt.model.decoding.sampling_options import SHORTHANDS, merge_options

    plain = {k: v for k, v in sampling.items() if v is not None and k not in SHORTHANDS}
    return Request(
        prompts=prompts,
        max_new_tokens=max_new_tokens,
        sampling=merge_options(None, {**plain, **read_processors(sampling)}),
        stop=stop,
        stop_tokens=tuple(map(parse_token, stop_token)),
        samples=samples,
        batch_size=batch_size,
        read_special_tokens=read_special_tokens,
        stop_at_end=stop_at_end,
    )
