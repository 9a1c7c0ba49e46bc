"""Commands whose flags take true and false as other programs' flags do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_VALUES = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
_WORDS = ("true", "false")  # values that need no "=" before them


class Command(click.Command):
    """A command with flags that may have a value: `--compile=False`, or `--compile false`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, after replacing each flag with a value by one without."""
        return super().parse_args(ctx, self.spell_flags(ctx, args))

    def spell_flags(self, ctx: click.Context, args: Sequence[str]) -> list[str]:
        """Return the arguments with `--name` or `--no_name` for each flag that has a value.

        Raises:
            BadOptionUsage: The value of a flag is neither true nor false.
        """
        return list(_spell_flags(args, self.get_params(ctx), ctx))


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


def _spell_flags(
    args: Sequence[str], parameters: Sequence[click.Parameter], ctx: click.Context
) -> Iterator[str]:
    options = {name: p for p in parameters for name in (*p.opts, *p.secondary_opts)}
    words = [*args]
    while words:
        word = words.pop(0)
        name, given, value = word.partition("=")
        name = f"--{name[2:].replace('-', '_')}"
        option = options.get(name) if word[:2] == "--" else None
        if word == "--":  # what follows are no options
            yield from [word, *words]
            return
        if not isinstance(option, click.Option):
            yield word
        elif not option.is_flag:
            yield word
            if not given:
                yield from words[: option.nargs]
                del words[: option.nargs]
        elif given or (words and words[0].lower() in _WORDS):
            yield from _spell_flag(option, name, value if given else words.pop(0), ctx)
        else:
            yield word


def _spell_flag(option: click.Option, name: str, value: str, ctx: click.Context) -> Iterator[str]:
    if value.lower() not in _VALUES:
        message = f"Option '{name}' takes true or false, not '{value}'"
        raise click.BadOptionUsage(name, message, ctx)
    is_on = _VALUES[value.lower()] != (name in option.secondary_opts)
    yield from option.opts[:1] if is_on else option.secondary_opts[:1]
