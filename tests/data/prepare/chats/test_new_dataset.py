import pytest

from mypt.data.prepare.chats.new_dataset import check_absent, find_val_limit, new_folder
from mypt.format.errors import DataError


def test_a_folder_takes_its_place_when_all_is_written(tmp_path):
    output = tmp_path / "deep" / "set"
    with new_folder(output) as folder:
        (folder / "file").write_text("whole")
        assert not output.exists()
    assert [path.name for path in output.parent.iterdir()] == ["set"]
    assert (output / "file").read_text() == "whole"


def test_of_one_that_fails_nothing_is_left(tmp_path):
    output = tmp_path / "set"
    output.mkdir()

    def write():
        with new_folder(output) as folder:
            (folder / "file").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert [*tmp_path.iterdir()] == [output]
    assert not any(output.iterdir())


def test_what_is_there_already_is_not_written_over(tmp_path):
    check_absent(tmp_path / "set")
    check_absent(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / ".file.partial").mkdir()  # as of a process that was killed at its very end
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(DataError, match="already exists and is not empty"):
            check_absent(taken)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("fraction", "limit"), [(0.01, b"a"), (0.5, b"b"), (0.6, b"b"), (0.99, b"c")]
)
def test_at_least_one_validates_and_not_all(fraction, limit):
    assert find_val_limit([b"d", b"a", b"c", b"b"], fraction) == limit
