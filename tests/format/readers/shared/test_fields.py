import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.shared.fields import pick_known_fields, require_positive_int


def test_a_field_is_taken_or_its_default():
    assert require_positive_int({"n": 3}, "n", "file") == 3
    assert require_positive_int({"n": None}, "n", "file", default=5) == 5


@pytest.mark.parametrize("value", [None, 0, -1, 2**31, 1.0, True, "3", [3]])
def test_what_is_no_positive_integer_is_refused(value):
    with pytest.raises(FormatError, match="n: is"):
        require_positive_int({"n": value}, "n", "file")


def test_fields_get_our_names_and_null_is_left_out():
    document = {"n_embd": 4, "resid_pdrop": 0.0, "bias": None, "other": 1}
    names = {"n_embd": "width", "resid_pdrop": "dropout", "bias": "bias", "absent": "absent"}
    assert pick_known_fields(document, names) == {"width": 4, "dropout": 0.0}
