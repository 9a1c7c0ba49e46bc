import pytest

import mypt
from mypt.format.errors import ConfigError


def test_scores_and_vectors_are_those_of_the_arguments(bundle):
    model = mypt.load(bundle)
    (one,) = model.score_continuations(iter([["the ", "cat"]]), batch_size=1)
    assert isinstance(one, mypt.ContinuationScore)
    assert one.log_likelihood == pytest.approx(-sum(model.score("the cat").losses[3:]), abs=1e-5)
    assert model.embed(iter(["the", "cat"]), pool="last", batch_size=1).shape[0] == 2


@pytest.mark.parametrize("call", ["score_continuations", "embed"])
def test_a_batch_of_nothing_is_refused(bundle, call):
    with pytest.raises(ConfigError, match="batch_size: is 0; make it "):
        getattr(mypt.load(bundle), call)([], batch_size=0)
