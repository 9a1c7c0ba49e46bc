"""How well a kind of model of another program fits a config: a class, or an architecture.

It can compute what a config says if what its reader makes of the description of the model means the
same. Allowed are biases that the model lacks and the kind has: they are zero; and another scale of
attention, which is multiplied into the queries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from mypt.export.differences import FILE, UNSUPPORTED, explain_difference
from mypt.format.documents.config import BIAS_FIELDS
from mypt.format.errors import ConfigError, FormatError, Problem
from mypt.format.readers.shared.tensor_source import (
    SCALE_FIELD,
    fold_attention_scale,
    source_shapes,
)
from mypt.format.rules.equivalence import list_differences

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Shape
    from mypt.format.readers.shared.tensor_source import TensorSource

    Lookup = Callable[[str], TensorSource]

FOLDED_NOTE = "the scale of attention is multiplied into the queries"
# More than any config has fields: what cannot be described at all is the farthest.
_NOTHING_ALIKE = 1000


@frozen
class Fit:
    """What a kind of model computes of what a config says.

    Attributes:
        ours: The config of the model.
        theirs: What the kind computes; None if the model cannot be described as one of it.
        differing: The fields that mean something else, apart from `added`.
        added: Fields of the biases that the kind has and the model lacks.
        why: Why it cannot be described.
    """

    ours: GPTConfig
    theirs: GPTConfig | None
    differing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    why: str = ""

    @property
    def is_folded(self) -> bool:
        """Whether another scale is folded into the queries, which no norm undoes afterwards."""
        return (
            self.theirs is not None
            and self.differing == (SCALE_FIELD,)
            and self.theirs.qk_norm is None
        )

    @property
    def is_usable(self) -> bool:
        """Whether the kind computes the same."""
        return self.theirs is not None and (not self.differing or self.is_folded)

    @property
    def cost(self) -> tuple[bool, int]:
        """What is least for the kind to choose, and for the nearest one if there is none."""
        count = _NOTHING_ALIKE if self.theirs is None else len(self.differing)
        return not self.is_usable, count

    def explain(self, name: str, kind: str) -> list[Problem]:
        """Return why the kind cannot compute what the config says; nothing if it can.

        Args:
            name: Its name, such as `LlamaForCausalLM`.
            kind: What it is one of, such as `class of transformers`.
        """
        if self.is_usable:
            return []
        if self.theirs is None:
            what = f"describes a model that no {kind} can have; {name} is the nearest: {self.why}"
            return [Problem(FILE, "", what, "use mypt itself", kind=UNSUPPORTED)]
        nearest = f"{name}, the nearest {kind},"
        return [explain_difference(f, self.ours, self.theirs, nearest) for f in self.differing]

    def find_source(self, find_source: Lookup) -> Lookup:
        """Return the lookup of what is written, from that of the kind: with a scale folded in."""
        if not self.is_folded or self.theirs is None:
            return find_source
        return fold_attention_scale(find_source, self.ours, self.theirs)


def compare(ours: GPTConfig, read_description: Callable[[], GPTConfig]) -> Fit:
    """Compare what a config says with what a reader makes of its description.

    Args:
        ours: The config.
        read_description: Returns what it makes of it, or raises if it cannot be described.
    """
    try:
        theirs = read_description()
    except (ConfigError, FormatError) as error:
        return Fit(ours, None, why=str(error.problems[0]))
    differing = list_differences(ours, theirs)
    added = [field for field in BIAS_FIELDS if field in differing and theirs.meaning_of(field)]
    others = [field for field in differing if field not in added]
    return Fit(ours, theirs, tuple(others), tuple(added))


def list_zeros(
    wanted: Mapping[str, Shape], held: Container[str], find_source: Lookup
) -> dict[str, Shape]:
    """Return the shapes of biases that are written as zeros, by their names there.

    Args:
        wanted: Shapes of the tensors of what the kind computes, by mypt's names.
        held: Names of those that the model has.
        find_source: The lookup of what is written.
    """
    zeros: dict[str, Shape] = {}
    for name in wanted:
        zeros |= {} if name in held else source_shapes(find_source(name), wanted[name])
    return zeros
