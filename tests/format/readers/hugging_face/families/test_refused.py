import pytest

from mypt.format.readers.hugging_face.families.known import FAMILIES
from mypt.format.readers.hugging_face.families.refused import REASON_OF, make_refusal


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mixtral", "a mixture of experts"),
        ("gpt_oss", "a mixture of experts"),
        ("mamba", "a recurrent model"),
        ("bert", "an encoder, whose"),
        ("t5", "an encoder with a decoder"),
        ("llava", "a model of images"),
    ],
)
def test_the_reason_is_told(name, reason):
    message = str(make_refusal(name, FAMILIES, "config.json"))
    assert message.startswith(f"config.json#/model_type: is {name}, {reason}")
    assert "; mypt reads bloom, falcon, " in message


def test_any_other_is_refused_by_its_name():
    message = str(make_refusal("mine", ("gpt2",), "config.json"))
    assert "is mine; mypt reads gpt2; install a plugin" in message


def test_no_family_is_both_read_and_refused():
    assert not REASON_OF.keys() & FAMILIES.keys()


def test_every_family_is_one_of_transformers(transformers):
    """But for those that older or newer releases have."""
    known = transformers.models.auto.configuration_auto.CONFIG_MAPPING_NAMES
    assert sorted(REASON_OF.keys() - known.keys()) == []
