from mypt.format.lazy_mapping import LazyMapping


def make_mapping():
    calls = []

    def make():
        calls.append(1)
        return {"rare": 3, "a": 1, "b": 2}

    return LazyMapping({"a": 1, "b": 2}, make), calls


def test_a_known_key_needs_no_computation():
    mapping, calls = make_mapping()
    assert (mapping["a"], next(iter(mapping)), calls) == (1, "a", [])


def test_another_key_is_computed_once():
    mapping, calls = make_mapping()
    assert (mapping["rare"], mapping.get("none"), "rare" in mapping) == (3, None, True)
    assert calls == [1]


def test_every_key_comes_once_and_the_known_ones_first():
    mapping, _ = make_mapping()
    assert list(mapping) == ["a", "b", "rare"]
    assert len(mapping) == 3
