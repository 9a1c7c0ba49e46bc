"""What a model says of texts that are there: how likely they are, and vectors of them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from mypt.engine.language_model import LanguageModel
from mypt.format.errors import ConfigError, Problem
from mypt.format.rules.arguments import FLAG, check_arguments, checked, one_of, where, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from mypt.engine.inference.continuation_scoring import ContinuationScore
    from mypt.engine.inference.prompt_ids import Prompt
    from mypt.engine.inference.scoring import Score

_PAIRS = where(
    lambda given: isinstance(given, Iterable) and not isinstance(given, str | bytes),
    'pairs of a prompt and its continuation, such as [("2 + 2 =", " 4")]',
)
_TEXTS = where(lambda given: isinstance(given, Iterable) and not isinstance(given, bytes), "texts")
_BATCH_SIZE = whole_number(1, below=2**63)


class MeasuringModel(LanguageModel):
    """A model with its tokenizer that scores and embeds texts."""

    @checked(read_special_tokens=FLAG)
    def score(
        self, text: Prompt, *, stride: int | None = None, read_special_tokens: bool = False
    ) -> Score:
        """Measure how well the model predicts a text.

        A text longer than `block_size` tokens is scored in windows of that length, each `stride`
        tokens after the previous one. Every token counts once, in the first window that contains
        it, so it is predicted from at least `block_size - stride` tokens; those of the first
        window are predicted from all tokens before them. The first token is not scored. There is
        no dropout, whatever mode the model is in.

        Args:
            text: A text of at least two tokens, or the ids of tokens, which are scored as they are.
            stride: 1 to `block_size`; a smaller stride is slower, and closer to what the model
                can do. By default half of `block_size`.
            read_special_tokens: Whether what spells a special token in the text becomes one; else
                it is ordinary text.

        Raises:
            DataError: The text is too short, or has a character that the vocabulary lacks.
            ConfigError: The stride is out of range, an id is beyond the vocabulary, or the model
                has no tokenizer for a text.
            PluginError: Its tokenizer for a text is of a plugin that is not installed.
            FormatError: Its tokenizer for a text requires a later version of the format.
        """
        from mypt.engine.inference.scoring import score

        return score(self, text, stride, read_special_tokens=read_special_tokens)

    @checked(pairs=_PAIRS, batch_size=_BATCH_SIZE, read_special_tokens=FLAG)
    def score_continuations(
        self,
        pairs: Iterable[tuple[Prompt, Prompt]],
        *,
        batch_size: int = 32,
        read_special_tokens: bool = False,
    ) -> Iterator[ContinuationScore]:
        """Measure how likely continuations are after their prompts, `batch_size` at once.

        Each is the same as alone. The tokens are those of the whole text where those of the prompt
        begin it; else, where a token would be part of both, those of each by itself. A continuation
        of at most `block_size` tokens is predicted from as much of the prompt as fits beside it; a
        longer one in windows, half of `block_size` apart.

        Args:
            pairs: A prompt and its continuation each, as texts or as ids. They are read as the
                results are taken, some hundreds ahead. An empty prompt is that of `generate`.
            batch_size: Continuations to score at once.
            read_special_tokens: Whether what spells a special token in a text becomes one.

        Yields:
            One `ContinuationScore` for each pair, in order.

        Raises:
            DataError: A continuation has no token, or the vocabulary lacks a character.
            ConfigError: An id is beyond the vocabulary, or a pair is no pair.
        """
        from mypt.engine.inference.continuation_scoring import encode_pair, score_pairs

        encode = partial(encode_pair, self, read_special_tokens=read_special_tokens)
        encoded = (encode(*_take_pair(pair)) for pair in pairs)
        return score_pairs(self, encoded, batch_size)

    @checked(texts=_TEXTS, batch_size=_BATCH_SIZE)
    def embed(self, texts: Iterable[Prompt], *, pool: str = "mean", batch_size: int = 32) -> Tensor:
        """Return a vector for each text, the same as alone.

        Args:
            texts: Texts, or the ids of their tokens. One longer than `block_size` tokens is read in
                windows, half of `block_size` apart; each token counts once.
            pool: "mean": the mean of the last hidden states (after the last norm) of all tokens,
                those that begin every text among them. "last": that of the last token.
            batch_size: Texts to read at once.

        Returns:
            (N, `n_embd`) float32, on the CPU.

        Raises:
            DataError: The vocabulary lacks a character.
            ConfigError: `texts` is a single string, or `pool` is something else.
        """
        from mypt.engine.inference.embedding import LAST, MEAN, embed

        check_arguments(pool=(pool, one_of(MEAN, LAST)))
        return embed(self, texts, pool, batch_size)


def _take_pair(pair: object) -> tuple[Prompt, Prompt]:
    if isinstance(pair, (tuple, list)) and len(pair) == 2:
        return pair[0], pair[1]
    what = f"holds {pair!r:.60}, which is no prompt with its continuation"
    fix = 'give pairs such as ("2 + 2 =", " 4")'
    raise ConfigError(Problem("", "pairs", what, fix))
