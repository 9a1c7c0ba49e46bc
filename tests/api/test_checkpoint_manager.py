import pytest

import mypt


def test_a_name_that_is_a_path_is_named_as_it_is_in_python():
    with pytest.raises(mypt.MyptError, match=r"^model_name: `x/y` contains"):
        mypt.CheckpointManager("x/y")
