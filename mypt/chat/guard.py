"""Keep what messages say apart from the special tokens that a template writes.

Before a template is rendered, every character in the messages that a special token begins with is
replaced by a stand-in: a character that nothing else in the conversation has. So whatever the
template does with a text, no part of it spells a special token. In what comes out the special
tokens, which only the template can have written, become one character each, and only then are the
stand-ins replaced by what they stand for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A template compares roles, and may make the name of a token of one; these are no user's text.
ROLES = ("system", "developer", "user", "assistant", "tool", "function", "ipython")
_PRIVATE = range(0xF0000, 0x10FFFE)  # the planes 15 and 16, which have no characters of their own
_IS_PRIVATE = re.compile(f"[{chr(_PRIVATE[0])}-{chr(_PRIVATE[-1])}]")


def find_private(value: Any) -> frozenset[str]:
    """Return the private characters in a JSON value."""
    return frozenset(char for text in _list_texts(value) for char in _IS_PRIVATE.findall(text))


@frozen(eq=False)
class Guard:
    """The stand-ins of a conversation.

    Attributes:
        char_of: The character that a special token becomes, by its text.
        stand_in_of: The stand-in of each character that a special token has.
        begin: Stands before what the assistant says.
        end: Stands after it.
    """

    char_of: Mapping[str, str]
    stand_in_of: Mapping[str, str]
    begin: str
    end: str

    @classmethod
    def of(cls, special: Iterable[str], avoided: frozenset[str] = frozenset()) -> Guard:
        """Return that of special tokens.

        Args:
            special: Their texts.
            avoided: Private characters that the conversation or the template itself has.
        """
        texts = sorted(special, key=len, reverse=True)
        free = (char for char in map(chr, _PRIVATE) if char not in avoided)
        begin, end = next(free), next(free)
        char_of = {text: next(free) for text in texts}
        return cls(char_of, {char: next(free) for char in {*"".join(texts)}}, begin, end)

    def cover(self, value: Any) -> Any:
        """Return a JSON value whose texts spell no special token, nor a part of one at an edge."""
        if isinstance(value, str):
            return self._cover_text(value)
        if isinstance(value, Mapping):
            return {self.cover(name): self.cover(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.cover(one) for one in value]
        return value

    def cover_message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a message as `cover` does, but for a role that is known."""
        covered = {name: self.cover(value) for name, value in message.items()}
        return covered | ({"role": message["role"]} if message["role"] in ROLES else {})

    def collapse(self, text: str) -> str:
        """Return what was rendered, with each special token as its character."""
        return self._special.sub(lambda found: self.char_of[found[0]], text)

    def spell(self, text: str) -> str:
        """Return a text with the special tokens, each a character, as they are spelt."""
        return text.translate({ord(char): spelt for spelt, char in self.char_of.items()})

    def uncover(self, text: str) -> str:
        """Return a text with what its stand-ins stand for."""
        return text.translate(self._originals)

    def _cover_text(self, text: str) -> str:
        stripped = text.lstrip()
        if stripped and self._completes(stripped):
            place = len(text) - len(stripped)
            text = f"{text[:place]}{self.stand_in_of[text[place]]}{text[place + 1 :]}"
        return text.translate(self._first)

    def _completes(self, text: str) -> bool:
        """Return whether a special token could end with the beginning of a text, or have it all."""
        if any(text in special for special in self.char_of):
            return True
        return any(text[:size] in self._ends for size in range(1, min(len(text), self._longest)))

    @cached_property
    def special_chars(self) -> frozenset[str]:
        """The characters of the special tokens."""
        return frozenset(self.char_of.values())

    @cached_property
    def all_chars(self) -> frozenset[str]:
        """These, and the marks of an answer."""
        return self.special_chars | {self.begin, self.end}

    @cached_property
    def _special(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self.char_of)) or "(?!)")

    @cached_property
    def _first(self) -> dict[int, str]:
        return {ord(text[0]): self.stand_in_of[text[0]] for text in self.char_of}

    @cached_property
    def _originals(self) -> dict[int, str]:
        return {ord(stand_in): char for char, stand_in in self.stand_in_of.items()}

    @cached_property
    def _ends(self) -> frozenset[str]:
        return frozenset(text[n:] for text in self.char_of for n in range(1, len(text)))

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.char_of), default=0)


def _list_texts(value: Any) -> Iterator[str]:
    """Yield the texts in a JSON value, names of fields too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _list_texts(name)
            yield from _list_texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _list_texts(one)
