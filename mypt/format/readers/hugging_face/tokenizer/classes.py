"""Which class of `transformers` makes the tokenizer of a folder.

Source: `AutoTokenizer` of transformers 5.23.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mypt.format.documents.special_tokens import END_OF_TEXT
from mypt.format.errors import FormatError, Problem
from mypt.format.readers.tokenizers.byte_bpe import make_byte_bpe
from mypt.format.readers.tokenizers.words import QWEN2, make_split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Document = Mapping[str, Any]

BACKEND = "TokenizersBackend"  # the class of every tokenizer that is of no class of its own
_ENDS = {f"{role}_token": END_OF_TEXT for role in ("bos", "eos", "unk")}


@frozen
class ByteLevelClass:
    """A class whose tokenizers are byte-level byte-pair encodings.

    Attributes:
        tokens: The tokens that it has by default, by their roles.
        normalizer: What it does to a text first.
        words: Steps that split a text into words, in place of GPT-2's pattern.
    """

    tokens: Mapping[str, str]
    normalizer: Document | None = None
    words: Sequence[Document] = field(default=())


NFC: Document = {"type": "NFC"}
BYTE_LEVEL: Mapping[str, ByteLevelClass] = {
    "GPT2Tokenizer": ByteLevelClass(_ENDS),
    "CodeGenTokenizer": ByteLevelClass(_ENDS),
    "GPTNeoXTokenizer": ByteLevelClass({**_ENDS, "pad_token": "<|padding|>"}, NFC),
    "Qwen2Tokenizer": ByteLevelClass(
        {f"{role}_token": END_OF_TEXT for role in ("eos", "unk", "pad")}, NFC, (make_split(QWEN2),)
    ),
}
# By `model_type`, the class that a folder has which names none.
_REGISTERED = {
    **dict.fromkeys(
        ("gpt2", "gpt_neo", "gptj", "opt", "phi", "codegen", "starcoder2"), "GPT2Tokenizer"
    ),
    **dict.fromkeys(("gpt_neox", "olmo"), "GPTNeoXTokenizer"),
    **dict.fromkeys(("gemma", "gemma2", "gemma3", "gemma3_text"), "GemmaTokenizer"),
    **dict.fromkeys(("qwen2", "qwen3"), "Qwen2Tokenizer"),
    **dict.fromkeys(("gpt_bigcode", "granite", "mistral", "olmo2", "phi3", "stablelm"), BACKEND),
}
_NAMED_WRONGLY = ("qwen2",)  # what their folders name is not used


def find_class(config: Document, hf_config: Document, file: str) -> str:
    """Return the name of the class of a folder's tokenizer.

    Args:
        config: The content of `tokenizer_config.json`.
        hf_config: The content of `config.json`.
        file: The former, for messages.

    Raises:
        FormatError: The class is Python code that comes with the folder.
    """
    codes = config.get("auto_map")
    if codes and (not isinstance(codes, dict) or codes.get("AutoTokenizer")):
        what = "names code of its own for the tokenizer, which mypt does not run"
        fix = "open the model with `--option tokenizer=none`, as one of bare ids"
        raise FormatError(Problem(file, "/auto_map", what, fix, kind="foreign.vocabulary"))
    named = config.get("tokenizer_class") or hf_config.get("tokenizer_class")
    named = named.removesuffix("Fast") if isinstance(named, str) else None
    registered = _REGISTERED.get(hf_config["model_type"])
    if named is None or hf_config["model_type"] in _NAMED_WRONGLY:
        return registered or BACKEND
    if registered == BACKEND and named not in BYTE_LEVEL:
        return BACKEND
    return named


def keeps_words(model_type: str, tokenizer: Document) -> bool:
    """Return whether `AutoTokenizer` splits texts as a folder's `tokenizer.json` says.

    Of a model whose folders are known to name a wrong class, it takes the tokens from there, and
    how texts are split from the class that belongs to the model.

    Args:
        model_type: That of the folder's `config.json`.
        tokenizer: The content of `tokenizer.json`.
    """
    if model_type not in _NAMED_WRONGLY:
        return True
    held = BYTE_LEVEL[_REGISTERED[model_type]]
    made = make_byte_bpe({}, [], words=held.words, normalizer=held.normalizer)
    return _list_steps(tokenizer) == _list_steps(made)


def _list_steps(tokenizer: Document) -> list[Any]:
    """Return what decides how a text becomes words, which are then merged."""
    splits = tokenizer.get("pre_tokenizer") or {}
    kept = [
        {name: value for name, value in step.items() if name != "trim_offsets"}  # of no id
        for step in splits.get("pretokenizers", [splits])
    ]
    return [tokenizer["model"]["type"], tokenizer.get("normalizer"), kept]
