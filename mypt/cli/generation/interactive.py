"""`mypt generate --interactive`: prompts from a person, and settings that change in between."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import click
from attrs import asdict, evolve, frozen

from mypt.format.errors import ConfigError, MyptError, Problem, suggestion
from mypt.model.decoding.sampling_options import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.api.gpt import GPT
    from mypt.cli.generation.request import Request

HISTORY = Path("~/.mypt_history")
MAX_HISTORY = 1000
OFF = "off"
HELP = f"""Type a text to continue it; end a line with \\ to go on in the next.
  /more            go on where the last text ended
  /again           continue the last prompt once more
  /settings        show all settings
  /NAME            show one setting, such as /temperature
  /NAME VALUE      change it; `{OFF}` where it may be without
  /stop TEXT       end before this text ("\\n" in quotes is a line end); `{OFF}` forgets all
  /help            show this
  /quit            leave, as Ctrl-D does; Ctrl-C ends a text early
A prompt that begins with / is written with two."""


@frozen
class Session:
    """What a conversation knows.

    Attributes:
        model: Who answers.
        request: Settings.
        prompt: The last prompt.
        text: The last prompt with its continuation.
    """

    model: GPT
    request: Request
    prompt: str = ""
    text: str = ""


def run_session(session: Session) -> None:
    """Take lines until there are no more of them."""
    with _keep_history():
        if sys.stdin.isatty():
            click.echo("Type a text to continue it, or /help.")
        while True:
            try:
                line = _read_line()
            except EOFError:
                return
            except KeyboardInterrupt:
                click.echo()
                continue
            if line in {"/quit", "/exit"}:
                return
            try:
                session = run_line(session, line)
            except MyptError as error:
                click.echo(f"error: {error}", err=True)


def run_line(session: Session, line: str) -> Session:
    """Do what a line says.

    Raises:
        MyptError: It cannot be done; the session goes on as it was.
    """
    if not line.startswith("/"):
        return _continue_text(session, line, line) if line else session
    if line.startswith("//"):
        return _continue_text(session, line[1:], line[1:])
    name, _, value = line[1:].partition(" ")
    if name == "more":
        return _continue_text(session, session.prompt, session.text)
    if name == "again":
        return _continue_text(session, session.prompt, session.prompt)
    if name == "help":
        click.echo(HELP)
        return session
    known = list_settings(session.request)
    if name == "settings":
        _print_settings(known)
        return session
    if name not in known:
        what = f"there is no `/{name}`{suggestion(name, [*known, 'more', 'again', 'settings'])}"
        raise ConfigError(Problem("", "", what, "see /help", kind="interactive"))
    if value.strip():
        session = evolve(session, request=change_setting(session.request, name, value.strip()))
    _print_settings({name: list_settings(session.request)[name]})
    return session


def list_settings(request: Request) -> dict[str, Any]:
    """Give the settings by name."""
    own = {"max_new_tokens": request.max_new_tokens, "stop": list(request.stop)}
    return own | asdict(request.sampling)


def change_setting(request: Request, name: str, text: str) -> Request:
    """Change one setting.

    Raises:
        ConfigError: The text is no such value, or out of range.
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


def _continue_text(session: Session, prompt: str, text: str) -> Session:
    request = session.request
    pieces = session.model.stream(
        text,
        request.max_new_tokens,
        sampling=request.sampling,
        stop=request.stop,
        stop_tokens=request.stop_tokens,
    )
    first = next(pieces, "")  # a prompt that cannot be encoded is refused before it is echoed
    written = text + first
    click.echo(written, nl=False)
    try:
        for piece in pieces:
            click.echo(piece, nl=False)
            written += piece
    except KeyboardInterrupt:
        pass
    click.echo()
    return evolve(session, prompt=prompt, text=written)


def _print_settings(known: dict[str, Any]) -> None:
    import json

    for name, value in known.items():
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
        click.echo(f"{name}: {OFF if value in (None, []) else shown}")


def _read_line() -> str:
    """Read a line, and those that it says go on; a prompt is shown to people only."""
    mark = "> " if sys.stdin.isatty() else ""
    lines = [input(mark)]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(input(mark and ". "))
    return "\n".join(lines)


@contextmanager
def _keep_history() -> Iterator[None]:
    """Let a person walk back through the lines, those of earlier sessions too."""
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
