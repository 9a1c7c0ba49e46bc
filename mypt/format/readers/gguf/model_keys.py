"""The keys of GGUF's metadata that say how a model computes."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.shared.fields import make_unsupported_error
from mypt.format.readers.shared.known_keys import KnownKeys, check_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ARCHITECTURE = "general.architecture"
CONTEXT, WIDTH, LAYERS = "context_length", "embedding_length", "block_count"
HIDDEN, VOCAB = "feed_forward_length", "vocab_size"
HEADS, KV_HEADS = "attention.head_count", "attention.head_count_kv"
KEY_SIZE, VALUE_SIZE = "attention.key_length", "attention.value_length"
RMS_EPS, LAYER_EPS = "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"
WINDOW = "attention.sliding_window"
# What every architecture reads.
_SIZES = (CONTEXT, WIDTH, LAYERS, HIDDEN, VOCAB, HEADS, KV_HEADS, KEY_SIZE, VALUE_SIZE)
_IGNORED = frozenset(
    {
        RMS_EPS,  # the one of the norm that the architecture does not have
        LAYER_EPS,
        "tensor_data_layout",  # early converters wrote it, and nothing reads it
    }
)
# Parts that a model of this kind has only where the value is another one.
_AT: Mapping[str, tuple[Any, ...]] = {
    "expert_count": (0,),
    "expert_used_count": (0,),
    "attention.causal": (True,),
    "attention.clamp_kqv": (0.0,),
    "attention.max_alibi_bias": (0.0,),
    WINDOW: (0,),
    "attn_logit_softcapping": (0.0,),
    "final_logit_softcapping": (0.0,),
    "pooling_type": (0,),
    "nextn_predict_layers": (0,),
}
_MAX = 2**31 - 1


@frozen
class ModelKeys:
    """The values of one architecture's keys.

    Attributes:
        architecture: Its name, which its keys begin with.
        values: The values, by the rest of the key.
        file: Name of the file, for messages.
    """

    architecture: str
    values: Mapping[str, Any]
    file: str

    @classmethod
    def select(cls, metadata: Mapping[str, Any], architecture: str, file: str) -> ModelKeys:
        """Return those of the metadata of a file."""
        start = f"{architecture}."
        own = {n.removeprefix(start): v for n, v in metadata.items() if n.startswith(start)}
        return cls(architecture, own, file)

    def check(self, keys: KnownKeys) -> None:
        """Raise if there is a key that is not known, or not with that value.

        Raises:
            FormatError: With all such keys.
        """
        whole = {self.name(key): value for key, value in self.values.items()}
        known = KnownKeys(
            frozenset(map(self.name, keys.read)),
            frozenset(map(self.name, keys.ignored)),
            {self.name(key): values for key, values in keys.ignored_at.items()},
        )
        check_keys(whole, known, self.file)

    def name(self, key: str) -> str:
        """Return a key in full."""
        return f"{self.architecture}.{key}"

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value that is the same for all layers, or the default where there is none.

        Raises:
            FormatError: It differs between layers.
        """
        value = self.values.get(key, default)
        if isinstance(value, list):
            if not value or any(one != value[0] for one in value):
                raise self.unsupported(key, "differs between layers, for which mypt has one value")
            value = value[0]
        return value

    def whole(self, key: str, default: int | None = None, most: int = _MAX) -> int:
        """Return a value that must be a positive whole number.

        Args:
            key: The key.
            default: The value where there is none.
            most: The largest that it may be.

        Raises:
            FormatError: It is missing, or something else.
        """
        value = self.get(key, default)
        if type(value) is not int or not 0 < value <= most:
            what = f"is {value!r:.60}, not a number from 1 to {most}"
            what = "is missing" if value is None else what
            raise FormatError(
                Problem(self.file, self.name(key), what, "restore the file", kind="foreign.field")
            )
        return value

    def real(self, key: str, default: float | None = None) -> float:
        """Return a value that must be a number, in the fewest digits of single precision.

        Raises:
            FormatError: It is missing, or something else.
        """
        value = self.get(key, default)
        if type(value) not in (int, float):
            what = "is missing" if value is None else f"is {value!r:.60}, not a number"
            raise FormatError(
                Problem(self.file, self.name(key), what, "restore the file", kind="foreign.field")
            )
        return shorten(float(value))

    def flag(self, key: str, default: bool | None = None) -> bool:
        """Return a value that must be true or false.

        Raises:
            FormatError: It is missing, or something else.
        """
        value = self.get(key, default)
        if type(value) is not bool:
            what = "is missing" if value is None else f"is {value!r:.60}, not true or false"
            raise FormatError(
                Problem(self.file, self.name(key), what, "restore the file", kind="foreign.field")
            )
        return value

    def unsupported(self, key: str, what: str) -> FormatError:
        """Return the error for a value that mypt's config cannot express."""
        fix = "install a plugin that reads it"
        return make_unsupported_error(self.file, self.name(key), what, fix)


def add_common_keys(
    read: Iterable[str], ignored: Iterable[str], ignored_at: Mapping[str, tuple[Any, ...]]
) -> KnownKeys:
    """Return the keys of an architecture, with those that every one has.

    Args:
        read: What the architecture reads.
        ignored: What changes nothing that it computes.
        ignored_at: What changes nothing at these values.
    """
    own = frozenset({*_SIZES, *read})
    at = {name: values for name, values in {**_AT, **ignored_at}.items() if name not in own}
    return KnownKeys(own, (_IGNORED | frozenset(ignored)) - own - at.keys(), at)


def shorten(value: float) -> float:
    """Return the number of the fewest digits that is the same in single precision."""
    packed = _pack(value)
    if not packed or struct.unpack("<f", packed)[0] != value or math.isinf(value):
        return value
    short = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    return next(number for number in short if _pack(number) == packed)


def _pack(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return b""
