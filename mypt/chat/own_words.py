"""What a chat template writes itself, beside special tokens, in a vocabulary that may lack it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.chat.sandbox.render import PLACE
from mypt.format.errors import ConfigError, DataError, MyptError, Problem

if TYPE_CHECKING:
    from mypt.chat.rendering import Rendering
    from mypt.chat.special_text import OrdinaryEncoder

LACKS_WORDS = "chat.words"
_SHOWN = 20  # characters


def lacks_words(error: MyptError) -> bool:
    """Return whether an error says that a vocabulary lacks the words of a template."""
    return error.problems[0].kind == LACKS_WORDS


def refuse_words(rendering: Rendering, encoder: OrdinaryEncoder) -> None:
    """Raise if what a template writes for a conversation, whatever is said in it, is lacking.

    Args:
        rendering: The conversation, which could not be encoded.
        encoder: What encodes its texts.

    Raises:
        ConfigError: The vocabulary lacks some characters of it.
    """
    try:
        text = rendering.without_texts().text()
    except MyptError:  # such as of a template that wants a text
        return
    chars = dict.fromkeys(text.translate(dict.fromkeys(map(ord, rendering.guard.all_chars))))
    lacking = [char for char in chars if not _can_encode(encoder, char)]
    if lacking:
        told = " ".join(map(repr, lacking[:_SHOWN])) + (" ..." if lacking[_SHOWN:] else "")
        what = f"writes {told} around what is said, and the vocabulary lacks that"
        fix = (
            "choose another with --chat_template (mypt writes special tokens instead of words), "
            "or begin with a model that was trained on a text with these characters"
        )
        raise ConfigError(Problem(*PLACE, what, fix, kind=LACKS_WORDS))


def _can_encode(encoder: OrdinaryEncoder, char: str) -> bool:
    try:
        encoder.encode(char)
    except DataError:
        return False
    return True
