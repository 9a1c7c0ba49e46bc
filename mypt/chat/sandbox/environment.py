"""A sandbox for templates that nobody has looked at: no code of theirs runs, and none runs long.

Jinja's own sandbox keeps a template from what could run code. This one also counts what a template
does and how large its values grow. What it may call is listed; the rest is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, pass_context
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace

from mypt.chat.sandbox.budget import STEP, check_filter, check_method, check_operator, measure
from mypt.chat.sandbox.counter import Counter, CountingTransformer, find_budget
from mypt.chat.sandbox.token_names import NamedTokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import nodes
    from jinja2.ext import Extension
    from jinja2.runtime import Context

_FILTERS = frozenset(
    """
    abs capitalize count d default dictsort e escape first float groupby indent int items join last
    length list lower map max min reject rejectattr replace reverse round safe select selectattr
    sort string title tojson trim unique upper
    """.split()  # noqa: SIM905 - easier to read
)
_TEXT_METHODS = """
    capitalize casefold count endswith find format index isalnum isalpha isascii isdecimal isdigit
    islower isnumeric isspace istitle isupper join lower lstrip partition removeprefix removesuffix
    replace rfind rindex rpartition rsplit rstrip split splitlines startswith strip swapcase title
    upper
"""
_METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(_TEXT_METHODS.split()),
    dict: frozenset(("copy", "get", "items", "keys", "values")),
    list: frozenset(("copy", "count", "index")),
    tuple: frozenset(("count", "index")),
}
# What Jinja itself makes, such as `loop` and `namespace()`.
_JINJA = (LoopContext, Macro, Namespace, Cycler, Joiner)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox with a budget, which the variable `BUDGET` of a rendering holds."""

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "**", "%"))

    def __init__(self, extensions: Iterable[type[Extension]]) -> None:
        """Create it with Hugging Face's settings."""
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,
            extensions=[*extensions, Counter],
            finalize=_finalize,
        )
        plain = ImmutableSandboxedEnvironment()
        plain.filters["tojson"] = _to_json
        self.filters = {name: _count_filter(name, plain) for name in _FILTERS}
        self.globals.pop("lipsum")

    def prepare(self, source: str, char_of: Mapping[str, str]) -> nodes.Template:
        """Return a parsed template that counts what it does.

        Args:
            source: The template.
            char_of: What it writes in the place of the names of special tokens.
        """
        counter, tree = self.extensions[Counter.identifier], self.parse(source)
        for one in (NamedTokens(char_of), CountingTransformer(counter)):
            tree = one.visit(tree)
        return tree

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Return whether a template may read an attribute: listed methods of built-in types."""
        for kind, names in _METHODS.items():
            if isinstance(obj, kind):
                return attr in names
        return isinstance(obj, _JINJA) and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Return what an operator makes, if it is not too large."""
        budget = find_budget(context)
        check_operator(budget, operator, left, right)
        return budget.admit(super().call_binop(context, operator, left, right))

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Return what a function of the template returns, if it is not too large."""
        budget = find_budget(context)
        budget.use(STEP)
        method = getattr(obj, "__wrapped__", obj)  # Jinja replaces `format` by its own
        owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        if isinstance(owner, str):
            check_method(budget, owner, name, (*args, *kwargs.values()))
        return budget.admit(super().call(context, obj, *args, **kwargs))


@pass_context
def _finalize(context: Context, value: Any) -> Any:
    """Return what is written for a value; also within a block whose text is kept."""
    budget = find_budget(context)
    size = measure(value, budget.largest)
    budget.allow(size)
    budget.use(size)
    return value


def _count_filter(name: str, plain: Environment) -> Callable[..., Any]:
    """Return a filter that counts what it makes."""

    @pass_context
    def count(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        budget = find_budget(context)
        budget.use(STEP)
        if isinstance(value, Iterator):
            value = [*value]
        check_filter(budget, name, value, (*args, *kwargs.values()))
        return budget.admit(plain.call_filter(name, value, args, kwargs, context))

    return count


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
