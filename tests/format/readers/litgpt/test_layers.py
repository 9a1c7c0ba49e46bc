import pytest

import mypt
from mypt.format.errors import FormatError
from tests.support.litgpt_models import CASES, check_logits, make_tensors, write_folder


@pytest.mark.parametrize(
    ("placing", "indices"),
    [(None, [1, 1, 1]), ("all", [1, 1, 1]), ("interleaved", [1, 0, 1]), (2, [1, 0, 1])],
)
def test_windows_of_old_releases(tmp_path, plugins, placing, indices):
    case = {**CASES["llama"], "sliding_window_size": 7}
    tensors = make_tensors(case)
    old = case | {"sliding_window_layer_placing": placing}
    folder = write_folder(tmp_path / "model", old, tensors)
    check_logits(folder, tensors, case | {"sliding_window_indices": indices}, plugins)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rotary_percentage": 0.125}, "/rotary_percentage: rotates 1 of the 8 values of a head"),
        (
            {"rotary_percentage": 0.4, "rope_interleave": True},
            "/rotary_percentage: rotates 3 of the 8 values of a head",
        ),
        ({"rotary_percentage": 1.5}, "/rotary_percentage: rotates 12 of the 8 values of a head"),
        ({"rotary_percentage": "1"}, "/rotary_percentage: is '1', not a positive number"),
        ({"rope_base": -1}, "/rope_base: is -1"),
        ({"rope_condense_ratio": 0}, "/rope_condense_ratio: is 0"),
        ({"rope_interleave": 1}, "rope_interleave: is 1, not true or false"),
        ({"rope_adjustments": {"beta_fast": 32}}, "/rope_adjustments: is yarn"),
        ({"rope_adjustments": {"factor": 2, "mscale_all_dim": 1}}, "mscale_all_dim: is not known"),
        ({"rope_adjustments": {"low_freq_factor": 2}}, "original_max_seq_len: is missing"),
        ({"rope_adjustments": {"factor": None}}, "/rope_adjustments/factor: is missing"),
        ({"rope_adjustments": [2]}, "/rope_adjustments: is not a document"),
        ({"rope_indices": [1, 0, 1]}, "/rope_indices: is set, but rope_local_base_freq is null"),
        (
            {"rope_local_base_freq": 100, "rope_indices": [1, 0, 1]},
            "/rope_indices: names other layers than those with a window",
        ),
        (
            {
                "rope_local_base_freq": 100,
                "rope_indices": [1, 0, 1],
                "sliding_window_size": 7,
                "sliding_window_indices": [1, 0, 1],
                "rope_condense_ratio": 2,
            },
            "/rope_indices: has layers that rope_condense_ratio",
        ),
        ({"sliding_window_size": 7, "sliding_window_indices": [1]}, "is not a list of one number"),
        ({"sliding_window_size": 7, "sliding_window_indices": [2] * 3}, "other than 0 and 1"),
        ({"sliding_window_size": -7}, "sliding_window_size: is -7, not a positive whole number"),
        (
            {"sliding_window_size": 7, "sliding_window_layer_placing": 1},
            "/sliding_window_layer_placing: is 1, which litgpt writes for all layers",
        ),
    ],
)
def test_what_the_layers_cannot_be_is_refused(tmp_path, plugins, changes, said):
    tensors = make_tensors(CASES["llama"])
    folder = write_folder(tmp_path / "model", CASES["llama"] | changes, tensors)
    with pytest.raises(FormatError, match=said):
        mypt.load(folder, plugins=plugins)
