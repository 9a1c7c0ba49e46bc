import os

import pytest
from click import BadParameter

from mypt.cli.options.text import PROMPT, SYSTEM_PROMPT, parse_json, parse_token


def test_json_is_parsed_and_what_is_none_is_a_value_error():
    assert parse_json('{"a": [1, true]}') == {"a": [1, True]}
    for wrong in ("{", "[" * 100_000, "1" * 6000):
        with pytest.raises(ValueError, match=r"^\S"):
            parse_json(wrong)


def test_a_token_is_an_id_or_a_text_however_long_it_is():
    assert [parse_token(text) for text in ("12", "a", "-1", "")] == [12, "a", "-1", ""]
    assert parse_token("1" * 6000) == "1" * 6000


@pytest.mark.parametrize("text", ["", "ché 😀", "\udcff"])
def test_a_prompt_is_read_whatever_the_locale_has_characters_for(text, monkeypatch):
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode("ascii", "surrogateescape"))
    given = text.encode("utf-8", "surrogateescape").decode("ascii", "surrogateescape")
    if text.isascii() or text.isprintable():
        assert PROMPT.convert(given, None, None) == text
        return
    for kind in (PROMPT, SYSTEM_PROMPT):
        with pytest.raises(BadParameter, match="is not UTF-8; write it as UTF-8"):
            kind.convert(given, None, None)


def test_only_a_prompt_may_be_empty():
    with pytest.raises(BadParameter, match="must not be empty"):
        SYSTEM_PROMPT.convert("", None, None)
