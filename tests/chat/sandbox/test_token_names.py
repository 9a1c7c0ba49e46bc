"""Special tokens become characters where a template writes them, not where it looks for them."""

import pytest
from jinja2 import Environment

from mypt.chat.sandbox.token_names import NamedTokens

END, ENDED = "\ue000", "\ue001"
MESSAGE = {"content": "a", "<|end|>": "of the message"}


def render(source):
    environment = Environment(autoescape=False)
    tree = NamedTokens({"<|ended|>": ENDED, "<|end|>": END}).visit(environment.parse(source))
    template = environment.from_string(tree)
    return template.render(message=MESSAGE, said="<|end|>", name="b<|end|>")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<|end|>x<|ended|>", f"{END}x{ENDED}"),
        ("{{ 'a<|end|>' }}", f"a{END}"),
        ("{{ message.content ~ '<|end|>' }}", f"a{END}"),
        ("{% set end = '<|end|>' %}{{ end }}", END),
        ("{{ missing | default('<|end|>') }}", END),
        ("{{ ['a', 'b'] | join('<|end|>') }}", f"a{END}b"),
        ("{{ {'end': '<|end|>'}['end'] }}", END),
        ("{{ '<|end|>'.strip() }}", END),
    ],
)
def test_what_is_written_becomes_a_character(source, text):
    assert render(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ said == '<|end|>' }}", "True"),
        ("{{ '<|end|>' in name }}", "True"),
        ("{{ name.split('<|end|>')[0] }}", "b"),
        ("{{ name | replace('<|end|>', '') }}", "b"),
        ("{{ message['<|end|>'] }}", "of the message"),
        ("{{ {'<|end|>': 'x'}[said] }}", "x"),
        ("{{ said is eq('<|end|>') }}", "True"),
    ],
)
def test_what_is_looked_for_stays_as_it_is(source, text):
    assert render(source) == text


def test_without_special_tokens_nothing_changes():
    assert NamedTokens({}).visit(Environment().parse("a {{ 'b' }}")) is not None
