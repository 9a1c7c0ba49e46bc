"""The names of a model's copies, there and back."""

from pathlib import Path

import pytest

from mypt.format.bundle.copy_name import CopyKind, CopyName, parse_copy_name

MODEL = Path("checkpoints") / "dante_gold"  # a model may itself be called like a copy


@pytest.mark.parametrize(
    ("kind", "step", "name"),
    [
        (CopyKind.GOLD, None, "dante_gold_gold"),
        (CopyKind.FP16, None, "dante_gold_fp16"),
        (CopyKind.NUMBERED, 12, "dante_gold_step00000012"),
        (CopyKind.NUMBERED, 123456789, "dante_gold_step123456789"),
    ],
)
def test_the_name_of_a_copy_says_whose_it_is(kind, step, name):
    assert kind.path(MODEL, step) == Path("checkpoints") / name
    assert parse_copy_name(name) == CopyName("dante_gold", kind, step)


@pytest.mark.parametrize(
    "name",
    [
        "dante",
        "gold",
        "_gold",
        "dante_Gold",
        "dante_step",
        "dante_step12",
        "dante_step0000001x",
        "dante_00000012",
        "dante_step\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668",  # digits, but not of ASCII
    ],
)
def test_other_names_are_not_those_of_copies(name):
    assert parse_copy_name(name) is None
