import pytest

from mypt.format.errors import DataError
from mypt.tokenizers.bare_ids import BareIds


def test_a_text_lists_ids_and_its_continuation_goes_on():
    ids = BareIds(9)
    assert ids.encode("3 0  8\n") == ids.encode_array("3 0 8").tolist() == [3, 0, 8]
    assert "3 0" + ids.decode([8, 1]) == "3 0 8 1"
    assert ids.decode_bytes([8]) == b" 8"
    assert ids.encode("") == []


@pytest.mark.parametrize("text", ["9", "-1", "a", "1.0", "1,2", "9" * 5000, "\u0663 x"])
def test_what_is_no_id_of_the_model_is_refused(text):
    with pytest.raises(DataError, match="write ids from 0 to 8"):
        BareIds(9).encode(text)
