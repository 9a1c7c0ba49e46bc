"""The interface of a model family: its config and the places of its tensors, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from mypt.format.layout import BUILT_IN, HEAD

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Layouts
    from mypt.format.readers.shared.known_keys import KnownKeys
    from mypt.format.readers.shared.tensor_source import TensorSource

    HFConfig = Mapping[str, Any]
    Lookup = Callable[[str], TensorSource]


class MakeLookup(Protocol):
    """Make a function from mypt's name of a tensor to its source in the files of a family."""

    def __call__(self, config: GPTConfig, prefix: str, hf_config: HFConfig) -> Lookup:
        """Return the function.

        Args:
            config: The architecture.
            prefix: What the names of tensors outside of the head begin with: `Family.prefix`, or
                nothing in a file without it.
            hf_config: The complete config of the family, for what `config` has no field for.
        """
        ...


def no_notes(_: HFConfig) -> list[str]:
    """Return no notes."""
    return []


@frozen(kw_only=True)
class Family:
    """A family of models of `transformers`.

    Attributes:
        model_type: Its name in `config.json`.
        classes: The classes whose models these are; the first is written.
        defaults: Values of the keys that a config may leave out, as its class has them.
        keys: All keys that are known, by their own names.
        aliases: Other names of keys, which its class takes as well.
        roots: What the names of its tensors begin with.
        prefix: What those outside of the head begin with in a model with a head, such as `model.`.
        embedding: Name of the token embedding, without the prefix.
        head: Name of the matrix of the output layer.
        renamed: Its names of tensors, by others that releases of its class have for them.
        ported: Modules of code beside published models that its class has taken over.
        buffers: Matches, in full, names of what is no parameter and follows from the config.
        layouts: The architecture parts that its models may have.
        convert_config: Returns the fields of mypt's config but for `tie_weights`, from a complete
            config and the name of its file; raises a `FormatError` if a field is not what it must
            be, or mypt's config cannot express the model. It looks at every key of `keys.read`.
        make_lookup: Makes the function that finds the source of a tensor.
        list_notes: Returns notes on what differs in training, from a complete config.
        describe: Returns the complete config of a model of mypt's, as far as the family can say it;
            None for a family that is not written. What it cannot say it may get wrong: a model is
            written only if `convert_config` returns the same of it.
    """

    model_type: str
    classes: tuple[str, ...]
    defaults: Mapping[str, Any]
    keys: KnownKeys
    aliases: Mapping[str, str] = field(factory=dict)
    roots: tuple[str, ...]
    prefix: str
    embedding: str
    head: str = HEAD
    renamed: Mapping[str, str] = field(factory=dict)
    ported: frozenset[str] = frozenset()
    buffers: re.Pattern[str] | None = None
    layouts: Layouts = field(factory=lambda: BUILT_IN)
    convert_config: Callable[[HFConfig, str], dict[str, Any]]
    make_lookup: MakeLookup
    list_notes: Callable[[HFConfig], list[str]] = no_notes
    describe: Callable[[GPTConfig], dict[str, Any]] | None = None

    def is_buffer(self, name: str) -> bool:
        """Return whether a tensor of a file follows from the config."""
        return self.buffers is not None and self.buffers.fullmatch(name) is not None

    def find_name(self, name: str) -> str:
        """Return the name that its class has for a tensor, from one that it has or had."""
        return self.renamed.get(name, name)

    def find_prefix(self, names: Iterable[str]) -> str:
        """Return the prefix that the tensors of a file have: that of the family, or none."""
        return self.prefix if any(name.startswith(self.prefix) for name in names) else ""
