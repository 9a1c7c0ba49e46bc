import pytest

from mypt.format.errors import ConfigError
from mypt.model.decoding.sampling_options import Sampling, merge_options


def test_options_out_of_range_are_all_named():
    with pytest.raises(ConfigError) as raised:
        Sampling(
            temperature=-1,
            top_k=0,
            top_p=1.5,
            min_p=2,
            repetition_penalty=0,
            no_repeat_ngram_size=0,
            seed=-1,
        )
    names = {"temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed"}
    names.add("no_repeat_ngram_size")
    assert {problem.where for problem in raised.value.problems} == names
    with pytest.raises(ConfigError):
        Sampling(temperature=float("nan"))


@pytest.mark.parametrize(
    ("name", "ours"), [("max_tokens", "max_new_tokens"), ("length", "max_new_tokens")]
)
def test_a_name_of_another_argument_is_answered_with_that(name, ours):
    with pytest.raises(ConfigError, match=f"^{name}: is not an option: `{ours}` is another arg"):
        merge_options(None, {name: 3})
