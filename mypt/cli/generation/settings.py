"""Settings of a session in the terminal, which its commands show and change."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from attrs import asdict, evolve

from mypt.cli.options.text import parse_json
from mypt.cli.terminal import echo
from mypt.format.errors import ConfigError, Problem
from mypt.model.decoding.sampling_options import Sampling

if TYPE_CHECKING:
    from mypt.cli.generation.request import Request
    from mypt.engine.inference.conversation import ChatSettings

    S = TypeVar("S", Request, ChatSettings)

OFF = "off"
PROCESSORS = "processors"


def list_settings(request: Request | ChatSettings) -> dict[str, Any]:
    """Return the settings by name."""
    own = {"max_new_tokens": request.max_new_tokens, "stop": list(request.stop)}
    return own | asdict(request.sampling)


def change_setting(request: S, name: str, text: str) -> S:
    """Return the settings with one changed.

    Raises:
        ConfigError: The text is not a valid value of the setting.
    """
    if name == "stop":
        return evolve(request, stop=() if text == OFF else (*request.stop, _unquote(text)))
    if name == "max_new_tokens":
        return evolve(request, max_new_tokens=_parse_value(name, text, int))
    if name == PROCESSORS:
        given = _parse_processors(text)
        return evolve(request, sampling=evolve(request.sampling, processors=given))
    hint = get_type_hints(Sampling)[name]
    return evolve(
        request, sampling=evolve(request.sampling, **{name: _parse_value(name, text, hint)})
    )


def _parse_value(name: str, text: str, hint: Any) -> Any:
    kinds = get_args(hint) or (hint,)
    if text == OFF and type(None) in kinds:
        return None
    try:
        return kinds[0](text)
    except ValueError:
        wanted = "a whole number" if kinds[0] is int else "a number"
        problem = Problem("", name, f"is `{text}`", f"make it {wanted}", kind="interactive")
        raise ConfigError(problem) from None


def _parse_processors(text: str) -> Any:
    try:
        return {} if text == OFF else parse_json(text)
    except ValueError:
        fix = 'write it as {"regex": {"pattern": "[a-z]+"}}'
        raise ConfigError(Problem("", PROCESSORS, "is not JSON", fix, kind="interactive")) from None


def _unquote(text: str) -> str:
    with suppress(ValueError):
        value = parse_json(text)
        return value if isinstance(value, str) else text
    return text


def print_settings(known: dict[str, Any], *, err: bool = False) -> None:
    """Print settings, each on a line, to standard output or standard error."""
    import json

    for name, value in known.items():
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
        echo(f"{name}: {OFF if value in (None, [], {}) else shown}", err=err)
