"""What to continue, when to stop, and what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from mypt.format.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from mypt.model.decoding.sampling_options import Sampling
    from mypt.plugins.contracts import Tokenizer


@frozen(kw_only=True)
class Continuation:
    """What a prompt was continued with.

    Attributes:
        prompt: The prompt.
        text: What follows it, without the stop string or token.
        ids: The new tokens, (N,). A stop string may begin inside the last one of them; a stop
            token is not among them.
        stopped_by: The stop string, or the stop token's text; None where the tokens ran out.
        seed: With it, the same prompt and settings give the same text.
        log_probs: Natural logarithm of the model's own probability of each token, (N,), before
            temperature and all that follows it; None if not asked for.
        logits: What each token was chosen by, (N, vocab_size) float32 on the CPU; None if not
            asked for.
    """

    prompt: str
    text: str
    ids: tuple[int, ...]
    stopped_by: str | None
    seed: int
    log_probs: tuple[float, ...] | None = None
    logits: Tensor | None = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class Ending:
    """When a text ends.

    Attributes:
        max_new_tokens: After so many tokens.
        stop: Before any of these strings.
        stop_tokens: Before any of these tokens; their texts by id.
    """

    max_new_tokens: int
    stop: tuple[str, ...] = ()
    stop_tokens: Mapping[int, str] = field(factory=dict)

    @property
    def is_early(self) -> bool:
        """Whether a text may end before its tokens run out."""
        return bool(self.stop or self.stop_tokens)

    @classmethod
    def of(
        cls,
        tokenizer: Tokenizer,
        max_new_tokens: int,
        stop: str | Iterable[str],
        stop_tokens: int | str | Iterable[int | str],
    ) -> Ending:
        """Look the tokens up; a single string or token is one, not its characters.

        Raises:
            ConfigError: A stop string is empty, or a stop token is none of the vocabulary.
        """
        tokens = (stop_tokens,) if isinstance(stop_tokens, int | str) else stop_tokens
        ids = [_find_token_id(tokenizer, token) for token in tokens]
        ending = cls(
            max_new_tokens=max_new_tokens,
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            stop_tokens={number: tokenizer.decode([number]) for number in ids},
        )
        if "" in ending.stop:
            fix = "leave it out, or give some text"
            raise ConfigError(Problem("", "stop", "is empty", fix, kind="sampling"))
        return ending


@frozen
class Wanted:
    """What to keep of each token, beside its id: see `Continuation`."""

    log_probs: bool = False
    logits: bool = False


@frozen(kw_only=True)
class GenerationSettings:
    """What one call uses for all its texts.

    Attributes:
        tokenizer: That of the model.
        sampling: How to choose tokens.
        ending: When a text ends.
        wanted: What to keep of each token.
        use_cache: Whether to keep keys and values.
    """

    tokenizer: Tokenizer
    sampling: Sampling
    ending: Ending
    wanted: Wanted = field(factory=Wanted)
    use_cache: bool = True


def _find_token_id(tokenizer: Tokenizer, token: int | str) -> int:
    """Return the id of a stop token, given as an id or as its text."""
    if isinstance(token, int):
        if 0 <= token < tokenizer.n_vocab:
            return token
        what, fix = f"is {token}", f"make it 0 to {tokenizer.n_vocab - 1}, or the token's text"
        raise ConfigError(Problem("", "stop_tokens", what, fix, kind="sampling"))
    ids = tokenizer.encode(token)
    if len(ids) != 1:
        what = f"`{token}` is not one token but {len(ids)}"
        fix = "name its id, or give the text as a stop string"
        raise ConfigError(Problem("", "stop_tokens", what, fix, kind="sampling"))
    return ids[0]
