from mypt.format.errors import format_count


def test_one_thing_is_counted_without_an_s():
    assert [format_count(number, "block") for number in (0, 1, 2)] == [
        "0 blocks",
        "1 block",
        "2 blocks",
    ]
    assert format_count(3000, "token") == "3,000 tokens"
