"""`--traceback`: where an error came from, for whoever has to mend a plugin or mypt itself."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from mypt.cli.terminal import echo

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

TRACEBACK, VARIABLE = "traceback", "MYPT_TRACEBACK"


def traceback_option() -> click.Option:
    """Return the option of a group of commands."""
    return click.Option(
        [f"--{TRACEBACK}"],
        is_flag=True,
        is_eager=True,
        envvar=VARIABLE,
        help="Print where an error comes from, what a plugin raised included, before the line that "
        f"reports it; so does {VARIABLE}=1.",
    )


@contextmanager
def show_tracebacks(context: click.Context) -> Iterator[None]:
    """Print the tracebacks of all errors that are reported by one line, if that is asked for.

    Args:
        context: That of a group; a group around it that does so is enough.
    """
    parents = _list_parents(context)
    if not context.params.get(TRACEBACK) or any(c.params.get(TRACEBACK) for c in parents):
        yield
        return
    import logging

    from mypt.format.errors import TRACEBACK_LOGGER, MyptError

    logger = logging.getLogger(TRACEBACK_LOGGER)
    before = logger.level
    logger.addFilter(_print_raised)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    except BrokenPipeError:
        raise
    except (MyptError, OSError) as error:
        _print_traceback(error)
        raise
    finally:
        logger.removeFilter(_print_raised)
        logger.setLevel(before)


def _print_raised(record: logging.LogRecord) -> bool:
    """Print the traceback of an error that is logged, which goes nowhere else then."""
    if record.exc_info and record.exc_info[1] is not None:
        _print_traceback(record.exc_info[1])
    return False


def _print_traceback(error: BaseException) -> None:
    import traceback

    echo("".join(traceback.format_exception(error)), nl=False, err=True)


def _list_parents(context: click.Context) -> Iterator[click.Context]:
    while context.parent is not None:
        context = context.parent
        yield context
