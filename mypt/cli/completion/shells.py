"""What shells ask when Tab is pressed, by click's protocol: `_MYPT_COMPLETE` says which shell."""

from __future__ import annotations

import re
from glob import escape, glob
from pathlib import Path
from typing import TYPE_CHECKING

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click import Command

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_MYPT_COMPLETE"
_LONGEST_HELP = 80
_SPECIAL, _ESCAPED = re.compile(r"[^\w@%+=:,./-]"), r"\\\g<0>"


class _Words(ShellComplete):
    """Completes `--model-name` as well as `--model_name`, with help of one sentence."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return the completions of a word, spelt with dashes where the word is."""
        spelt = [_spell(word) for word in args]
        found = super().get_completions(spelt, _spell(incomplete))
        has_dashes = "-" in incomplete.partition("=")[0][2:] and incomplete[:2] == "--"
        return [_shorten(item, has_dashes=has_dashes) for item in found]


class _WholeWords(_Words):
    """Completes the value of `--name=value` as a part of that word."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return the completions of a word, the values of an option with that before them."""
        option, _ = _split_option(incomplete)
        return [
            CompletionItem(f"{option}{item.value}", item.type, item.help)
            if item.type == "plain"
            else item
            for item in super().get_completions(args, incomplete)
        ]


class Bash(_Words, BashComplete):
    """Completion in bash, which takes `--name=value` for three words."""

    source_template = BashComplete.source_template.replace("$1)", '"$1" 2>/dev/null)').replace(
        "read type", "read -r type"
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one to complete, and that one."""
        args, incomplete = super().get_completion_args()
        words: list[str] = []
        for word in (*args, incomplete):
            if words and (word == "=" or words[-1][-1:] == "=") and words[-1][:2] == "--":
                words[-1] += word
            else:
                words.append(word)
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """Return a line for the script, in which a value is as one would type it."""
        return f"{item.type},{_SPECIAL.sub(_ESCAPED, item.value)}"


class Zsh(_WholeWords, ZshComplete):
    """Completion in zsh, also of a `mypt` that is called by its path."""

    source_template = (
        ZshComplete.source_template.replace(
            "(( ! $+commands[%(prog_name)s] )) && return 1",
            "whence -- ${(Q)words[1]} >/dev/null || return 1",
        )
        .replace("zsh_complete %(prog_name)s)", "zsh_complete ${(Q)words[1]} 2>/dev/null)")
        .replace("for type key", "compset -P '--*='\n\n    for type key")  # for paths
    )


class Fish(_WholeWords, FishComplete):
    """Completion in fish, which replaces the whole of `--name=value`."""

    source_template = FishComplete.source_template.replace(
        " %(prog_name)s);", " (commandline -opc)[1] 2>/dev/null);"
    ).replace('split "," ', 'split -m 1 "," ')  # there are commas in the help

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return the completions of a word, and paths beside `--name=`, which fish knows not of."""
        found = super().get_completions(args, incomplete)
        option, start = _split_option(incomplete)
        if not option:
            return found
        paths = [
            CompletionItem(f"{option}{path}")
            for item in found
            if item.type != "plain"
            for path in _list_paths(start, item.type)
        ]
        return [*paths, *(item for item in found if item.type == "plain")]


def register() -> None:
    """Have click answer shells by the classes of this module."""
    for cls in (Bash, Zsh, Fish):
        add_completion_class(cls)


def make_script(shell: str, command: Command) -> str:
    """Return the script that a shell reads to complete the words of `mypt`.

    Args:
        shell: One of `SHELLS`.
        command: `mypt`.
    """
    cls = {"bash": Bash, "zsh": Zsh, "fish": Fish}[shell]
    return cls(command, {}, "mypt", VARIABLE).source()


def _list_paths(start: str, kind: str) -> Iterator[str]:
    """Yield the folders, and where `kind` is `file` the files, whose path begins so."""
    for path in sorted(glob(f"{escape(start)}*")):  # noqa: PTH207 - pathlib drops a leading ./
        if Path(path).is_dir():
            yield f"{path}/"
        elif kind == "file":
            yield path


def _spell(word: str) -> str:
    """Return an option as it is declared, with underscores; any other word as it is."""
    if word[:2] != "--":
        return word
    name, equals, value = word.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}"


def _split_option(word: str) -> tuple[str, str]:
    """Return `--name=` and the value of a word; "" and the word where it has no such name."""
    name, equals, value = word.partition("=")
    return (f"{name}=", value) if equals and name[:2] == "--" else ("", word)


def _shorten(item: CompletionItem, *, has_dashes: bool) -> CompletionItem:
    value = item.value
    if has_dashes and value[:2] == "--":
        value = f"--{value[2:].replace('_', '-')}"
    return CompletionItem(value, item.type, _first_sentence(item.help))


def _first_sentence(text: str | None) -> str | None:
    if text is None:
        return None
    sentence = " ".join(text.split()).partition(". ")[0].partition(": ")[0].rstrip(".")
    return sentence if len(sentence) <= _LONGEST_HELP else f"{sentence[:_LONGEST_HELP]}..."
