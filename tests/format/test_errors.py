from mypt.format.errors import counted


def test_one_thing_is_counted_without_an_s():
    assert [counted(number, "block") for number in (0, 1, 2)] == ["0 blocks", "1 block", "2 blocks"]
    assert counted(3000, "token") == "3,000 tokens"
