"""The environment that chat templates are rendered in: Hugging Face's conventions, in a sandbox.

Source: the documentation of `apply_chat_template` in Hugging Face's transformers.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2.parser import Parser

# What the block that holds an answer is wrapped in; a text has them nowhere else.
BEGIN, END = "answer_begin", "answer_end"


class GenerationBlock(Extension):
    """`{% generation %}...{% endgeneration %}`, which holds what the assistant says."""

    tags = {"generation"}  # noqa: RUF012 - the class of Jinja has it so

    def parse(self, parser: Parser) -> nodes.Node:
        """Return the block, with the variables of its begin and end around what it writes."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        arguments: list[nodes.Expr] = [nodes.Name(name, "load") for name in (BEGIN, END)]
        call = self.call_method("wrap", arguments)
        return nodes.CallBlock(call, [], [], body).set_lineno(line)

    def wrap(self, begin: str, end: str, caller: Callable[[], str]) -> str:
        """Return what the block writes, between its marks."""
        return f"{begin}{caller()}{end}"


@lru_cache(maxsize=32)
def compile_template(source: str) -> Template:
    """Compile a template.

    Raises:
        jinja2.TemplateSyntaxError: It is no template.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, GenerationBlock]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _format_now
    return environment.from_string(source)


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


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _format_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)
