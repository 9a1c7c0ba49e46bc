import pytest

from mypt.data.prepare.chats.tools import read_calls, read_tools
from mypt.format.errors import DataError

FUNCTION = {"name": "f", "arguments": '{"x": 1}'}


def test_arguments_are_read_as_a_value_and_a_bare_function_gets_its_wrapper():
    for call in (FUNCTION, {"type": "function", "function": FUNCTION}):
        assert read_calls({"tool_calls": [call]}, "assistant", "/messages/0") == [
            {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
        ]
    [kept] = read_calls({"tool_calls": [{"name": "f", "arguments": "x"}]}, "assistant", "")
    assert kept["function"]["arguments"] == "x"


def test_no_tools_are_none_whatever_says_so():
    for tools in (None, [], "", "[]"):
        assert read_tools({"tools": tools}) == ()


def test_a_tool_without_a_name_is_refused_where_it_stands():
    with pytest.raises(DataError, match="/tools/1: does not name a function"):
        read_tools({"tools": [{"name": "f"}, {"type": "function"}]})
