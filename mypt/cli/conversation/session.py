"""A session of `mypt chat`: questions from the terminal or a pipe, and commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.chat.message import ASSISTANT, USER
from mypt.cli.conversation.files import load_messages, save_messages
from mypt.cli.generation.ctrl_c import CtrlC
from mypt.cli.generation.lines import keep_history, read_line
from mypt.cli.generation.settings import OFF, change_setting, list_settings, print_settings
from mypt.cli.terminal import echo, echo_json
from mypt.format.errors import ConfigError, MyptError, Problem, format_count
from mypt.format.names.lookup import explain_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypt.engine.inference.answer import Answer
    from mypt.engine.inference.conversation import Chat

HELP = f"""Type a question; end a line with \\ to add another line.
  /regenerate          answer the last question again
  /edit N [TEXT]       replace question N, or `last`, and all that follows
  /undo                take back the last question and its answer
  /clear               begin a new conversation
  /history             show the conversation
  /save FILE           save it, as a line that `mypt data chats` reads
  /load FILE           go on with a saved one
  /system TEXT         set the system prompt; `{OFF}` removes it
  /settings            show all settings
  /NAME                show one setting, such as /temperature
  /NAME VALUE          change it; `{OFF}` disables it, where that is possible
  /stop TEXT           stop before this text ("\\n" in quotes is a line break); `{OFF}` removes all
  /help                show this
  /quit                exit, like Ctrl-D; Ctrl-C stops an answer
Write // to begin a question with /."""
LAST = "last"
_MARKS = {ASSISTANT: ""}


class Session:
    """A conversation and the commands about it."""

    def __init__(self, chat: Chat, *, as_json: bool = False) -> None:
        """Begin.

        Args:
            chat: The conversation.
            as_json: Whether to print a JSON object per answer, and all else to standard error.
        """
        self._chat, self._as_json = chat, as_json
        self._is_terminal = sys.stdin.isatty()
        self._ctrl_c = CtrlC()
        self._has_answered = False
        self._written: dict[Path, bytes] = {}  # what this session wrote or read, by file
        self._commands: dict[str, Callable[[str], None]] = {
            "regenerate": self._regenerate,
            "edit": self._edit,
            "undo": self._undo,
            "clear": self._clear,
            "history": self._show_history,
            "save": self._save,
            "load": self._load,
            "system": self._set_system,
            "settings": self._show_settings,
            "help": self._show_help,
        }

    def run(self) -> int:
        """Read and run lines until the input ends; return how many could not be run."""
        if not self._is_terminal:
            return self._run()
        with self._ctrl_c.handled(), keep_history():
            self._say("Ask something, or type /help.")
            return self._run()

    def _run(self) -> int:
        failed = 0
        while True:
            try:
                line = self._read_line()
                if line in {"/quit", "/exit"}:
                    return failed
                self.run_line(line)
            except EOFError:
                return failed
            except KeyboardInterrupt:
                if not self._is_terminal:
                    raise
                self._say()
            except MyptError as error:
                failed += 1
                echo(f"error: {error}", err=True)

    def run_line(self, line: str) -> None:
        """Run one line, a command or a question.

        Raises:
            MyptError: It cannot be run; the conversation is unchanged.
        """
        if not line.strip():
            return
        if not line.startswith("/") or line.startswith("//"):
            question = line.removeprefix("/")
            self._show_answer(question, self._chat.stream(question))
            return
        name, _, value = line[1:].partition(" ")
        if name in self._commands:
            self._commands[name](value.strip())
            return
        known = list_settings(self._chat.settings)
        if name not in known:
            commands = [*known, *self._commands, "quit"]
            what = f"unknown command `/{name}`{explain_name(name, commands, mark='/')}"
            raise ConfigError(Problem("", "", what, "see /help", kind="interactive"))
        if value.strip():
            self._chat.settings = change_setting(self._chat.settings, name, value.strip())
        self._print_settings(name)

    def _show_answer(self, question: str, answer: Answer) -> None:
        if self._as_json:
            for _ in answer:
                pass
            echo_json(_describe(question, answer), indent=None)
            return
        if not self._is_terminal:  # which shows what is typed, and a pipe does not
            if self._has_answered:
                echo()
            echo(f"> {question}")
        self._has_answered = True
        try:
            with self._ctrl_c.ends():
                for piece in answer:
                    echo(piece, nl=False)
        except KeyboardInterrupt:
            if not self._is_terminal:
                raise
        finally:
            answer.close()
            echo()
        self._note_cut(answer)

    def _note_cut(self, answer: Answer) -> None:
        most = self._chat.settings.max_new_tokens
        if answer.stopped_by is None and len(answer.ids) == most:
            echo(f"note: cut after {most} tokens; /max_new_tokens allows more", err=True)

    def _regenerate(self, _: str) -> None:
        self._show_answer(self._chat.question(), self._chat.regenerate())

    def _edit(self, value: str) -> None:
        place, _, text = value.partition(" ")
        number = None if place == LAST else _parse_number(place)
        before = self._chat.question(number)
        text = text.strip() or self._read_line(begun=before)
        if text.strip():
            self._show_answer(text, self._chat.edit(text, number))

    def _undo(self, _: str) -> None:
        self._chat.undo()
        self._say(f"{self._count_messages()} left")

    def _clear(self, _: str) -> None:
        self._chat.clear()
        self._say("a new conversation")

    def _show_history(self, _: str) -> None:
        number = 0
        for message in self._chat.messages:
            is_question = message.role == USER
            number += is_question
            mark = f"{number}> " if is_question else ""
            self._say(f"{mark or _MARKS.get(message.role, f'{message.role}: ')}{message.content}")

    def _save(self, value: str) -> None:
        path = _parse_path(value, "/save")
        data = save_messages(path, self._chat.messages, self._written.get(path), self._may_replace)
        self._written[path] = data
        self._say(f"saved {self._count_messages()} to {path}")

    def _load(self, value: str) -> None:
        path = _parse_path(value, "/load")
        messages, data = load_messages(path)
        self._chat.replace(messages)
        self._written[path] = data
        self._say(f"loaded {self._count_messages()} from {path}")

    def _set_system(self, value: str) -> None:
        if value:
            self._chat.set_system(None if value == OFF else value)
        self._say(f"system: {self._chat.system or OFF}")

    def _show_settings(self, _: str) -> None:
        self._say(f"system: {self._chat.system or OFF}")
        self._print_settings(*list_settings(self._chat.settings))

    def _show_help(self, _: str) -> None:
        self._say(HELP)

    def _print_settings(self, *names: str) -> None:
        known = list_settings(self._chat.settings)
        print_settings({name: known[name] for name in names}, err=self._as_json)

    def _may_replace(self, file: str) -> bool:
        if not self._is_terminal:
            return False
        answer = self._read_line(mark=f"{file} exists; replace it? [y/N] ")
        return answer.strip().lower() in {"y", "yes"}

    def _read_line(self, mark: str = "> ", begun: str = "") -> str:
        with self._ctrl_c.ends():
            return read_line(mark, begun)

    def _count_messages(self) -> str:
        return format_count(len(self._chat.messages), "message")

    def _say(self, text: str = "") -> None:
        echo(text, err=self._as_json)


def _describe(question: str, answer: Answer) -> dict[str, Any]:
    return {
        "question": question,
        "answer": answer.text,
        "stopped_by": answer.stopped_by,
        **({"unfinished": list(answer.unfinished)} if answer.unfinished else {}),
        "seed": answer.seed,
        "prompt_ids": list(answer.prompt_ids),
        "ids": list(answer.ids),
        "reused": answer.reused,
    }


def _parse_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        what, fix = f"is `{text}`", f"give the number of a question, or `{LAST}`"
        raise ConfigError(Problem("", "/edit", what, fix, kind="interactive")) from None


def _parse_path(text: str, command: str) -> Path:
    if text:
        return Path(text).expanduser()
    fix = "give the name of a file"
    raise ConfigError(Problem("", command, "lacks a file", fix, kind="interactive"))
