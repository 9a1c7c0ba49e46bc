import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.families.gpt_like.fields import (
    note_dropouts,
    require_false,
    take_sizes,
)


def test_sizes_have_the_names_of_mypt():
    found = take_sizes({"vocab_size": 61, "width": 8}, "config.json", n_embd="width")
    assert found == {"vocab_size": 61, "n_embd": 8}
    with pytest.raises(FormatError, match=r"width: is 8\.5, not a positive whole"):
        take_sizes({"vocab_size": 61, "width": 8.5}, "config.json", n_embd="width")


def test_dropout_is_noted_where_there_is_any():
    list_notes = note_dropouts("first", "second")
    assert list_notes({"first": 0.0, "second": 0}) == []
    (note,) = list_notes({"first": 0.0, "second": 0.1})
    assert "dropout is `first`" in note


def test_what_is_refused_is_named():
    require_false({"odd": False}, {"odd": "is odd", "even": "is even"}, "config.json")
    with pytest.raises(FormatError, match="/odd: is odd, which mypt's config cannot express"):
        require_false({"odd": True}, {"odd": "is odd"}, "config.json")
