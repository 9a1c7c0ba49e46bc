"""`mypt generate --interactive`: prompts from the terminal, and commands to change settings."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from mypt.cli.generation.ctrl_c import CtrlC
from mypt.cli.generation.lines import keep_history, read_line
from mypt.cli.generation.settings import OFF, change_setting, list_settings, print_settings
from mypt.cli.terminal import echo
from mypt.format.errors import ConfigError, DataError, MyptError, Problem
from mypt.format.names.lookup import explain_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypt.api.gpt import GPT
    from mypt.cli.generation.request import Request
    from mypt.engine.inference.prompt_ids import Prompt

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
        ctrl_c: What Ctrl-C ends.
    """

    model: GPT
    request: Request
    prompt: str = ""
    ids: Sequence[int] = ()
    ctrl_c: CtrlC = field(factory=CtrlC)


def run_session(session: Session) -> None:
    """Read and run lines until the input ends."""
    if not sys.stdin.isatty():
        _run(session)
        return
    with session.ctrl_c.handled(), keep_history():
        echo("Type a prompt to continue it, or /help.")
        _run(session)


def _run(session: Session) -> None:
    while True:
        try:
            with session.ctrl_c.ends():
                line = read_line()
        except EOFError:
            return
        except KeyboardInterrupt:
            echo()
            continue
        except DataError as error:
            echo(f"error: {error}", err=True)
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
        print_settings(known)
        return session
    if name not in known:
        commands = [*known, "more", "again", "settings", "help", "quit"]
        what = f"unknown command `/{name}`{explain_name(name, commands, mark='/')}"
        raise ConfigError(Problem("", "", what, "see /help", kind="interactive"))
    if value.strip():
        session = evolve(session, request=change_setting(session.request, name, value.strip()))
    print_settings({name: list_settings(session.request)[name]})
    return session


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
        read_special_tokens=request.read_special_tokens,
        stop_at_end=request.stop_at_end,
        stop=request.stop,
        stop_tokens=request.stop_tokens,
    )
    with suppress(KeyboardInterrupt), session.ctrl_c.ends():
        first = next(text, "")
        echo(text.prompt + first, nl=False)
        for piece in text:
            echo(piece, nl=False)
    echo()
    return evolve(session, prompt=prompt, ids=text.ids)
