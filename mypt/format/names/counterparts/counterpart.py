"""A row of the tables: what the same thing is called in each program.

The names are those of nanoGPT (train.py, sample.py), of Hugging Face's Trainer, configs and
`generate`, of litgpt, of llm.c's train_gpt2.py and nanochat, and of the earlier MyPT, and habits
that none of them documents. `docs/write_names.py` makes a page of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = {
    "nanogpt": "nanoGPT",
    "hugging_face": "Hugging Face",
    "litgpt": "litgpt",
    "karpathy": "llm.c, nanochat",
    "earlier": "earlier MyPT",
}


@frozen(kw_only=True)
class Counterpart:
    """What does in mypt what other programs do by these names.

    Attributes:
        ours: Our names, separated by spaces. The first ones that exist where a name was used are
            meant; where several rows have a name, so is the first row that has one of these.
        how: What to do instead, or besides, in one line; our names are in braces.
        nanogpt: The names of each program, separated by spaces; as `PROGRAMS`.
        hugging_face: See `nanogpt`.
        litgpt: See `nanogpt`.
        karpathy: See `nanogpt`.
        earlier: See `nanogpt`.
        habits: What people write by habit.
    """

    ours: str = ""
    how: str = ""
    nanogpt: str = ""
    hugging_face: str = ""
    litgpt: str = ""
    karpathy: str = ""
    earlier: str = ""
    habits: str = ""

    @property
    def names(self) -> Iterator[str]:
        """The names of all programs."""
        for program in (*PROGRAMS, "habits"):
            yield from getattr(self, program).split()
