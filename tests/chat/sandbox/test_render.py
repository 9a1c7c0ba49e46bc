"""Templates that nobody has looked at neither run code nor run long."""

import pytest

from mypt.chat.sandbox.budget import Budget
from mypt.chat.sandbox.counter import BUDGET
from mypt.chat.sandbox.render import BEGIN, END, render
from mypt.format.errors import ConfigError, DataError

MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]


def write(source, seconds=10, **more):
    variables = {"messages": MESSAGES, **more}
    marks = {BEGIN: "[", END: "]", BUDGET: Budget(variables, seconds)}
    return render(source, {**variables, **marks})


LOOP = "{% for i in range(99999) %}"
HOSTILE = {
    "nested loops": LOOP * 3 + "{% endfor %}" * 3,
    "loops that write": LOOP * 2 + "x" * 999 + "{% endfor %}" * 2,
    "a range without end": "{% for i in range(10 ** 9) %}{% endfor %}",
    "a filtered loop": LOOP + "{% for j in range(99999) if false %}{% endfor %}{% endfor %}",
    "a recursive macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a macro that doubles": "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}"
    "{% endmacro %}{{ f(60) }}",
    "a recursive loop": "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}",
    "a long text": "{{ 'x' * 10 ** 10 }}",
    "a long list": "{{ [1] * 10 ** 10 }}",
    "a large number": "{{ 9 ** 999999999 }}",
    "a number that grows": "{% set ns = namespace(x=9) %}" + LOOP + "{% set ns.x = ns.x * ns.x %}"
    "{% endfor %}",
    "a text that doubles": "{% set ns = namespace(x='x') %}" + LOOP + "{% set ns.x = ns.x + ns.x %}"
    "{% endfor %}",
    "a text that is joined": "{% set ns = namespace(x='x') %}" + LOOP + "{% set ns.x = ns.x ~ ns.x "
    "%}{% endfor %}",
    "a block that doubles": "{% set ns = namespace(x='x') %}" + LOOP + "{% set y %}{{ ns.x }}"
    "{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
    "a list that doubles": "{% set ns = namespace(x=[1]) %}" + LOOP + "{% set ns.x = [ns.x, ns.x] "
    "%}{% endfor %}",
    "a dictionary that doubles": "{% set ns = namespace(x={}) %}" + LOOP + "{% set ns.x = "
    "{'a': ns.x, 'b': ns.x} %}{% endfor %}",
    "a tuple that doubles": "{% set ns = namespace(x=1) %}" + LOOP + "{% set ns.x = (ns.x, ns.x) "
    "%}{% endfor %}",
    "dict": "{% set ns = namespace(x=1) %}" + LOOP + "{% set ns.x = dict(a=ns.x, b=ns.x) "
    "%}{% endfor %}",
    "replace": "{{ ('x' * 9999).replace('', 'y' * 9999) }}",
    "the filter replace": "{{ ('x' * 9999) | replace('', 'y' * 9999) }}",
    "join": "{{ ('x' * 99999).join(range(99999)) }}",
    "the filter join": "{{ range(99999) | join('x' * 99999) }}",
    "the filter join by map": "{{ [range(99999)] | map('join', 'x' * 99999) | list }}",
    "a wide format": "{{ '%0999999999d' % 1 }}",
    "a wide format by an argument": "{{ '%*d' % (999999999, 1) }}",
    "a wide format of braces": "{{ '{:>999999999}'.format(1) }}",
    "a wide format of inner braces": "{{ '{:>{}}'.format(1, 999999999) }}",
    "a format that repeats": "{{ ('{0}' * 9999).format('x' * 9999) }}",
    "indent": "{{ 'a\nb' | indent(999999999) }}",
    "tojson": "{{ messages | tojson(indent=999999999) }}",
    "tojson by name": "{{ messages | tojson(sort_keys=true, indent=999999999) }}",
    "separators": "{{ range(9999) | list | tojson(separators=['x' * 999999, ':']) }}",
    "round": "{{ 1.5 | round(999999999, 'ceil') }}",
    "the filter join by name": "{{ range(99999) | join(attribute=none, d='x' * 99999) }}",
    "the filter replace by name": "{{ ('x' * 9999) | replace(new='y' * 9999, old='x') }}",
    "a block that calls itself": "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    "a number of a text": "{{ ('f' * 999999) | int(base=16) }}",
    "a number that divides": "{{ 0x" + "f" * 99999 + " // 0x" + "e" * 50000 + " }}",
    "center": "{{ 'x' | center(999999999) }}",
    "zfill": "{{ 'x'.zfill(999999999) }}",
    "ljust": "{{ 'x'.ljust(999999999) }}",
    "expandtabs": "{{ '\t'.expandtabs(999999999) }}",
    "bytes": "{{ (1).to_bytes(999999999, 'big') }}",
    "lipsum": "{{ lipsum(n=999999999) }}",
    "batch": "{{ [1] | batch(999999999, 1) | list }}",
    "slices": "{% set ns = namespace(x=[]) %}{% set t = 'x' * 4000000 %}"
    + LOOP
    + "{% set ns.x = ns.x + [t[1:]] %}{% endfor %}",
    "deep brackets": "{{ " + "(" * 9999 + "1" + ")" * 9999 + " }}",
    "deep loops": LOOP * 50 + "{% endfor %}" * 50,
    "a long template": "x" * 999_999,
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "classes by a filter": "{{ '' | attr('__class__') }}",
    "classes by a format": "{{ '{0.__class__.__mro__}'.format('') }}",
    "globals of a macro": "{{ namespace.__init__.__globals__ }}",
    "import": "{% import 'os' as os %}",
    "include": "{% include '/etc/passwd' %}",
    "extends": "{% extends '/etc/passwd' %}",
    "a list that is changed": "{{ messages.append(1) }}",
    "a dictionary that is changed": "{{ messages[0].update({'content': ''}) }}",
    "its budget": "{{ self._TemplateReference__context.parent }}",
}


HARMLESS = {
    "classes by map": "{{ [''] | map(attribute='__class__') | list }}",
    "globals of a function": "{{ raise_exception.__globals__ }}",
    "code of a generator": "{{ (messages | map('upper')).gi_frame }}",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_template_is_refused_in_one_line(source):
    with pytest.raises(ConfigError, match=r"^tokenizer\.json#/chat_template.*--chat_template$"):
        write(source, seconds=0.2)


@pytest.mark.parametrize("source", HARMLESS.values(), ids=HARMLESS)
def test_what_a_template_must_not_see_is_undefined(source):
    assert write(source) in ("", "[Undefined]")


def test_a_template_may_do_what_those_of_models_do():
    assert write("{{ messages[0].content.split('i')[0] }}{{ messages[1:] | length }}") == "H1"
    assert write("{{ messages | map(attribute='role') | join(', ') }}") == "user, assistant"
    assert (
        write(
            "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m['role'] }}"
            "{% endfor %}"
        )
        == "assistant"
    )
    assert write("{{ {'b': '<é>', 'a': 1} | tojson }}") == '{"b": "<é>", "a": 1}'
    assert write("{{ {'a': 1} | tojson(indent=2) }}") == '{\n  "a": 1\n}'
    assert write("{{ '%s-%02d' % ('a', 3) }}{{ '{:>3}'.format('b') }}") == "a-03  b"
    assert write("{% generation %}{{ 'a' }}{% endgeneration %}b") == "[a]b"
    assert len(write("{{ strftime_now('%Y') }}")) == 4
    assert (
        write(
            "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
            "{% endfor %}{{ ns.n }}"
        )
        == "2"
    )
    assert write("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f('a') }}") == "<a>"
    assert write("{{ missing }}{{ messages[0].missing is defined }}") == "False"


def test_a_template_that_fails_is_named_with_its_line():
    with pytest.raises(ConfigError, match=r"tokenizer.json#/chat_template line 2: is no template"):
        write("a\n{% for %}")
    with pytest.raises(
        ConfigError, match=r"chat_template line 3: cannot be rendered: .* 'missing'"
    ):
        write("a\nb\n{{ messages[0].missing.x }}")


def test_what_a_template_refuses_is_said():
    with pytest.raises(DataError, match="refuses the conversation: Roles must alternate; correct"):
        write("{{ raise_exception('Roles must alternate') }}")


def test_a_long_conversation_is_no_hostile_one():
    many = [{"role": "user", "content": "word " * 200}] * 2000
    source = "{% set ns = namespace(t='') %}{% for m in messages %}{{ m.role + m.content | trim }}"
    assert len(write(source + "{% endfor %}", messages=many)) == 2000 * 1003
