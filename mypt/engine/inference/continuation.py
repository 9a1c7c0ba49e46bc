"""The settings of a generation, and its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from mypt.chat.special_text import find_special_texts
from mypt.chat.stops import stop_tokens
from mypt.format.errors import ConfigError, Problem
from mypt.format.rules.arguments import (
    INTEGER,
    TEXT,
    Rule,
    check_arguments,
    either,
    sequence_of,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from mypt.model.decoding.sampling_options import Sampling
    from mypt.plugins.contracts.tokenizer import Tokenizer

_TOKEN = either(TEXT, INTEGER, wanted="an id or the text of a token")


def _one_or_several(rule: Rule, wanted: str) -> Rule:
    several = sequence_of(rule, wanted)
    one = Rule(wanted, lambda value: (rule.convert(value),))
    return either(one, several, wanted=wanted)


_STOP = _one_or_several(TEXT, "a string, or a list of strings")
_STOP_TOKENS = _one_or_several(_TOKEN, "an id, the text of a token, or a list of these")


@frozen(kw_only=True)
class Continuation:
    """The continuation of a prompt.

    Attributes:
        prompt: The prompt, as text.
        text: The new text, without the stop string or token.
        prompt_ids: The tokens of the prompt; `[*prompt_ids, *ids]` is a prompt that is continued
            exactly, which the text may not be: it may be encoded otherwise, or end in a character
            that is incomplete.
        ids: The new tokens, (N,). A stop string may begin within the last of them; a stop token is
            not included.
        stopped_by: The stop string, the stop token's text, or the name of the logit processor that
            ended the text; None if the token limit was reached.
        seed: The seed; with it, the same prompt and settings yield the same text.
        unfinished: The logit processors that the text is not whole for, such as `json_schema` where
            the token limit cut it.
        log_probs: Natural logarithm of the model's probability of each token, (N,), before
            temperature and the other sampling options; None if not requested.
        logits: The logits that each token was chosen by, (N, vocab_size) float32 on the CPU; None
            if not requested.
    """

    prompt: str
    text: str
    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]
    stopped_by: str | None
    seed: int
    unfinished: tuple[str, ...] = ()
    log_probs: tuple[float, ...] | None = None
    logits: Tensor | None = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class Ending:
    """When a text ends.

    Attributes:
        max_new_tokens: Maximum number of new tokens.
        stop: Strings before which the text ends.
        stop_tokens: Tokens before which the text ends; their texts by id.
    """

    max_new_tokens: int
    stop: tuple[str, ...] = ()
    stop_tokens: Mapping[int, str] = field(factory=dict)

    @property
    def is_early(self) -> bool:
        """Whether a text may end before the token limit."""
        return bool(self.stop or self.stop_tokens)

    @classmethod
    def of(
        cls,
        tokenizer: Tokenizer,
        max_new_tokens: int,
        stop: str | Iterable[str],
        stop_tokens: int | str | Iterable[int | str],
        *,
        stop_at_end: bool | None = False,
    ) -> Ending:
        """Look up the stop tokens; a `str` is a single stop string or token.

        Args:
            tokenizer: The model's tokenizer.
            max_new_tokens: Maximum number of new tokens.
            stop: Strings before which the text ends.
            stop_tokens: Tokens before which the text ends.
            stop_at_end: Whether the text also ends before a token that ends a turn or a text by its
                role; None where the model has a chat template, or a token that ends a turn.

        Raises:
            ConfigError: An argument is of another type or out of range, a stop string is empty, or
                a stop token is not in the vocabulary; or it is to stop at the end, and no token has
                that role.
        """
        checked = check_arguments(
            max_new_tokens=(max_new_tokens, whole_number(0)),
            stop=(stop, _STOP),
            stop_tokens=(stop_tokens, _STOP_TOKENS),
        )
        ids = [_find_token_id(tokenizer, token) for token in checked["stop_tokens"]]
        ids += _find_ends(tokenizer, stop_at_end)
        if "" in checked["stop"]:
            fix = "omit it, or pass a non-empty string"
            raise ConfigError(Problem("", "stop", "is empty", fix, kind="sampling"))
        return cls(
            max_new_tokens=checked["max_new_tokens"],
            stop=checked["stop"],
            stop_tokens={number: tokenizer.decode([number]) for number in ids},
        )


@frozen
class Wanted:
    """What to keep for each token in addition to its id; see `Continuation`.

    Attributes:
        log_probs: Its log probability.
        logits: The logits that it was chosen by.
        top_log_probs: The log probabilities of so many of the likeliest tokens in its place; only a
            `TextBatcher` keeps them.
    """

    log_probs: bool = False
    logits: bool = False
    top_log_probs: int = 0


@frozen(kw_only=True)
class GenerationSettings:
    """The settings that one call uses for all its texts.

    Attributes:
        tokenizer: The model's tokenizer.
        sampling: How to choose tokens.
        ending: When a text ends.
        wanted: What to keep for each token.
        use_cache: Whether to keep keys and values.
        read_special_tokens: Whether what spells a special token in a prompt becomes one.
    """

    tokenizer: Tokenizer
    sampling: Sampling
    ending: Ending
    wanted: Wanted = field(factory=Wanted)
    use_cache: bool = True
    read_special_tokens: bool = False


def _find_ends(tokenizer: Tokenizer, stop_at_end: bool | None) -> tuple[int, ...]:
    """Return the tokens that end a turn or a text, where a text is to end at them."""
    if stop_at_end is False:
        return ()
    state = tokenizer.state()
    ends = stop_tokens(state)
    if stop_at_end is None:
        has_turns = (state.get("special_tokens") or {}).get("turn_end")
        return ends if state.get("chat_template") or has_turns else ()
    if not ends:
        what = "is true, but no token of the model ends a text or a turn"
        fix = "leave it out, or name a token by stop_tokens"
        raise ConfigError(Problem("", "stop_at_end", what, fix, kind="sampling"))
    return ends


def _find_token_id(tokenizer: Tokenizer, token: int | str) -> int:
    """Return the id of a stop token, given as an id or as its text."""
    if not isinstance(token, str):
        if 0 <= token < tokenizer.n_vocab:
            return token
        what, fix = f"is {token}", f"make it 0 to {tokenizer.n_vocab - 1}, or the token's text"
        raise ConfigError(Problem("", "stop_tokens", what, fix, kind="sampling"))
    special = find_special_texts(tokenizer)
    ids = [special[token]] if token in special else tokenizer.encode(token)
    if len(ids) != 1:
        what = f"`{token}` is not one token but {len(ids)}"
        fix = "use its id, or pass the text as a stop string"
        raise ConfigError(Problem("", "stop_tokens", what, fix, kind="sampling"))
    return ids[0]
