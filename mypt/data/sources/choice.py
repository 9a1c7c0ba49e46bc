"""Which data source reads a file or folder that a user names, and with which options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mypt.data.sources.input_source import InputSource, SourceDocuments
from mypt.data.sources.json_lines import JSON_LINES
from mypt.data.sources.plain_text import PLAIN_TEXT
from mypt.format.errors import ConfigError
from mypt.format.rules import arguments
from mypt.format.rules.arguments import checked, optional
from mypt.format.rules.plugin_sections import undeclared_choice_problems
from mypt.format.rules.plugin_settings import DATA_OPTIONS, TEXT
from mypt.plugins.selection import check_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypt.plugins.contracts.data_source import DataSourceFactory
    from mypt.plugins.manager import Plugins


@frozen(kw_only=True)
class SourceChoice:
    """What a user says of how files are read, beside their names.

    Attributes:
        sources: The data sources, by name, in the order in which they are asked.
        forced: The one that reads everything; None for the first that recognises it.
        options: Options by name, of any of them.
    """

    sources: Mapping[str, DataSourceFactory] = field(
        factory=lambda: {one.name: one for one in (JSON_LINES, PLAIN_TEXT)}
    )
    forced: DataSourceFactory | None = None
    options: Mapping[str, Any] = field(factory=dict)

    @classmethod
    @checked(data_source=optional(arguments.TEXT), data_options=optional(arguments.MAPPING))
    def of(
        cls,
        plugins: Plugins,
        data_source: str | None = None,
        data_options: Mapping[str, Any] | None = None,
    ) -> SourceChoice:
        """Return the choice among what is installed.

        Args:
            plugins: What is installed.
            data_source: The name of what reads everything; None for what recognises each file.
            data_options: Options by name.

        Raises:
            ConfigError: An argument is of another type.
            PluginError: No plugin offers the source, or two do.
        """
        forced = None if data_source is None else plugins.data_source(data_source)
        return cls(sources=plugins.data_sources, forced=forced, options=data_options or {})

    def find(self, source: InputSource) -> DataSourceFactory | None:
        """Return what reads a file or folder; None for a folder that nobody reads as a whole."""
        if self.forced is not None:
            is_whole = not source.is_folder or self.forced.recognises(source)
            return self.forced if is_whole else None
        others = (one for name, one in self.sources.items() if name != TEXT)
        found = next((one for one in others if one.recognises(source)), None)
        return self.sources[TEXT] if found is None and not source.is_folder else found

    def open(
        self, source: InputSource, factory: DataSourceFactory, *, was_named: bool
    ) -> SourceDocuments:
        """Return the documents of a file or folder, which are read later."""
        return SourceDocuments(source, factory, self._options_of(factory), was_named)

    def check_options(self, used: Iterable[DataSourceFactory]) -> None:
        """Raise if an option is none of what reads the files, or does not match its schema.

        Args:
            used: What reads the files that were named.

        Raises:
            ConfigError: There is such an option.
        """
        chosen = {one.name: one for one in used}
        if not chosen or not self.options:
            return
        known = {
            name: schema
            for one in chosen.values()
            for name, schema in one.options.get("properties", {}).items()
        }
        is_open = any(map(_takes_any, chosen.values()))
        merged = {"properties": known, "additionalProperties": is_open}
        problems = [
            *undeclared_choice_problems(DATA_OPTIONS, self.options, merged),
            *(
                problem
                for one in chosen.values()
                for problem in check_options(DATA_OPTIONS, self._options_of(one), one.options)
            ),
        ]
        if problems:
            raise ConfigError(*problems)

    def _options_of(self, factory: DataSourceFactory) -> Mapping[str, Any]:
        """Return the options that are those of a source."""
        known, is_open = factory.options.get("properties", {}), _takes_any(factory)
        return {name: value for name, value in self.options.items() if name in known or is_open}


def _takes_any(factory: DataSourceFactory) -> bool:
    """Return whether a source takes options that it does not list."""
    return factory.options.get("additionalProperties", False) is not False
