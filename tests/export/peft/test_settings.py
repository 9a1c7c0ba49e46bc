import pytest

from mypt.export.peft.settings import read_settings
from mypt.format.errors import FormatError

FILE = "adapter_config.json"


def test_what_is_not_said_is_as_peft_has_it():
    read = read_settings({"peft_type": "LORA"}, FILE)
    assert (read.rank, read.alpha, read.dropout, read.base) == (8, 8.0, 0.0, None)


def test_a_pattern_is_for_the_modules_whose_names_end_like_it():
    document = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
    patterns = {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {r"layers\.1\..*": 16}}
    read = read_settings({**document, **patterns}, FILE)
    ranks = [read.rank_of(name) for name in ("a.q_proj", "a.k_proj", "a.q_proj_2")]
    assert ranks == [2, 4, 4]
    names = ("layers.0.k_proj", "layers.0.q_proj", "layers.1.q_proj")
    assert [read.scale_of(name) for name in names] == [2, 4, 8]


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"peft_type": "IA3"}, "peft_type"),
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"r": "8"}, "r"),
        ({"something_new": 1}, "something_new"),
    ],
)
def test_what_would_change_the_logits_is_refused(changed, where):
    with pytest.raises(FormatError) as caught:
        read_settings({"peft_type": "LORA", **changed}, FILE)
    found = [(one.file, one.where.lstrip("/")) for one in caught.value.problems]
    assert found == [(FILE, where)]
