"""How ggml stores the values of tensors: its types, by their numbers.

Source: `ggml.h` and `ggml-common.h` of the ggml repository.
"""

from __future__ import annotations

from attrs import frozen

_SMALL, _LARGE = 32, 256  # values in a block


@frozen
class BlockType:
    """A type that mypt reads.

    Attributes:
        name: Its name.
        dtype: Of the values that mypt makes of it, such as `float32`.
        values: Number of values in a block; 1 where they are stored one by one.
        size_bytes: Size of a block.
    """

    name: str
    dtype: str
    values: int
    size_bytes: int

    @property
    def is_plain(self) -> bool:
        """Whether the file holds the values themselves."""
        return self.values == 1


BLOCK_TYPES = {
    0: BlockType("F32", "float32", 1, 4),
    1: BlockType("F16", "float16", 1, 2),
    2: BlockType("Q4_0", "float32", _SMALL, 18),
    3: BlockType("Q4_1", "float32", _SMALL, 20),
    6: BlockType("Q5_0", "float32", _SMALL, 22),
    7: BlockType("Q5_1", "float32", _SMALL, 24),
    8: BlockType("Q8_0", "float32", _SMALL, 34),
    10: BlockType("Q2_K", "float32", _LARGE, 84),
    11: BlockType("Q3_K", "float32", _LARGE, 110),
    12: BlockType("Q4_K", "float32", _LARGE, 144),
    13: BlockType("Q5_K", "float32", _LARGE, 176),
    14: BlockType("Q6_K", "float32", _LARGE, 210),
    28: BlockType("F64", "float64", 1, 8),
    30: BlockType("BF16", "bfloat16", 1, 2),
}
BY_NAME = {block.name: block for block in BLOCK_TYPES.values()}
# The names of those that mypt does not read, for messages.
TYPE_NAMES = {
    9: "Q8_1",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    20: "IQ4_NL",
    21: "IQ3_S",
    22: "IQ2_S",
    23: "IQ4_XS",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    29: "IQ1_M",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
    40: "NVFP4",
    41: "Q1_0",
}
