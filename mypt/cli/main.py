"""The entry points, and the one place where errors become exit codes."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from mypt.cli.options.plugins import check_plugins, plugin_options
from mypt.format.version import MYPT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypt.format.errors import MyptError

INVALID, WRONG_USAGE = 1, 2

# Command -> (module, help); a module is imported when its command runs.
COMMANDS = {
    "train": ("mypt.cli.commands.train", "Train a new model, or go on with a saved one."),
    "generate": ("mypt.cli.commands.generate", "Continue a prompt with a trained model."),
    "inspect": (
        "mypt.cli.commands.inspect",
        "Show what a checkpoint is, without loading its weights.",
    ),
    "configs": ("mypt.cli.commands.configs", "List the presets, or show one in detail."),
    "compare": (
        "mypt.cli.commands.compare",
        "Show what is different about models, and which is better.",
    ),
    "plot": ("mypt.cli.commands.plot", "Draw the losses of one or more runs."),
    "data": ("mypt.cli.commands.data", "Make data sets to train on, and look at them."),
    "export": ("mypt.cli.commands.export", "Write a model for another program."),
    "plugins": ("mypt.cli.commands.plugins", "List what is registered, and from where."),
    "format": ("mypt.cli.commands.format", "Validate and migrate checkpoints."),
}
FORMAT_COMMANDS = {
    "validate": (
        "mypt.cli.commands.validate",
        "Check bundles and presets, reporting every problem.",
    ),
    "migrate": ("mypt.cli.commands.migrate", "Write a legacy or foreign checkpoint as a bundle."),
}
# `--model-name` means `--model_name`: flags carry the names of the fields they set.
SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": lambda name: name.replace("-", "_"),
    "max_content_width": 100,
}


class LazyGroup(click.Group):
    """A group that imports the module of a command when that command runs."""

    def __init__(self, name: str, modules: Mapping[str, tuple[str, str]], text: str) -> None:
        """Name the group's commands.

        Args:
            name: Name of the group.
            modules: Module and help of each command; a module holds it as `command`.
            text: Help of the group.
        """
        super().__init__(name, help=text, context_settings=SETTINGS, params=plugin_options())
        self._modules = modules

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Give the option `--help`, which waits for what `--strict-plugins` has to say."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.is_eager = False
        return option

    def get_help(self, ctx: click.Context) -> str:
        """Give the help, once the plugins are looked at if one asks for it."""
        check_plugins(ctx)
        return super().get_help(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's own options, and look at the plugins if one asks for it."""
        rest = super().parse_args(ctx, args)
        check_plugins(ctx)
        return rest

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order a newcomer meets them."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in self._modules:
            return None
        command: click.Command = importlib.import_module(self._modules[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._modules.items()])


mypt_group = click.version_option(MYPT_VERSION, prog_name="mypt")(
    LazyGroup("mypt", COMMANDS, "Train, keep and hand on small GPTs.")
)
format_group = LazyGroup("format", FORMAT_COMMANDS, "Look after checkpoints: no torch needed.")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `mypt`."""
    sys.exit(run(mypt_group, "mypt", arguments))


def main_format(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `python -m mypt.format`: the same commands as `mypt format`."""
    sys.exit(run(format_group, "mypt format", arguments))


def run(group: click.Group, name: str, arguments: Sequence[str] | None) -> int:
    """Run a command and give its exit code: 0 well, 1 invalid or failed, 2 wrong usage."""
    _allow_any_text()
    try:
        result = group.main(arguments, prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        return _report_usage(error, name)
    except _import_error_class() as error:
        return _report_failure(error)
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)  # noqa: T201
        return INVALID
    except BrokenPipeError:  # the reader of a pipe had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INVALID
    except OSError as error:  # a disk or a permission, wherever it was met
        place = f"{error.filename}: " if error.filename else ""
        reason = f"{place}{error.strerror or error}; check the disk and its permissions"
        print(f"error: {reason}", file=sys.stderr)  # noqa: T201
        return INVALID
    return result if isinstance(result, int) else 0


def _allow_any_text() -> None:
    """Keep text that the system's encoding does not have from ending a command.

    Files and pipes get UTF-8, as all that mypt writes; a terminal, and whoever chose the encoding,
    gets escapes for what it cannot show.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper) or stream.encoding.lower() == "utf-8":
            continue
        if stream.isatty() or "PYTHONIOENCODING" in os.environ:
            stream.reconfigure(errors="backslashreplace")
        else:
            stream.reconfigure(encoding="utf-8")


def _import_error_class() -> type[MyptError]:
    """Import the class where something failed: a start that goes well is quicker without."""
    from mypt.format.errors import MyptError

    return MyptError


def _report_failure(error: MyptError) -> int:
    from mypt.format.errors import UsageError

    for problem in error.problems:
        print(f"error: {problem}", file=sys.stderr)  # noqa: T201
    return WRONG_USAGE if isinstance(error, UsageError) else INVALID


def _report_usage(error: click.ClickException, name: str) -> int:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = name if context is None else context.command_path
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        print(error.format_message())  # noqa: T201
    else:
        message = error.format_message().rstrip(".")
        print(f"error: {message}; see: {path} --help", file=sys.stderr)  # noqa: T201
    return error.exit_code
