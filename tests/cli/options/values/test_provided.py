import click
import pytest

from mypt.cli.options.values.provided import PLUGIN, TOKENIZATION, provided, provided_part

COMMAND = click.Command("x")


def suggest(kind, start=""):
    items = kind.shell_complete(click.Context(COMMAND), click.Argument(["x"]), start)
    return [item.value for item in items]


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        (TOKENIZATION, {"char", "gpt2", "bpe"}),
        (provided("exporters"), {"hf", "gguf"}),
        (provided("schedules"), {"cosine", "wsd"}),
        (provided_part("norm_type"), {"layernorm", "rmsnorm"}),
        (PLUGIN, {"alibi", "bpe", "serve"}),
    ],
)
def test_what_plugins_provide_is_suggested(kind, some):
    assert some <= set(suggest(kind))


def test_parts_of_another_slot_are_not_suggested():
    assert "swiglu" not in suggest(provided_part("norm_type"))
