import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.shared.known_keys import KnownKeys, check_keys

KEYS = KnownKeys(
    read=frozenset({"n_layer"}),
    ignored=frozenset({"device"}),
    ignored_at={"alibi": (False, None), "chunk": (0,)},
)


def find_problems(document):
    try:
        check_keys(document, KEYS, "config.json", "/model")
    except FormatError as error:
        return {problem.where: problem.what for problem in error.problems}
    return {}


def test_what_is_known_passes():
    held = {"n_layer": 2, "device": ["any"], "alibi": False, "chunk": 0}
    assert find_problems(held) == find_problems({"alibi": None}) == {}


def test_every_unknown_key_is_named():
    found = find_problems({"n_layers": 2, "use_alibi": True, "a/b": 1})
    assert set(found) == {"/model/n_layers", "/model/use_alibi", "/model/a~1b"}
    assert "did you mean `n_layer`" in found["/model/n_layers"]


@pytest.mark.parametrize("value", [True, 0, "false", [False], {}, 1.5, object()])
def test_another_value_of_a_key_without_effect_is_refused(value):
    assert "with false or null alone" in find_problems({"alibi": value})["/model/alibi"]


def test_false_is_not_zero():
    assert find_problems({"chunk": False})


def test_thousands_of_keys_are_not_all_named():
    assert len(find_problems({f"key{i}": i for i in range(2000)})) < 100
