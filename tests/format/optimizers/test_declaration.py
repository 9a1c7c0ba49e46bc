from mypt.format.optimizers.declaration import is_number, is_plain, keep_nothing


def test_a_setting_is_plain_if_it_is_numbers_and_texts():
    for value in (1, 0.5, True, None, "x", (0.9, [None, 2])):
        assert is_plain(value)
    for value in ({}, {1}, object(), (1, {})):
        assert not is_plain(value)


def test_numbers_are_those_of_python():
    assert is_number(1)
    assert is_number(False)
    assert not is_number("1")
    assert not is_number(None)


def test_an_optimizer_may_keep_nothing():
    assert keep_nothing(None, {}) == {}
