"""Text for which a shell suggests values: files, folders, models and presets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.cli.options.text import NonEmptyText

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click
    from click.shell_completion import CompletionItem


class SuggestedText(NonEmptyText):
    """Text of which some values are suggested while it is typed; any other is taken as well."""

    def __init__(
        self, suggest: Callable[[], Iterable[str]] | None = None, paths: str | None = None
    ) -> None:
        """Create the type.

        Args:
            suggest: Lists the values; called in a shell that completes, and not otherwise.
            paths: `file` or `dir` where paths are values too.
        """
        self._suggest = suggest
        self._paths = paths

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return the values that begin as the incomplete one does."""
        from click.shell_completion import CompletionItem

        values = () if self._suggest is None else self._suggest()
        items = [CompletionItem(value) for value in values if value.startswith(incomplete)]
        # What comes first: bash forgets the values before it.
        return [*([CompletionItem(incomplete, type=self._paths)] if self._paths else ()), *items]


def _list_models() -> list[str]:
    from mypt.engine.checkpoints.paths import list_models

    return list_models()


def _list_presets() -> list[str]:
    from mypt.engine.config.presets import shipped_presets, short_name

    return sorted({short_name(preset) for preset in shipped_presets()})


FILE = SuggestedText(paths="file")
FOLDER = SuggestedText(paths="dir")
MODEL = SuggestedText(_list_models, paths="file")
NEW_MODEL = SuggestedText(_list_models)
PRESET = SuggestedText(_list_presets, paths="file")
DEVICE = SuggestedText(lambda: ("cpu", "cuda", "mps"))
CHAT_TEMPLATE = SuggestedText(lambda: ("chatml", "llama3", "mypt", "plain"), paths="file")
