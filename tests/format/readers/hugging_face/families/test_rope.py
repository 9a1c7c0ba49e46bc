import pytest

from mypt.format.documents.config import GPTConfig
from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.families.rope import convert_rope, describe_rope

FILE = {"max_position_embeddings": 64}
YARN = {"kind": "yarn", "factor": 4.0, "original_block_size": 16}
LLAMA3 = {**YARN, "kind": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}


def convert(held, part=1.0):
    return convert_rope(FILE | held, "config.json", 24, part=part)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rope_theta": 500.0, "rope_scale": 2.0},
        {"rope_scaling": YARN | {"attention_factor": 1.5, "truncate": False}},
        {"rope_scaling": LLAMA3},
        {"rope_scaling": {"kind": "dynamic", "factor": 2.0, "original_block_size": 64}},
        *({"rope_size": size} for size in range(2, 24, 2)),
    ],
)
def test_a_rotation_comes_back_as_it_is_written_for_both_releases(fields):
    config = GPTConfig(n_embd=48, n_head=2, pos_encoding="rope", **fields)
    held = describe_rope(config, is_partial=True)
    names = "rope_theta", "rope_scale", "rope_scaling", "rope_size"
    for without in ("rope_parameters", "rope_scaling", ""):
        kept = {key: value for key, value in held.items() if key != without}
        if without == "rope_scaling":
            kept = {"rope_parameters": kept["rope_parameters"]}
        found = GPTConfig(n_embd=48, n_head=2, pos_encoding="rope", **convert(kept))
        assert [getattr(found, name) for name in names] == [getattr(config, n) for n in names]


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"rope_theta": None, "rope_parameters": {"rope_theta": "1"}}, "rope_theta: is '1', not a"),
        ({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 1e6}}, "/rope_theta: contradicts"),
        ({"rope_parameters": {"type": "linear", "rope_type": "default"}}, "/type: contradicts"),
        ({"rope_parameters": {"rope_type": "proportional"}}, "by the rule `proportional`"),
        ({"rope_scaling": {"rope_type": "su"}}, "by the rule `su`"),
        ({"rope_parameters": {"mrope_section": [1]}}, "/rope_parameters/mrope_section: is not kn"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "mscale": 1.0, "x": 1}}, "x: is"),
        ({"rope_scaling": [1]}, "/rope_scaling: is not an object"),
        ({"partial_rotary_factor": "half"}, "partial_rotary_factor: is 'half', not a number"),
        (
            {"partial_rotary_factor": 0.5, "rope_parameters": {"partial_rotary_factor": 0.25}},
            "/partial_rotary_factor: contradicts",
        ),
    ],
)
def test_what_is_contradictory_or_unknown_is_refused(held, message):
    with pytest.raises(FormatError, match=message):
        convert(held)


def test_a_class_that_rotates_whole_heads_takes_no_part():
    assert "rope_size" not in convert({"partial_rotary_factor": 1.0}, part=None)
    with pytest.raises(FormatError, match="but this class rotates whole heads"):
        convert({"partial_rotary_factor": 0.5}, part=None)
