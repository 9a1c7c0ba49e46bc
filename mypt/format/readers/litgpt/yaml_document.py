"""Read and write the small YAML documents of litgpt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem
from mypt.format.storage.files import open_regular

if TYPE_CHECKING:
    from pathlib import Path

# The configs of litgpt's largest models take less than a tenth of it.
MAX_BYTES = 64 * 1024
_DEEPEST = 16
_RESTORE = "restore the file"


def read_yaml(path: Path, file: str) -> dict[str, Any]:
    """Read a document of plain values with names for its fields.

    Args:
        path: The file.
        file: Its name, for messages.

    Raises:
        FormatError: It is no such document: not YAML, too large or too deep, with references or
            tags, a name that is there twice or is no text; or PyYAML is not installed.
        OSError: It cannot be read.
    """
    with open_regular(path, file) as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _make_error(file, f"is larger than {MAX_BYTES} bytes")
    yaml = import_yaml(file)
    try:
        text = data.decode("utf-8")
        if repeated := _find_repeated(yaml, text, file):
            raise _make_error(file, f"has the field {repeated[0]} twice")
        found = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise _make_error(file, f"is not UTF-8 (byte {error.start})") from error
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" (line {mark.line + 1})"
        raise _make_error(file, f"is not YAML{where}") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise _make_error(file, "is not a document with names for its fields")
    return found


def import_yaml(file: str) -> Any:
    """Return the module `yaml`.

    Args:
        file: The file that needs it, for messages.

    Raises:
        FormatError: It is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        what, fix = "is YAML, which needs PyYAML", 'install it: pip install "mypt-lm[litgpt]"'
        raise FormatError(Problem(file, "", what, fix, kind="package.missing")) from error
    return yaml


def _find_repeated(yaml: Any, text: str, file: str) -> list[str]:
    """Return the names that a document has twice, looking at its events alone.

    Nothing is built: what refers to another part or nests without end is refused before.
    """
    # For each open collection, its names so far, and whether a name is next; None for a list.
    stack: list[tuple[set[str], list[bool]] | None] = []
    repeated = []
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _make_error(file, "refers to parts of itself (`&`, `*`)")
        if getattr(event, "tag", None) is not None:
            raise _make_error(file, f"has the tag {event.tag}")
        if isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        if stack and (current := stack[-1]) is not None:
            names, is_name = current
            if is_name[0] and isinstance(event, yaml.ScalarEvent):
                repeated += [event.value] if event.value in names else []
                names.add(event.value)
            is_name[0] = not is_name[0]
        if isinstance(event, yaml.CollectionStartEvent):
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            stack.append((set(), [True]) if is_mapping else None)
            if len(stack) > _DEEPEST:
                raise _make_error(file, f"nests deeper than {_DEEPEST} levels")
    return repeated


def _make_error(file: str, what: str) -> FormatError:
    return FormatError(Problem(file, "", what, _RESTORE, kind="yaml"))
