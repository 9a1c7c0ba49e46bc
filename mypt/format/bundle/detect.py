"""What a path holds, as far as the files of a bundle tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mypt.format.errors import FormatError
from mypt.format.storage import files

if TYPE_CHECKING:
    from pathlib import Path

    from mypt.format.documents.convert import Document

Form = Literal["bundle", "version_1", "incomplete", "other"]
# One of these is in every config.json of Hugging Face, and in none of MyPT or mypt.
_HUGGING_FACE = frozenset({"model_type", "architectures"})


def classify(path: Path) -> Form:
    """Return which kind of bundle a path holds, whatever the state of its files.

    Only a "bundle" is known for certain: of all other forms the readers are asked first, since
    files of other programs and of MyPT's first releases may lie beside those of a bundle.

    Args:
        path: A file or a folder.

    Returns:
        "bundle" for a folder with a manifest, or whose config.json carries a version;
        "version_1" for one with model.pt and a config.json without a version;
        "incomplete" where config.json cannot be read, or one of the two is there without the
        other; "other" for everything else.

    Raises:
        OSError: The folder cannot be looked into.
    """
    if not files.is_folder(path):
        return "other"
    if files.is_present(path / files.MANIFEST):  # its config.json may still wait for its name
        return "bundle"
    has_model = files.is_regular_file(path / files.MODEL)
    if not files.is_present(path / files.CONFIG):
        return "incomplete" if has_model else "other"
    try:
        config, _ = files.read_document(path / files.CONFIG, files.CONFIG)
    except (FormatError, OSError):
        return "incomplete"
    if "format_version" in config:
        return "bundle"
    if is_hugging_face(config):
        return "other"
    return "version_1" if has_model else "incomplete"


def is_hugging_face(document: Document) -> bool:
    """Return whether a JSON object is a config.json of Hugging Face, of any model family."""
    return "format_version" not in document and not _HUGGING_FACE.isdisjoint(document)
