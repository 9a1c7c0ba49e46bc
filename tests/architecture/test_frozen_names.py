"""Until mypt 2, what users rely on only grows: see docs/explanation/policy.md."""

import copy
import json
import runpy
from pathlib import Path

import pytest

FREEZE = runpy.run_path(str(Path(__file__).parent / "freeze_names.py"))
TOLD = "deprecate it first; see docs/explanation/policy.md"


@pytest.fixture(scope="module")
def frozen():
    return json.loads(FREEZE["FILE"].read_text("utf-8"))


def losses(frozen, now):
    return list(FREEZE["find_losses"](frozen, now))


def test_no_name_parameter_command_or_flag_of_a_release_is_gone(frozen):
    assert losses(frozen, FREEZE["read_names"]()) == [], TOLD


def test_what_was_written_down_is_all_that_is_public(frozen):
    assert {"mypt", "mypt.plugins", "mypt.testing", "commands"} == frozen.keys()
    assert frozen["mypt"]["load"]["path_or_name"] == "positional, needed"
    assert frozen["mypt"]["GPT"][".generate"]
    assert frozen["mypt.plugins"]["PartFactory"]["slot"] == "positional, needed"
    assert frozen["commands"]["mypt train"]["--model_name"] == "value"
    assert "mypt format validate" in frozen["commands"]


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("mypt", "load"), None, "mypt load is gone"),
        (("mypt", "GPT", ".generate"), None, "mypt GPT .generate is gone"),
        (("mypt", "load", "device"), "keyword, needed", "was keyword, optional"),
        (("mypt", "load", "colour"), "keyword, needed", "colour is new and needed"),
        (("mypt.plugins", "PartFactory", "norms"), None, "PartFactory norms is gone"),
        (("commands", "mypt train", "--lora_rank"), None, "mypt train --lora_rank is gone"),
        (("commands", "mypt train", "--model_name"), "flag", "was value and is flag"),
    ],
)
def test_what_breaks_a_program_is_a_loss(frozen, path, value, told):
    now = copy.deepcopy(frozen)
    *above, name = path
    place = now
    for part in above:
        place = place[part]
    place[name] = value
    if value is None:
        del place[name]
    assert [line for line in losses(frozen, now) if told in line]


def test_another_order_of_arguments_is_a_loss(frozen):
    now = copy.deepcopy(frozen)
    factory = now["mypt.plugins"]["PartFactory"]
    now["mypt.plugins"]["PartFactory"] = dict(sorted(factory.items(), reverse=True))
    (line,) = losses(frozen, now)
    assert line == "mypt.plugins PartFactory: its arguments come in another order"


def test_what_is_added_and_may_be_left_out_is_none(frozen):
    now = copy.deepcopy(frozen)
    now["mypt"]["load"]["colour"] = "keyword, optional"
    now["mypt"]["paint"] = {"colour": "positional, needed"}
    now["commands"]["mypt paint"] = {"--colour": "value"}
    now["mypt"]["load"]["path_or_name"] = "positional, optional"
    assert losses(frozen, now) == []
