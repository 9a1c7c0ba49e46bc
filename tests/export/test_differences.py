import pytest

from mypt.export.differences import explain_difference
from mypt.format.documents.config import GPTConfig


@pytest.mark.parametrize(
    ("field", "ours", "theirs", "what", "flag"),
    [
        ("mlp_type", "relu", "gelu", "is relu; X has gelu", "with --mlp_type gelu"),
        ("head_bias", True, False, "is true; X has false", "with --no_head_bias"),
        ("head_bias", False, True, "is false; X has true", "with --head_bias"),
        ("sliding_window", 8, None, "is 8, which X does not have", "without --sliding_window"),
        ("norm_eps", 0.5, None, "is 0.5; X has 1e-05", "with --norm_eps 1e-05"),
    ],
)
def test_a_difference_names_the_setting_that_would_do(field, ours, theirs, what, flag):
    one, other = (GPTConfig(**{field: value}) for value in (ours, theirs))
    problem = explain_difference(field, one, other, "X")
    assert (problem.where, problem.what) == (f"/{field}", what)
    assert problem.fix == f"use mypt itself, or train a model {flag}"


def test_what_depends_on_a_setting_goes_with_it():
    fields = {"pos_encoding": "rope", "sliding_window": 8, "window_pattern": "SF"}
    problem = explain_difference("sliding_window", GPTConfig(**fields), GPTConfig(), "X")
    assert problem.fix.endswith("train a model without --sliding_window and --window_pattern")
