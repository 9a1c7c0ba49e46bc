import json

from mypt.format.errors import escape_controls, format_count, one_line


def test_one_thing_is_counted_without_an_s():
    assert [format_count(number, "block") for number in (0, 1, 2)] == [
        "0 blocks",
        "1 block",
        "2 blocks",
    ]
    assert format_count(3000, "token") == "3,000 tokens"


def test_what_would_control_a_terminal_is_escaped_as_in_json():
    text = "a\tb\n\x1b[31m\x00\x07\x9b2J\x7f\r\u202e\u2066\ud800é猫\u200d\u200f"
    shown = escape_controls(text)
    assert shown == (
        "a\tb\n\\u001b[31m\\u0000\\u0007\\u009b2J\\u007f\\r\\u202e\\u2066\\ud800é猫\u200d\u200f"
    )
    assert one_line(text) == (
        "a\\tb\\n\\u001b[31m\\u0000\\u0007\\u009b2J\\u007f\\r\\u202e\\u2066\\ud800é猫\\u200d\\u200f"
    )
    inside = json.dumps({"text": text}, ensure_ascii=False)
    assert json.loads(escape_controls(inside)) == {"text": text}
