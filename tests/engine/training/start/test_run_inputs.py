"""What is checked of a request before any data are read."""

import pytest

from mypt.engine.config.precedence import TrainRequest
from mypt.engine.training.start.run_inputs import refuse_options
from mypt.format.errors import UsageError
from tests.cli.commands.test_train import QUICK


@pytest.mark.parametrize(
    ("flag", "value", "named"),
    [
        ("gold_guards", '{"foo": {}}', "foo"),
        ("log_sinks", '{"console": {"x": 1}}', "log_sinks/console"),
        ("log_sinks", '{"foo": {}}', "foo"),
    ],
)
def test_a_choice_that_is_none_is_refused_before_the_data_are_read(
    refused, in_tmp, flag, value, named
):
    train = ("train", "--model_name", "cat", "--input_file", "nope.txt", *QUICK)
    assert "nope.txt" in refused(*train)
    line = refused(*train, f"--{flag}", value)
    assert named in line
    assert "nope.txt" not in line


def test_an_option_of_a_reader_is_refused_where_nothing_is_read():
    request = TrainRequest(model_name="cat", options={"rope_theta": 1e4})
    with pytest.raises(UsageError, match="options/rope_theta: is for the reader of another"):
        refuse_options(request)
    refuse_options(TrainRequest(model_name="cat"))
