"""Prompts, as texts or as ids, to the ids that a model continues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import field, frozen

from mypt.chat.special_text import encode_ordinary, encode_special
from mypt.engine.inference.detokenizer import Detokenizer
from mypt.format.errors import ConfigError, DataError, Problem
from mypt.format.rules.arguments import INTEGER, TEXT, Rule, check_arguments, either, sequence_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypt.plugins.contracts.tokenizer import Tokenizer

Prompt = str | Sequence[int]
_WANTED = "a text, or the ids of tokens"
TEXT_OR_IDS = either(TEXT, sequence_of(INTEGER, _WANTED), wanted=_WANTED)


@frozen
class EncodedPrompt:
    """A prompt and its ids.

    Attributes:
        text: The prompt as text; of ids, without a character that they leave incomplete.
        ids: Its tokens, at least one.
    """

    text: str
    ids: tuple[int, ...]
    _tokenizer: Tokenizer = field(repr=False)
    _texts: tuple[int, ...] = ()  # the ids whose text is to be completed by what follows

    def begin_detokenizer(self, stop: Sequence[str]) -> Detokenizer:
        """Return what decodes the tokens that follow; see `Detokenizer`."""
        detokenizer = Detokenizer(
            self._tokenizer, stop, begins_text=bool(self._texts) or not self.text
        )
        detokenizer.pass_over(self._texts)
        return detokenizer


def encode_prompt(
    tokenizer: Tokenizer,
    prompt: Prompt,
    vocab_size: int,
    begin: Sequence[int] = (),
    *,
    read_special_tokens: bool = False,
) -> EncodedPrompt:
    """Encode a prompt, unless it is ids already.

    Args:
        tokenizer: The model's tokenizer.
        prompt: A text, or the ids of tokens, which are taken as they are.
        vocab_size: Number of ids that the model has.
        begin: The ids that begin every text.
        read_special_tokens: Whether what spells a special token becomes one; else it is ordinary
            text.

    Raises:
        ConfigError: The prompt is neither, or has an id that the model lacks.
        DataError: The prompt contains a character that the vocabulary lacks.
    """
    checked = check_arguments(prompt=(prompt, TEXT_OR_IDS))["prompt"]
    if isinstance(checked, str):
        found = _encode_text(tokenizer, checked, begin, read_special_tokens=read_special_tokens)
        return EncodedPrompt(checked, tuple(found), tokenizer)
    check_vocabulary("prompt", checked, vocab_size)
    ids = checked or tuple(_encode_text(tokenizer, "", begin))
    texts = checked[count_begin(checked, begin) :]
    text = Detokenizer(tokenizer, begins_text=True).pass_over(texts)
    return EncodedPrompt(text, ids, tokenizer, texts)


def check_vocabulary(name: str, ids: Iterable[int], vocab_size: int) -> None:
    """Raise if an argument holds an id that the model lacks.

    Args:
        name: The argument.
        ids: Its value.
        vocab_size: Number of ids that the model has.

    Raises:
        ConfigError: It does.
    """
    outside = next((number for number in ids if not 0 <= number < vocab_size), None)
    if outside is not None:
        what, fix = f"holds the id {outside}", f"make it 0 to {vocab_size - 1}"
        raise ConfigError(Problem("", name, what, fix, kind="prompt"))


def count_begin(ids: Sequence[int], begin: Sequence[int]) -> int:
    """Return how many of the ids are those that begin every text: all of these, or none."""
    return len(begin) if tuple(ids[: len(begin)]) == tuple(begin) else 0


def encode_prompts(
    tokenizer: Tokenizer,
    prompts: Iterable[Prompt],
    vocab_size: int,
    begin: Sequence[int] = (),
    *,
    read_special_tokens: bool = False,
) -> list[EncodedPrompt]:
    """Encode several prompts, as `encode_prompt` encodes each.

    Raises:
        ConfigError: They are a single string, whose characters would be taken as prompts, or one
            of them is refused by `encode_prompt`.
        DataError: As `encode_prompt`.
    """
    if isinstance(prompts, str):
        what, fix = "are a single string", "put it into a list, or call `generate`"
        raise ConfigError(Problem("", "prompts", what, fix))
    several = sequence_of(Rule("a prompt", lambda prompt: prompt), "a list of prompts")
    given = check_arguments(prompts=(prompts, several))["prompts"]
    return [
        encode_prompt(tokenizer, prompt, vocab_size, begin, read_special_tokens=read_special_tokens)
        for prompt in given
    ]


def encode_given(tokenizer: Tokenizer, text: str, *, read_special_tokens: bool) -> list[int]:
    """Encode the text of a user.

    Args:
        tokenizer: The tokenizer.
        text: The text.
        read_special_tokens: Whether what spells a special token becomes one.

    Raises:
        DataError: It contains a character that the vocabulary lacks.
    """
    if read_special_tokens:
        return encode_special(tokenizer, text)
    ids: list[int] = encode_ordinary(tokenizer, text).tolist()
    return ids


def _encode_text(
    tokenizer: Tokenizer, prompt: str, begin: Sequence[int], *, read_special_tokens: bool = False
) -> list[int]:
    """Encode a text; an empty one becomes a newline if the vocabulary has it, else id 0.

    A text of which the tokenizer drops everything, as some do with what they lack, is empty. Where
    texts begin with ids of their own there is no empty text.
    """
    ids = [*begin]
    if prompt:
        ids += encode_given(tokenizer, prompt, read_special_tokens=read_special_tokens)
    if ids:
        return ids
    try:
        return tokenizer.encode("\n")[:1] or [0]
    except DataError:
        return [0]
