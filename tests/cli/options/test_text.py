import pytest

from mypt.cli.options.text import parse_json, parse_token


def test_json_is_parsed_and_what_is_none_is_a_value_error():
    assert parse_json('{"a": [1, true]}') == {"a": [1, True]}
    for wrong in ("{", "[" * 100_000, "1" * 6000):
        with pytest.raises(ValueError, match=r"^\S"):
            parse_json(wrong)


def test_a_token_is_an_id_or_a_text_however_long_it_is():
    assert [parse_token(text) for text in ("12", "a", "-1", "")] == [12, "a", "-1", ""]
    assert parse_token("1" * 6000) == "1" * 6000
