"""The factories of the logit processors that come with mypt; what needs torch is imported later."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mypt.engine.inference.processors.vocabulary import KeepLast, Vocabulary
from mypt.plugins import LogitProcessorFactory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llguidance import LLTokenizer

    from mypt.plugins import BeginText, Tokenizer

    Vocabularies = KeepLast[Tokenizer, Vocabulary]
    TokenIndexes = KeepLast[Vocabulary, LLTokenizer]

# The keys are ids, or texts of one token; those that are not are named by `build`.
_BIASES = {"type": "object", "additionalProperties": {"type": "number"}}
_STRINGS = {"type": "array", "items": {"type": "string"}}
_STRING = {"type": "string"}


def list_processors() -> list[LogitProcessorFactory]:
    """Return the factories, in the order of their names in help texts."""
    vocabularies: Vocabularies = KeepLast(Vocabulary.of)
    indexes: TokenIndexes = KeepLast(_index_tokens)
    return [
        LogitProcessorFactory("logit_bias", _build_bias, options=_one_option("bias", _BIASES)),
        LogitProcessorFactory(
            "banned_words",
            partial(_build_ban, vocabularies),
            options=_one_option("words", _STRINGS),
        ),
        *(
            LogitProcessorFactory(
                name,
                partial(_build_constraint, vocabularies, indexes, name, option),
                options=_one_option(option, schema),
            )
            for name, option, schema in (
                ("json_schema", "schema", {"type": ["object", "boolean"]}),
                ("regex", "pattern", _STRING),
                ("grammar", "lark", _STRING),
            )
        ),
    ]


def _one_option(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of options with one property, which is required."""
    return {
        "type": "object",
        "properties": {name: dict(schema)},
        "required": [name],
        "additionalProperties": False,
    }


def _build_bias(options: Mapping[str, Any], tokenizer: Tokenizer) -> BeginText:
    from mypt.engine.inference.processors.logit_bias import build_logit_bias

    return build_logit_bias(options, tokenizer)


def _build_ban(
    vocabularies: Vocabularies, options: Mapping[str, Any], tokenizer: Tokenizer
) -> BeginText:
    from mypt.engine.inference.processors.banned_words import build_word_ban

    return build_word_ban(options, vocabularies.of(tokenizer))


def _index_tokens(vocabulary: Vocabulary) -> LLTokenizer:
    from mypt.engine.inference.processors.constraints import index_tokens

    return index_tokens(vocabulary)


def _build_constraint(
    vocabularies: Vocabularies,
    indexes: TokenIndexes,
    name: str,
    option: str,
    options: Mapping[str, Any],
    tokenizer: Tokenizer,
) -> BeginText:
    from mypt.engine.inference.processors import constraints

    write: Mapping[str, Callable[[Any], str]] = {
        "schema": constraints.write_schema,
        "pattern": constraints.write_pattern,
        "lark": str,
    }
    tokens = indexes.of(vocabularies.of(tokenizer))
    grammar = write[option](options[option])
    return constraints.build_constraint(name, grammar, tokens, tokenizer.n_vocab)
