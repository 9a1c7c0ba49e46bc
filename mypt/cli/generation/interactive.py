"""`mypt generate --interactive`: prompts from the terminal, and commands to change settings."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from attrs import asdict, evolve, frozen

from mypt.cli.terminal import echo
from mypt.format.errors import ConfigError, MyptError, Problem
from mypt.format.names.lookup import explain_name
from mypt.model.decoding.sampling_options import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypt.api.gpt import GPT
    from mypt.cli.generation.request import Request
    from mypt.engine.inference.prompt_ids import Prompt

HISTORY = Path("~/.mypt_history")
MAX_HISTORY = 1000
OFF = "off"
HELP = f"""Type a prompt to continue it; end a line with \\ to add another line.
  /more            continue the last text, from its very tokens
  /again           continue the last prompt again
  /settings        show all settings
  /NAME            show one setting, such as /temperature
  /NAME VALUE      change it; `{OFF}` disables it, where that is possible
  /stop TEXT       stop before this text ("\\n" in quotes is a line break); `{OFF}` removes all
  /help            show this
  /quit            exit, like Ctrl-D; Ctrl-C stops a text early
Write // to begin a prompt with /."""


@frozen
class Session:
    """The state of an interactive session.

    Attributes:
        model: The model that continues the prompts.
        request: The current settings.
        prompt: The last prompt.
        ids: The tokens of the last prompt and of its continuation.
    """

    model: GPT
    request: Request
    prompt: str = ""
    ids: Sequence[int] = ()


def run_session(session: Session) -> None:
    """Read and run lines until the input ends."""
    with _keep_history():
        if sys.stdin.isatty():
            echo("Type a prompt to continue it, or /help.")
        while True:
            try:
                line = _read_line()
            except EOFError:
                return
            except KeyboardInterrupt:
                echo()
                continue
            if line in {"/quit", "/exit"}:
                return
            try:
                session = run_line(session, line)
            except MyptError as error:
                echo(f"error: {error}", err=True)


def run_line(session: Session, line: str) -> Session:
    """Run one line, a command or a prompt, and return the new state.

    Raises:
        MyptError: The line cannot be run; the session is unchanged.
    """
    if not line.startswith("/"):
        return _continue(session, line, line) if line else session
    if line.startswith("//"):
        return _continue(session, line[1:], line[1:])
    name, _, value = line[1:].partition(" ")
    if name == "more":
        return _continue(session, session.prompt, session.ids)
    if name == "again":
        return _continue(session, session.prompt, session.prompt)
    if name == "help":
        echo(HELP)
        return session
    known = list_settings(session.request)
    if name == "settings":
        _print_settings(known)
        return session
    if name not in known:
        commands = [*known, "more", "again", "settings", "help", "quit"]
        what = f"unknown command `/{name}`{explain_name(name, commands, mark='/')}"
        raise ConfigError(Problem("", "", what, "see /help", kind="interactive"))
    if value.strip():
        session = evolve(session, request=change_setting(session.request, name, value.strip()))
    _print_settings({name: list_settings(session.request)[name]})
    return session


def list_settings(request: Request) -> dict[str, Any]:
    """Return the settings by name."""
    own = {"max_new_tokens": request.max_new_tokens, "stop": list(request.stop)}
    return own | asdict(request.sampling)


def change_setting(request: Request, name: str, text: str) -> Request:
    """Return the request with one setting changed.

    Raises:
        ConfigError: The text is not a valid value of the setting.
    """
    if name == "stop":
        return evolve(request, stop=() if text == OFF else (*request.stop, _unquote(text)))
    if name == "max_new_tokens":
        return evolve(request, max_new_tokens=_parse_value(name, text, int))
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


def _unquote(text: str) -> str:
    import json

    with suppress(ValueError):
        value = json.loads(text)
        return value if isinstance(value, str) else text
    return text


def _continue(session: Session, prompt: str, begin: Prompt) -> Session:
    """Print a text and its continuation.

    Args:
        session: The session.
        prompt: What `/again` continues from here on.
        begin: What is continued now: the prompt, or the ids that `/more` goes on with.
    """
    request = session.request
    text = session.model.stream(
        begin,
        request.max_new_tokens,
        sampling=request.sampling,
        stop=request.stop,
        stop_tokens=request.stop_tokens,
    )
    first = next(text, "")
    echo(text.prompt + first, nl=False)
    with suppress(KeyboardInterrupt):
        for piece in text:
            echo(piece, nl=False)
    echo()
    return evolve(session, prompt=prompt, ids=text.ids)


def _print_settings(known: dict[str, Any]) -> None:
    import json

    for name, value in known.items():
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
        echo(f"{name}: {OFF if value in (None, []) else shown}")


def _read_line() -> str:
    """Read a line and its continuation lines; only a terminal gets a prompt mark."""
    mark = "> " if sys.stdin.isatty() else ""
    lines = [input(mark)]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(input(mark and ". "))
    return "\n".join(lines)


@contextmanager
def _keep_history() -> Iterator[None]:
    """Load and save the history of lines, if the input is a terminal."""
    try:
        import readline
    except ImportError:  # Windows, whose console keeps a history of its own
        yield
        return
    if not sys.stdin.isatty():
        yield
        return
    file = HISTORY.expanduser()
    with suppress(OSError):
        readline.read_history_file(file)
    try:
        yield
    finally:
        readline.set_history_length(MAX_HISTORY)
        with suppress(OSError):
            readline.write_history_file(file)
