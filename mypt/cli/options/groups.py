"""Options under headings: `--help` of a command with many of them lists them by group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mypt.cli.options.command import Command

if TYPE_CHECKING:
    from collections.abc import Iterable

# In the order of the headings. A schema names the group of a field in `x-group`.
GROUPS = (
    *("model", "attention", "norms", "data", "optimization"),
    *("evaluation", "checkpoints", "logging", "hardware"),
)


class GroupedOption(click.Option):
    """An option that is listed under the heading of its group."""

    def __init__(self, *args: Any, group: str, **attributes: Any) -> None:
        """Create the option; all but `group` is passed to click."""
        super().__init__(*args, **attributes)
        self.group = group


class GroupedCommand(Command):
    """A command whose help lists its options by group."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group."""
        for title, options in group_options(self.get_params(ctx)).items():
            records = [option.get_help_record(ctx) for option in options]
            with formatter.section(title):
                formatter.write_dl([record for record in records if record is not None])


def group_options(parameters: Iterable[click.Parameter]) -> dict[str, list[click.Option]]:
    """Return options by the title of their group, in the order of `GROUPS`.

    Options without a group, such as `--help`, come last.
    """
    grouped: dict[str, list[click.Option]] = {group: [] for group in (*GROUPS, "other")}
    for parameter in parameters:
        if isinstance(parameter, click.Option):
            group = parameter.group if isinstance(parameter, GroupedOption) else "other"
            grouped[group].append(parameter)
    return {group.capitalize(): options for group, options in grouped.items() if options}
