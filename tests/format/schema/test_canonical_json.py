import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mypt.format.schema.canonical_json import dump_canonical

# Of appendix B of RFC 8785, and the borders between its forms.
NUMBERS = {
    0.0: "0",
    5e-324: "5e-324",
    -5e-324: "-5e-324",
    1.7976931348623157e308: "1.7976931348623157e+308",
    9007199254740992.0: "9007199254740992",
    295147905179352830000.0: "295147905179352830000",
    9.999999999999997e22: "9.999999999999997e+22",
    1e23: "1e+23",
    999999999999999700000.0: "999999999999999700000",
    1e21: "1e+21",
    9.999999999999997e-7: "9.999999999999997e-7",
    0.000001: "0.000001",
    333333333.3333332: "333333333.3333332",
    -0.0000033333333333333333: "-0.0000033333333333333333",
    1e20: "100000000000000000000",
    0.1: "0.1",
    120.5: "120.5",
}


@pytest.mark.parametrize(("number", "text"), NUMBERS.items())
def test_numbers_are_those_of_ecmascript(number, text):
    assert dump_canonical(number).decode() == text


def test_a_zero_has_no_sign():
    assert dump_canonical(-0.0) == b"0"


def test_the_example_of_the_rfc_has_its_bytes():
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '€$\u000f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert dump_canonical(value).decode() == expected


def test_names_are_sorted_by_their_code_units():
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    ordered = json.loads(dump_canonical(dict.fromkeys(names, 0)))
    assert list(ordered) == [names[n] for n in (1, 3, 5, 6, 0, 4, 2)]


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_what_is_written_is_read_back(number):
    assert type(number)(json.loads(dump_canonical(number))) == number
