import pytest

from mypt.format.names.packages import normalize_package_name


@pytest.mark.parametrize("name", ["mypt-bpe", "MyPT_BPE", "mypt.bpe", "mypt-_.bpe"])
def test_a_package_has_one_name_however_it_is_written(name):
    assert normalize_package_name(name) == "mypt-bpe"
