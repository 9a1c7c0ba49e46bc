"""The environment that chat templates are rendered in: Hugging Face's conventions, in a sandbox.

Source: the documentation of `apply_chat_template` in Hugging Face's transformers.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import Template, TemplateError, nodes, pass_context
from jinja2.ext import Extension, loopcontrols
from jinja2.meta import find_undeclared_variables

from mypt.chat.sandbox.environment import Sandbox
from mypt.format.errors import ConfigError, DataError, Problem, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2.parser import Parser
    from jinja2.runtime import Context

# Variables of a rendering: what the block that holds an answer is wrapped in. No names in Jinja, so
# that no template can read or set them.
BEGIN, END = "the answer's begin", "the answer's end"
PLACE = ("tokenizer.json", "/chat_template")
CORRECT_TEMPLATE = "correct it, or choose another one with --chat_template"
FILENAME = "<chat template>"
_LONGEST = 1 << 18


class GenerationBlock(Extension):
    """`{% generation %}...{% endgeneration %}`, which holds what the assistant says."""

    tags = {"generation"}  # noqa: RUF012 - the class of Jinja has it so

    def parse(self, parser: Parser) -> nodes.Node:
        """Return the block, with the variables of its begin and end around what it writes."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("wrap"), [], [], body).set_lineno(line)

    @pass_context
    def wrap(self, context: Context, caller: Callable[[], str]) -> str:
        """Return what the block writes, between its marks."""
        return f"{context.parent[BEGIN]}{caller()}{context.parent[END]}"


class RefusedError(TemplateError):
    """A template refuses a conversation, by `raise_exception`."""


@lru_cache(maxsize=32)
def compile_template(source: str, names: tuple[tuple[str, str], ...] = ()) -> Template:
    """Compile a template.

    Args:
        source: The template.
        names: Texts, each with what the template writes in its place where it names it.

    Raises:
        ConfigError: It is no template.
    """
    if len(source) > _LONGEST:
        what = f"has {len(source):,} characters, more than the {_LONGEST:,} that mypt reads"
        raise ConfigError(Problem(*PLACE, what, CORRECT_TEMPLATE, kind="chat.template"))
    environment = Sandbox((loopcontrols, GenerationBlock))
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _format_now
    try:
        code = environment.compile(environment.prepare(source, dict(names)), filename=FILENAME)
    except Exception as error:  # Python's own limits for what Jinja makes, too
        raise _explain(error, "is no template") from error
    return environment.template_class.from_code(environment, code, environment.make_globals(None))


@lru_cache(maxsize=32)
def find_variables_read(source: str) -> frozenset[str]:
    """Return the names of the variables that a template reads and does not set."""
    environment = compile_template(source).environment
    return frozenset(find_undeclared_variables(environment.parse(source)))


def render(
    source: str, variables: Mapping[str, Any], names: tuple[tuple[str, str], ...] = ()
) -> str:
    """Return what a template writes.

    Args:
        source: The template.
        variables: What it reads.
        names: As `compile_template` takes them.

    Raises:
        ConfigError: It fails, or is no template.
        DataError: It refuses the conversation.
    """
    template = compile_template(source, names)
    try:
        return template.render(variables)
    except RefusedError as error:
        what = f"refuses the conversation: {one_line(str(error.message))}"
        raise DataError(
            Problem(*PLACE, what, "correct the conversation", "chat.refused")
        ) from error
    except Exception as error:  # whatever an expression of a template can raise
        raise _explain(error, "cannot be rendered") from error


def _explain(error: Exception, what: str) -> ConfigError:
    """Return the error of a template that fails, in one line, with the line of the template."""
    frames = [one for one in extract_tb(error.__traceback__) if one.filename == FILENAME]
    line = getattr(error, "lineno", None) or (frames[-1].lineno if frames else None)
    where = PLACE[1] if line is None else f"{PLACE[1]} line {line}"
    told = one_line(str(getattr(error, "message", None) or error)) or type(error).__name__
    return ConfigError(
        Problem(PLACE[0], where, f"{what}: {told}", CORRECT_TEMPLATE, kind="chat.template")
    )


def _raise_exception(message: str) -> NoReturn:
    raise RefusedError(message)


def _format_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)
