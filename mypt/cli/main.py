"""Entry points, and the one place that turns errors into exit codes."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from mypt.cli.command_table import COMMANDS, FORMAT_COMMANDS
from mypt.cli.options.plugins import check_plugins, plugin_options
from mypt.cli.standard_output import OutputLostError, checked_output
from mypt.cli.terminal import echo
from mypt.cli.tracebacks import show_tracebacks, traceback_option
from mypt.cli.typed_command import keep_words
from mypt.format.version import MYPT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from click.shell_completion import CompletionItem

    from mypt.format.errors import MyptError

INVALID, WRONG_USAGE = 1, 2

HELP = (
    "Train, store and share small GPT language models on your own machine, with checkpoints that "
    "anyone can read and verify and that resume exactly."
)
# `--model-name` means `--model_name`: flags are named after the fields that they set.
SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": lambda name: name.replace("-", "_"),
    "max_content_width": 100,
}


def common_options() -> list[click.Option]:
    """Return the options of every group of commands, which go before a command's name."""
    return [*plugin_options(), traceback_option()]


class LazyGroup(click.Group):
    """A group that imports the module of a command when that command runs."""

    def __init__(self, name: str, modules: Mapping[str, tuple[str, str]], text: str) -> None:
        """Create the group without importing its commands.

        Args:
            name: Name of the group.
            modules: Module and help of each command; the module defines it as `command`.
            text: Help of the group.
        """
        super().__init__(name, help=text, context_settings=SETTINGS, params=common_options())
        self._modules = modules

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option `--help`, parsed after `--strict-plugins` so that faults come first."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.is_eager = False
        return option

    def get_help(self, ctx: click.Context) -> str:
        """Return the help text, after checking the plugins if `--strict-plugins` is given."""
        check_plugins(ctx)
        return super().get_help(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's own options, and check the plugins if `--strict-plugins` is given."""
        keep_words(ctx, args)
        rest = super().parse_args(ctx, args)
        check_plugins(ctx)
        return rest

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        with show_tracebacks(ctx):
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands in the order in which a newcomer needs them."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command; return None if the group has none of that name."""
        if cmd_name not in self._modules:
            return None
        command: click.Command = importlib.import_module(self._modules[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called; for a shell, which completes an unknown one, none.

        Otherwise click would offer the commands again, behind a word that is none of them.
        """
        name, command, rest = super().resolve_command(ctx, args)
        if command is None:  # only while a line is completed; else it is an error
            return args[0], click.Command(args[0], add_help_option=False), []
        return name, command, rest

    def describe_commands(self, ctx: click.Context) -> list[tuple[str, str]]:  # noqa: ARG002
        """Return the names and the help of the commands without importing them."""
        return [(name, text) for name, (_, text) in self._modules.items()]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(LazyGroup.describe_commands(self, ctx))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands, and the options, that begin as a word does."""
        from click.shell_completion import CompletionItem

        described = self.describe_commands(ctx)
        commands = [
            CompletionItem(name, help=text)
            for name, text in described
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]


class ExtensibleGroup(LazyGroup):
    """The group of mypt's commands, which those of plugins stand beside.

    Plugins are asked for a command that mypt does not have, and for the help; `list_commands` has
    mypt's own alone.
    """

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command of mypt or of a plugin; return None if neither has one of that name."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        from mypt.cli.plugin_commands import find_command

        return find_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.invoked_subcommand not in self._modules:
                from mypt.cli.plugin_commands import name_plugin

                name_plugin(ctx, error)
            raise

    def describe_commands(self, ctx: click.Context) -> list[tuple[str, str]]:
        """Return the names and the help of the commands, those of plugins last."""
        from mypt.cli.plugin_commands import list_offered

        return [*super().describe_commands(ctx), *list_offered(ctx)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, and that of plugins' commands if there are any."""
        super().format_commands(ctx, formatter)
        from mypt.cli.plugin_commands import list_offered

        offered = list_offered(ctx)
        if offered:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(offered)


mypt_group = click.version_option(MYPT_VERSION, prog_name="mypt")(
    ExtensibleGroup("mypt", COMMANDS, HELP)
)
format_group = LazyGroup(
    "format", FORMAT_COMMANDS, "Validate and migrate checkpoints, without torch."
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `mypt`, or answer the shell that completes a command line of it."""
    if "_MYPT_COMPLETE" in os.environ:
        from mypt.cli.completion.shells import register

        register()
    sys.exit(run(mypt_group, "mypt", arguments))


def main_format(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `python -m mypt.format`: the same commands as `mypt format`."""
    sys.exit(run(format_group, "mypt format", arguments))


def run(group: click.Group, name: str, arguments: Sequence[str] | None) -> int:
    """Run a command and return its exit code: 0 success, 1 invalid or failed, 2 wrong usage."""
    _allow_any_text()
    _ensure_input()
    code = 0
    try:
        with checked_output():
            code = _call(group, name, arguments)
    except OutputLostError as lost:
        return code or _report_lost_output(lost)
    return code


def _call(group: click.Group, name: str, arguments: Sequence[str] | None) -> int:
    """Run a command, and report why it failed if it does."""
    if not _is_in_a_folder():
        fix = "change into one that exists, such as by: cd"
        echo(f"error: the folder that this was called in was removed; {fix}", err=True)
        return INVALID
    try:
        result = group.main(arguments, prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        return _report_usage(error, name)
    except _import_error_class() as error:
        return _report_failure(error)
    except (click.Abort, KeyboardInterrupt):
        echo("interrupted", err=True)
        return INVALID
    except OutputLostError:
        raise
    except OSError as error:  # such as a full disk or a missing permission
        place = f"{error.filename}: " if error.filename else ""
        reason = f"{place}{error.strerror or error}; check the disk and its permissions"
        echo(f"error: {reason}", err=True)
        return INVALID
    return result if isinstance(result, int) else 0


def _is_in_a_folder() -> bool:
    """Return whether the working folder is still there; without one even libraries cannot load."""
    try:
        os.getcwd()  # noqa: PTH109 - pathlib takes long to import
    except FileNotFoundError:
        return False
    return True


def _report_lost_output(lost: OutputLostError) -> int:
    if not lost.has_no_reader:
        reason = f"standard output cannot be written: {lost.strerror}; write it somewhere else"
        echo(f"error: {reason}", err=True)
    return INVALID


def _allow_any_text() -> None:
    """Keep characters outside the system's encoding from ending a command.

    Files and pipes are written in UTF-8, like everything mypt writes. A terminal, or an encoding
    that the user chose, gets escapes for the characters it lacks, and any gets them for the bytes
    of a file's name that are no text.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        is_chosen = stream.isatty() or "PYTHONIOENCODING" in os.environ
        if is_chosen or stream.encoding.lower() == "utf-8":
            stream.reconfigure(errors="backslashreplace")
        else:
            stream.reconfigure(encoding="utf-8")


def _ensure_input() -> None:
    """Let a standard input that was closed from the start, as by some daemons, be an empty one."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - as long as mypt


def _import_error_class() -> type[MyptError]:
    """Import the class only when something has failed, to keep the start fast."""
    from mypt.format.errors import MyptError

    return MyptError


def _report_failure(error: MyptError) -> int:
    from mypt.format.errors import UsageError

    for problem in error.problems:
        echo(f"error: {problem}", err=True)
    return WRONG_USAGE if isinstance(error, UsageError) else INVALID


def _report_usage(error: click.ClickException, name: str) -> int:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = name if context is None else context.command_path
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        echo(_describe_group(error))
    else:
        from mypt.cli.options.suggestions import explain_usage

        echo(f"error: {explain_usage(error)}; see: {path} --help", err=True)
    return error.exit_code


def _describe_group(error: click.exceptions.NoArgsIsHelpError) -> str:
    """Return what a group that is called without a command says; `mypt` itself, where to begin."""
    context = error.ctx
    if isinstance(context.command, ExtensibleGroup):
        from mypt.cli.guidance.first_steps import first_steps

        return first_steps(HELP, context.command.describe_commands(context))
    return error.format_message()
