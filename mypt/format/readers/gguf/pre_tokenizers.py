"""How byte-level vocabularies in GGUF files split a text into words, by the names of llama.cpp.

Source: `src/llama-vocab.cpp` of the llama.cpp repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.readers.tokenizers import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    Document = Mapping[str, Any]


@frozen
class PreTokenizer:
    """A way to split a text into words.

    Attributes:
        name: Its name in `tokenizer.ggml.pre`.
        words: Its steps in a `tokenizer.json`; none for GPT-2's.
        ignore_merges: Whether a word that is a token needs no merges.
        add_bos: Whether a text begins with BOS where the file does not say.
    """

    name: str
    words: tuple[Document, ...] = ()
    ignore_merges: bool = False
    add_bos: bool = False


_PUNCTUATION = r"[\p{P}\$\+<=>\^~\|]+"
_GPT2 = words.make_split(words.GPT2)
_THREE_DIGITS = words.make_split("[0-9][0-9][0-9]")
_QWEN2 = (words.make_split(words.QWEN2),)
_LLAMA3 = (words.make_split(words.LLAMA3),)
_DIGITS = (words.DIGITS, _GPT2)
_FALCON = (words.make_split(r"[\p{P}\$\+<=>\^~\|`]+"), _GPT2, _THREE_DIGITS)
_DEFAULT = (
    words.make_split(_PUNCTUATION),
    _GPT2,
    words.make_split(r"\p{N}+"),
    _THREE_DIGITS,
)
_KNOWN = (
    *(PreTokenizer(name) for name in ("gpt-2", "phi-2", "olmo", "mpt", "trillion")),
    *(
        PreTokenizer(name, _LLAMA3, ignore_merges=True, add_bos=True)
        for name in ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral")
    ),
    *(PreTokenizer(name, _LLAMA3) for name in ("dbrx", "smaug-bpe")),
    *(PreTokenizer(name, _QWEN2) for name in ("qwen2", "stablelm2", "deepseek-r1-qwen")),
    *(
        PreTokenizer(name, _DIGITS)
        for name in ("starcoder", "smollm", "refact", "command-r", "codeshell", "exaone")
    ),
    PreTokenizer("falcon", _FALCON),
    PreTokenizer("default", _DEFAULT),
)
# Where several are the same, the first one is written.
PRE_TOKENIZERS: Mapping[str, PreTokenizer] = {one.name: one for one in _KNOWN}
