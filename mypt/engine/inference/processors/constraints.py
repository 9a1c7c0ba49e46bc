"""Texts that follow a JSON Schema, a regular expression or a grammar, token by token.

The parser is `llguidance`, which the extra `constraints` installs. The ways of writing a text that
it knows are those of this vocabulary: any tokens whose bytes together follow the grammar.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import frozen

from mypt.engine.inference.processors.vocabulary import encode_option
from mypt.format.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llguidance import LLMatcher, LLTokenizer
    from numpy.typing import NDArray
    from torch import Tensor

    from mypt.engine.inference.processors.vocabulary import Vocabulary
    from mypt.plugins import BeginText, LogitProcessor

IMPOSSIBLE = float("-inf")
_SCHEMA, _REGEX = "json_schema", "regex"
# Where an error stands in a grammar that mypt wrote.
_PLACE = re.compile(r"^(at )?1\(\d+\): (failed to compile JSON schema: )?")
# A text may be cut into tokens in any way, so that nothing has to be encoded.
_ANY_TOKENS = '\n%llguidance {"no_forcing": true}\n'
# Between the parts of a JSON document: nothing, a space, or a line break and its indentation. A
# model that was never taught JSON would otherwise write spaces without end.
_WHITESPACE = r" |\n[ ]{0,20}"


class _Constraint:
    """Follows a grammar in one text."""

    def __init__(self, name: str, matcher: LLMatcher, n_vocab: int) -> None:
        self._name, self._matcher, self._n_vocab = name, matcher, n_vocab
        self._seen = 0
        self._allowed = self._find_allowed()

    def __call__(self, logits: Tensor, ids: Sequence[int]) -> Tensor:
        self._read(ids)
        if not (self._allowed.any() or self._matcher.is_accepting()):
            raise ConfigError(_explain_dead_end(self._name, self._matcher, len(ids)))
        allowed = torch.from_numpy(self._allowed).to(logits.device)
        logits[: self._n_vocab].masked_fill_(~allowed, IMPOSSIBLE)
        logits[self._n_vocab :] = IMPOSSIBLE
        return logits

    def is_complete(self, ids: Sequence[int]) -> bool:
        self._read(ids)
        return self._matcher.is_accepting()

    def is_done(self, ids: Sequence[int]) -> bool:
        self._read(ids)
        return self._matcher.is_accepting() and not self._allowed.any()

    def _read(self, ids: Sequence[int]) -> None:
        """Take the new tokens since the last call."""
        new = list(ids[self._seen :])
        if new:
            self._matcher.consume_tokens(new)
            self._seen = len(ids)
            self._allowed = self._find_allowed()

    def _find_allowed(self) -> NDArray[np.bool_]:
        """Return whether each token may be next, (n_vocab,)."""
        packed = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        return np.unpackbits(packed, bitorder="little")[: self._n_vocab].astype(bool)


@frozen
class _TokenTrie:
    """A vocabulary in the form that `llguidance` reads."""

    tokens: Sequence[bytes]
    special_token_ids: Sequence[int]
    eos_token_id: int
    bos_token_id: int | None = None
    is_tokenizer_wrapper: bool = True

    def __call__(self, text: bytes) -> list[int]:
        """Encode a text, which `_ANY_TOKENS` makes needless."""
        raise NotImplementedError


def index_tokens(vocabulary: Vocabulary) -> LLTokenizer:
    """Index the tokens for the parser, which takes 0.1 s for the 50257 of GPT-2.

    The end of a text is a token of its own behind the others: how a text ends is not the grammar's.

    Raises:
        ConfigError: `llguidance` is not installed.
    """
    try:
        from llguidance import LLTokenizer
    except ImportError as error:
        what = "llguidance is not installed, which texts of a schema, regex or grammar need"
        fix = "run: pip install 'mypt-lm[constraints]'"
        raise ConfigError(Problem("", "", what, fix, kind="sampling")) from error
    end = len(vocabulary.tokens)
    trie = _TokenTrie([*vocabulary.tokens, b"<end>"], [*vocabulary.special, end], end)
    return LLTokenizer(trie)  # type: ignore[arg-type]  # it asks for the attributes alone


def write_schema(schema: Mapping[str, Any] | bool) -> str:
    """Return the grammar of the JSON documents that match a schema.

    Raises:
        ConfigError: It is nested too deeply, or its `x-guidance` is no object.
    """
    document = schema
    if not isinstance(schema, bool):
        given = schema.get("x-guidance", {})
        if not isinstance(given, dict):
            what, fix = "has an x-guidance that is no object", "leave it out"
            raise ConfigError(Problem("", _SCHEMA, what, fix, kind="sampling"))
        document = {**schema, "x-guidance": {"whitespace_pattern": _WHITESPACE, **given}}
    try:
        return f"start: %json {json.dumps(document)}"
    except RecursionError as error:
        problem = Problem("", _SCHEMA, "is nested too deeply", "nest it less", kind="sampling")
        raise ConfigError(problem) from error


def write_pattern(pattern: str) -> str:
    """Return the grammar of the texts that match a regular expression as a whole.

    Raises:
        ConfigError: It has half a character.
    """
    from llguidance import LLMatcher

    encode_option(_REGEX, pattern)  # the parser takes nothing else
    (grammar,) = json.loads(LLMatcher.grammar_from_regex(pattern))["grammars"]
    lark: str = grammar["lark_grammar"]
    return lark


def build_constraint(name: str, grammar: str, tokens: LLTokenizer, n_vocab: int) -> BeginText:
    """Return what makes the processor of a text.

    Args:
        name: Name of the processor.
        grammar: The grammar, in the dialect of Lark that `llguidance` reads.
        tokens: The vocabulary.
        n_vocab: Number of its tokens.

    Raises:
        ConfigError: The grammar is faulty, or uses what the parser does not have.
    """
    from llguidance import LLMatcher, LLParserLimits

    limits = LLParserLimits(verbose_errors=False)
    matcher = LLMatcher(tokens, grammar + _ANY_TOKENS, log_level=0, limits=limits)
    if matcher.is_error():
        what = f"cannot be followed: {_first_line(matcher.get_error())}"
        fix = "correct it, or leave out what is named"
        raise ConfigError(Problem("", name, what, fix, kind="sampling"))

    def begin(_: Sequence[int]) -> LogitProcessor:
        return _Constraint(name, matcher.deep_copy(), n_vocab)

    return begin


def _explain_dead_end(name: str, matcher: LLMatcher, count: int) -> Problem:
    if matcher.stop_reason() in ("ParserTooComplex", "LexerTooComplex"):
        what, fix = f"is too complex to follow after {count} new tokens", "simplify it"
    else:
        what = f"asks after {count} new tokens for a character that this vocabulary lacks"
        fix = "ask for what the model's vocabulary can write"
    return Problem("", name, what, fix, kind="sampling")


def _first_line(text: str) -> str:
    """Return what an error says, without the place in the grammar, which is not the user's."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reason = next((line for line in lines if line.startswith("error: ")), lines[0])
    return _PLACE.sub("", reason.removeprefix("error: "))
