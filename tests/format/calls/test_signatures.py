from inspect import signature

import pytest
from attrs import frozen

from mypt.format.calls.signatures import bind_arguments, checks_calls
from mypt.format.errors import ConfigError


def function(text, size=1, *, stop=None, seed):
    return text, size, stop, seed


def open_function(text, *more, **options):
    return text, more, options


def only_named(*, stop=None):
    return stop


def bind(function, *positional, wanted=None, **named):
    bound = bind_arguments(signature(function), positional, named, wanted)
    return function(*bound.args, **bound.kwargs)


def test_arguments_that_fit_are_bound():
    assert bind(function, "a", seed=2) == ("a", 1, None, 2)
    assert bind(open_function, "a", "b", c=1) == ("a", ("b",), {"c": 1})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: bind(function), "text: is missing; give it\nseed: is missing; give it"),
        (
            lambda: bind(function, seed=1, wanted={"text": "a string"}),
            "text: is missing; give a string",
        ),
        (
            lambda: bind(function, "a", seeds=1, seed=1),
            "seeds: is not an argument (did you mean `seed`?); correct it",
        ),
        (
            lambda: bind(function, "a", xyz=1, seed=1),
            "xyz: is not an argument; the arguments are: text, size, stop, seed",
        ),
        (
            lambda: bind(function, "a", 1, 2, seed=1),
            "stop: is given by position, which only text, size can be; give each by its name: "
            "stop=...",
        ),
        (
            lambda: bind(only_named, 1),
            "stop: is given unnamed; give each by its name: stop=...",
        ),
        (
            lambda: bind(lambda a: a, 1, 2),
            "more arguments are given than there are; the arguments are: a",
        ),
        (
            lambda: bind(lambda: 0, x=2),
            "x: is not an argument; the arguments are: none",
        ),
        (
            lambda: bind(function, "a", text="b", seed=1),
            "text: is given twice: by position and by name; leave one of them out",
        ),
        (lambda: bind(open_function, c=1), "text: is missing; give it"),
    ],
)
def test_arguments_that_do_not_fit_are_named(call, said):
    with pytest.raises(ConfigError) as refused:
        call()
    assert str(refused.value) == said


@checks_calls
@frozen
class Point:
    x: int
    y: int = 0
    extra: int = 0


def test_a_class_refuses_what_its_constructor_does_not_have():
    assert Point(1, y=2) == Point(x=1, y=2)
    with pytest.raises(ConfigError, match=r"^z: is not an argument; the arguments are: x, y$"):
        Point(1, z=2)
    with pytest.raises(ConfigError, match=r"^x: is missing"):
        Point(y=1)
    assert list(signature(Point).parameters) == ["x", "y", "extra"]


def test_an_error_inside_of_a_constructor_stays_what_it_is():
    @checks_calls
    class Broken:
        def __init__(self):
            len(5)

    with pytest.raises(TypeError, match="has no len"):
        Broken()
