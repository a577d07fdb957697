"""Templates that quote by themselves: what becomes a literal, what stays code, what is refused."""

from __future__ import annotations

import ast
import random
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagforge.errors import TemplateError
from dagforge.templating.environment import PythonEnvironment, render_template, template_loader
from dagforge.templating.layout import Code, shape
from dagforge.templating.pieces import MisplacedError, Value, assemble, expand


@dataclass(frozen=True)
class Cron:
    expression: str
    timezone: str


@dataclass(frozen=True)
class Model:
    type: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Reference:
    path: str


SPELLINGS = """
{% macro timedelta(v) %}{{ call("timedelta", seconds=v.total_seconds() | int) }}{% endmacro %}
{% macro Cron(v) %}
    {{ use("CronTriggerTimetable") }}({{ v.expression }}, timezone={{ v.timezone }})
{% endmacro %}
{% macro Model(v) %}{{ call("k8s." ~ v.type, **v.fields) }}{% endmacro %}
{% macro Reference(v) %}{{ use(v.path) }}{% endmacro %}
"""
IMPORTS = {
    "DAG": "airflow.sdk.DAG",
    "k8s": "kubernetes.client.models as k8s",
    "timedelta": "datetime.timedelta",
    "CronTriggerTimetable": "airflow.timetables.trigger.CronTriggerTimetable",
}
HOSTILE = [
    'O\'Brien "R&D" \\ {{ ds }}',
    "{% raw %}{{ x }}{# y #}{% endraw %}",
    "__import__('os').system('touch /tmp/never')",
    '"""',
    "'''",
    '" + __import__("os").getcwd() + "',
    "\n\r\t\x00\x85\u2028",
    "\ue0000\ue001",
    "\ud800",
    "<b>&amp;</b>",
    "# no comment",
    "\\",
    "",
    "%s %d {} {0} {x!r}",
    "}}",
    "é漢🚀",
]


def render(
    template: str | Mapping[str, str],
    *,
    imports: Mapping[str, str] = IMPORTS,
    reserved: tuple[str, ...] = (),
    **context: Any,
) -> str:
    """Return what `template`, or the one of the name `t`, gives."""
    templates = {"t": template} if isinstance(template, str) else template
    loader = jinja2.DictLoader({"values": SPELLINGS, **templates})
    return render_template(
        PythonEnvironment(loader),
        "t",
        context,
        imports=imports,
        reserved=reserved,
        values=["values"],
    )


def refusal(template: str | Mapping[str, str], **context: Any) -> str:
    """Return the message of the one problem that `template` has."""
    with pytest.raises(TemplateError) as caught:
        render(template, **context)
    assert len(caught.value.problems) == 1
    return str(caught.value)


# Values become literals.


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "template",
    [
        "{{ v }}",
        "{{ v | default('x') }}",
        "{{ v ~ '' }}",
        "{{ v + '' }}",
        "{{ '%s' | format(v) }}",
        "{{ '{}'.format(v) }}",
        "{{ [v] | join }}",
        "{{ [v] | join('-') }}",
        "{{ [v, ''] | join('') }}",
        "{{ v | string }}",
        "{{ [v] | map('string') | first }}",
        "{{ v | list | join }}",
        "{{ v | replace('never there', 'x') }}",
        "{{ v if true else 1 }}",
        "{{ {'a': v}['a'] }}",
        "{{ {'a': v}.a }}",
        "{{ [v][0] }}",
        "{{ (v, 1) | first }}",
        "{{ dict(a=v).a }}",
        "{{ namespace(a=v).a }}",
        "{{ cycler(v).next() }}",
        "{% for x in [v] %}{{ x }}{% endfor %}",
        "{% for x in [1] %}{{ loop.cycle(v) }}{% endfor %}",
        "{% for x in [1] recursive %}{{ v if x == 2 else loop([2]) }}{% endfor %}",
        "{% set x = v %}{{ x }}",
        "{% set x %}{{ v }}{% endset %}{{ x }}",
        "{% set x | trim %} {{ v }} {% endset %}{{ x }}",
        "{% set x | indent %}{{ v }}{% endset %}{{ x }}",
        "{% with x = v %}{{ x }}{% endwith %}",
        "{% if v is string %}{{ v }}{% endif %}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(v) }}",
        "{% macro m(x=v) %}{{ x }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ varargs[0] }}{% endmacro %}{{ m(v) }}",
        "{% macro m() %}{{ kwargs.x }}{% endmacro %}{{ m(x=v) }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(v) | trim }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(v) | default(1) }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ [m(v)] }}[0]",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ {'a': m(v)} }}['a']",
        "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ v }}{% endcall %}",
        "{% macro m() %}{{ caller(v) }}{% endmacro %}{% call(x) m() %}{{ x }}{% endcall %}",
        "{% call give(v) %}{% endcall %}",
        "{% call give.method(v) %}text{% endcall %}",
        "{% filter indent(4) %}{{ v }}{% endfilter %}",
        "{% filter trim %} {{ v }} {% endfilter %}",
        "{% filter replace_all(v) %}text{% endfilter %}",
        "{% block b %}{{ v }}{% endblock %}",
        "{% set x = v %}{% block b scoped %}{{ x }}{% endblock %}",
        "{% print v %}",
        "{% include 'included' %}",
        "{% import 'module' as module %}{{ module.m(v) }}",
        "{% import 'module' as module with context %}{{ module.c() }}",
        "{% from 'module' import m %}{{ m(v) }}",
        "{% from 'module' import c with context %}{{ c() }}",
        "{% extends 'base' %}{% block body %}{{ v }}{% endblock %}",
        "{% extends 'base' %}{% block body %}{{ super() }}{% endblock %}",
        "{% extends 'base' %}{% block body %}{{ super() | trim }}{% endblock %}",
        "{% extends 'base' %}{% block body %}{% set x = super() %}{{ x }}{% endblock %}",
        "{% block b %}{{ v }}{% endblock %} == {{ self.b() }} and {{ v }}",
    ],
)
def test_values_are_literals_on_every_route(template: str, text: str) -> None:
    def give(value: object, **_: object) -> object:
        return value

    def replace_all(_: object, value: object) -> object:
        return value

    give.method = give  # type: ignore[attr-defined]
    loader = jinja2.DictLoader(
        {
            "t": template,
            "included": "{{ v }}",
            "module": "{% macro m(x) %}{{ x }}{% endmacro %}{% macro c() %}{{ v }}{% endmacro %}",
            "base": "{% block body %}{{ v }}{% endblock %}",
        }
    )
    environment = PythonEnvironment(loader, filters={"replace_all": replace_all})
    source = render_template(environment, "t", {"v": text, "give": give})
    assert eval(source, {"__builtins__": {}}) == text


# Text that a template assembled stays code.


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("x = 1\n", "x = 1\n"),
        ("{{ 'a.b' | code }}", "a.b"),
        ("{{ 3 | code }}", "3"),
        ("task_{{ 3 | code }}", "task_3"),
        ("{{ name }}", "dag"),
        ("{{ name }}.test()", "dag.test()"),
        ("{{ [name, 'dag'] }}", '[dag, "dag"]'),
        ("{{ name | default('x') }}", "dag"),
        ("{{ name | string }}", "dag"),
        ("{{ {'a': name}['a'] }}", "dag"),
        ("{{ [name, name] | join(', ' | code) }}", "dag, dag"),
        ("{{ [name, name] | join }}", "dagdag"),
        ("{% set x %}f({{ 1 }}){% endset %}{{ x }}", "f(1)"),
        ("{% set x %}f({{ 1 }}){% endset %}{{ [x, 2] }}", "[f(1), 2]"),
        ("{% set x %}\n  f({{ 1 }})\n{% endset %}{{ x | trim }}", "f(1)"),
        ("{% macro m() %}f(){% endmacro %}{{ m() }}", "f()"),
        ("{% macro m() %}f({{ caller() }}){% endmacro %}{% call m() %}x{% endcall %}", "f(x)"),
        ("{% filter indent(2) %}if x:\n  y\n\n  z{% endfilter %}", "if x:\n    y\n\n    z"),
        ("{{ 'if x:\n  y' | code | indent(2, true) }}", "  if x:\n    y"),
        ("{% set x %}a\n{{ 1 }}\n\n{{ 2 }}{% endset %}{{ x | indent(2) }}", "a\n  1\n\n  2"),
        ("{% set x %}a\n\n{{ 1 }}{% endset %}{{ x | indent(2, blank=true) }}", "a\n  \n  1"),
        ("{% if false %}{% endif %}{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("{{ call('k8s.V1Pod', name, a=name) }}\n{{ imports() }}", None),
    ],
)
def test_text_stays_code(template: str, expected: str | None) -> None:
    if expected is None:
        expected = "k8s.V1Pod(dag, a=dag)\nfrom kubernetes.client import models as k8s"
    assert render(template, name=Code("dag")) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{{ c ~ v }}",
        "{{ v ~ c }}",
        "{{ c ~ c }}",
        "{{ c + v }}",
        "{{ v + c }}",
        "{{ c * 2 }}",
        "{{ c[0:2] }}",
        "{{ c[0] }}",
        "{{ c | upper }}",
        "{{ c | lower }}",
        "{{ c | title }}",
        "{{ c | replace('x', v) }}",
        "{{ c | replace('x', 'y') }}",
        "{{ c.replace('x', v) }}",
        "{{ c | truncate(1, true, '') }}",
        "{{ c | reverse }}",
        "{{ c | center(20) }}",
        "{{ c | wordwrap(2) }}",
        "{{ (c ~ '%s') | format(v) }}",
        "{{ (c + '%s') % v }}",
        "{{ (c ~ '{}').format(v) }}",
        "{{ '%s%s' | format(c, v) }}",
        "{{ '{}{}'.format(c, v) }}",
        "{{ c.join([v, v]) }}",
        "{{ [c, v] | join }}",
        "{{ [c, v] | join(c) }}",
        "{{ [c, c] | join(v) }}",
        "{{ [c, c] | join(', ') }}",
        "{{ [v, v] | join(c) }}",
        "{{ c | trim('x') }}",
        "{{ c.strip() }}",
        "{{ c | list | first }}",
        "{{ c | urlencode }}",
        "{{ c | pprint }}",
        "{{ c | map('upper') | join }}",
        "{% filter upper %}a{{ v }}{% endfilter %}",
        "{% filter replace('x', v) %}x{% endfilter %}",
        "{% filter format(v) %}%s{% endfilter %}",
        "{% set x | upper %}a{{ v }}{% endset %}{{ x }}",
        "{% set x %}a {{ v }}{% endset %}{{ x ~ v }}",
        "{% macro m() %}a {{ v }}{% endmacro %}{{ m() ~ m() }}",
        "{% macro m() %}a {{ v }}{% endmacro %}{{ m() | upper }}",
        "{% macro m() %}a {{ v }}{% endmacro %}{{ m() | replace('a', v) }}",
        "{% macro m() %}{{ caller() | upper }}{% endmacro %}{% call m() %}{{ v }}{% endcall %}",
    ],
)
def test_what_is_made_of_code_is_a_value(template: str) -> None:
    source = render(template, c=Code("x.yyyyyyyyyy"), v="__import__('os')")
    assert isinstance(ast.literal_eval(source), str)


def test_text_with_values_reads_as_python() -> None:
    template = "{% macro m() %}f({{ v }}){% endmacro %}{{ m() ~ '!' }}"
    assert ast.literal_eval(render(template, v='a "b"')) == "f('a \"b\"')!"


# Random constructs around random values.


class Maker:
    """Writes random templates that print one expression, and knows what it must evaluate to."""

    def __init__(self, draw: Any, values: list[Any]) -> None:
        self.draw = draw
        self.values = values
        self.templates: dict[str, str] = {}
        self.names = 0

    def name(self) -> str:
        self.names += 1
        return f"x{self.names}"

    def expression(self, depth: int) -> tuple[str, Any]:
        """Return an expression of Jinja and its value."""
        index = self.draw(st.integers(0, len(self.values) - 1))
        if depth == 0:
            return f"values[{index}]", self.values[index]
        inner, value = self.expression(depth - 1)
        other, second = self.expression(0)
        choice: tuple[str, Any] = self.draw(
            st.sampled_from(
                [
                    (f"[{inner}, {other}]", [value, second]),
                    (f"({inner}, {other})", (value, second)),
                    (f"{{'k': {inner}, 2: {other}}}", {"k": value, 2: second}),
                    (f"[{inner}] | first", value),
                    (f"({inner} if true else {other})", value),
                    (f"{inner} | default({other})", value),
                    (f"namespace(a={inner}).a", value),
                    (f"dict(a={inner})", {"a": value}),
                    (f"[{inner}] + [{other}]", [value, second]),
                ]
            )
        )
        return choice

    def fragment(self, depth: int) -> tuple[str, Any]:
        """Return a piece of template and what the Python it prints evaluates to."""
        if depth == 0:
            source, value = self.expression(self.draw(st.integers(0, 3)))
            return f"{{{{ {source} }}}}", value
        inner, value = self.fragment(depth - 1)
        name = self.name()
        macro = f"{{% macro {name}() %}}{inner}{{% endmacro %}}"
        wrapper = f"{{% macro {name}() %}}{{{{ caller() }}}}{{% endmacro %}}"
        choices = {
            "set": (f"{{% set {name} %}}{inner}{{% endset %}}{{{{ {name} }}}}", value),
            "macro": (f"{macro}{{{{ {name}() }}}}", value),
            "macro in a list": (f"{macro}{{{{ [{name}(), 1] }}}}", [value, 1]),
            "macro in a dict": (f"{macro}{{{{ {{'a': ({name}(),)}} }}}}", {"a": (value,)}),
            "trim": (f"{macro}{{{{ {name}() | trim }}}}", value),
            "call": (f"{wrapper}{{% call {name}() %}}{inner}{{% endcall %}}", value),
            "filter": (f"{{% filter indent(8) %}}{inner}{{% endfilter %}}", value),
            "for": (f"{{% for _ in [1] %}}{inner}{{% endfor %}}", value),
            "recursion": (
                f"{{% for {name} in [1] recursive %}}{{% if {name} == 1 %}}{{{{ loop([2]) }}}}"
                f"{{% else %}}{inner}{{% endif %}}{{% endfor %}}",
                value,
            ),
            "with": (f"{{% with {name} = 1 %}}{inner}{{% endwith %}}", value),
            "if": (f"{{% if values %}}{inner}{{% endif %}}", value),
            "list": (f"[{inner}, {inner}]", [value, value]),
            "dict": (f'{{\n    "a": {inner},\n}}', {"a": value}),
            "brackets": (f"(  # why\n    {inner}\n)", value),
            "include": (f"{{% include '{name}' %}}", value),
            "import": (
                f"{{% import '{name}m' as {name} with context %}}{{{{ {name}.m() }}}}",
                value,
            ),
        }
        self.templates[name] = inner
        self.templates[f"{name}m"] = f"{{% macro m() %}}{inner}{{% endmacro %}}"
        return choices[self.draw(st.sampled_from(sorted(choices)))]


LEAVES = st.sampled_from(HOSTILE) | st.text(max_size=8) | st.integers() | st.none() | st.booleans()
DATA = st.recursive(
    LEAVES,
    lambda items: st.lists(items, max_size=3) | st.dictionaries(st.text(max_size=5), items),
    max_leaves=8,
)


@given(st.data(), st.lists(DATA, min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_random_constructs_keep_random_values(data: st.DataObject, values: list[Any]) -> None:
    maker = Maker(data.draw, values)
    body, expected = maker.fragment(data.draw(st.integers(0, 5)))
    base = f"{{% block body %}}x = {body}{{% endblock %}}\n"
    source = render({**maker.templates, "t": base}, values=values)
    assert repr(ast.literal_eval(source.partition(" = ")[2].strip())) == repr(expected)
    child = "{% extends 'b' %}{% block body %}{{ super() }}{% endblock %}"
    assert render({**maker.templates, "b": base, "t": child}, values=values) == source


# Where values cannot stand.


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            'DAG(\n    owner="{{ owner }}",\n)',
            "t:2:12: error: '{{ owner }}' stands inside quotes, and brings its own "
            "[value-in-quotes]\n"
            "  fix: drop the quotes; to join text and value write {{ 'text ' ~ value }}",
        ),
        (
            "x = {{ 1 }}; y = '{{   owner }} '",
            "t:1:19: error: '{{ owner }}' stands inside quotes, and brings its own "
            "[value-in-quotes]\n"
            "  fix: drop the quotes; to join text and value write {{ 'text ' ~ value }}",
        ),
        (
            'x = f"{a} {{ owner }}"',
            "t:1:11: error: '{{ owner }}' stands inside an f-string, where a value cannot be "
            "quoted safely [value-in-quotes]\n"
            "  fix: give the value a name in front of the f-string and use that name in it",
        ),
        (
            "# made for {{ owner }}\n",
            "t:1:12: error: '{{ owner }}' stands in a comment, which a value could end "
            "[value-in-comment]\n"
            "  fix: leave it out of the comment",
        ),
        (
            "x = task_{{ owner }}\n",
            "t:1:10: error: '{{ owner }}' touches a name, number or string, and would be read as "
            "part of it [value-touches-name]\n"
            "  fix: put a space or an operator between them; a name is written {{ name | code }}",
        ),
        (
            "x = {{ 1 }}{{ owner }}\n",
            "t:1:12: error: '{{ owner }}' follows another value with nothing between them "
            "[value-touches-name]\n"
            "  fix: put an operator between them, or join them with ~ in one expression",
        ),
    ],
)
def test_misplaced_values(template: str, message: str) -> None:
    assert refusal(template, owner="me") == message


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ('"{{ v }}"', "value-in-quotes"),
        ("'{{ v }}'", "value-in-quotes"),
        ('"""{{ v }}"""', "value-in-quotes"),
        ("'''\n\"\n{{ v }}\n'''", "value-in-quotes"),
        ('x = """a"b""c\\"""{{ v }}', "value-in-quotes"),
        ('r"\\"{{ v }}"', "value-in-quotes"),
        ('"a\\\n{{ v }}"', "value-in-quotes"),
        ('"\\{{ v }}"', "value-in-quotes"),
        ('"a" "b{{ v }}"', "value-in-quotes"),
        ("b'{{ v }}'", "value-in-quotes"),
        ("'#{{ v }}'", "value-in-quotes"),
        ("f'{{ v }}'", "value-in-quotes"),
        ("f'{ {{ v }} }'", "value-in-quotes"),
        ("F'{ {{ v }} }'", "value-in-quotes"),
        ("rf'{ {{ v }} }'", "value-in-quotes"),
        ("fR'''{ {{ v }} }'''", "value-in-quotes"),
        ("t'{ {{ v }} }'", "value-in-quotes"),
        # From Python 3.12 on, the second quote opens a string inside the field.
        ("f'{x + ' {{ v }} '}'", "value-in-quotes"),
        ("f'{x[' {{ v }} ']}'", "value-in-quotes"),
        ("f\"{ '}' + x + \" {{ v }}", "value-in-quotes"),
        ("f'''{x + ''' {{ v }} '''}'''", "value-in-quotes"),
        ("f'''{'''{{ v }}", "value-in-quotes"),
        ("f'{\n{{ v }}}'", "value-in-quotes"),
        ("f'{x!r:{ {{ v }} }}'", "value-in-quotes"),
        ("# {{ v }}", "value-in-comment"),
        ("x  # '\" {{ v }}", "value-in-comment"),
        ("'a' # '\n# {{ v }}", "value-in-comment"),
        ("a{{ v }}", "value-touches-name"),
        ("_{{ v }}", "value-touches-name"),
        ("é{{ v }}", "value-touches-name"),
        ("1{{ v }}", "value-touches-name"),
        ("f{{ v }}", "value-touches-name"),
        ("rb{{ v }}", "value-touches-name"),
        ("x.{{ v }}", "value-touches-name"),
        ("'a'{{ v }}", "value-touches-name"),
        ("\\{{ v }}", "value-touches-name"),
        ("{{ v }}a", "value-touches-name"),
        ("{{ v }}1", "value-touches-name"),
        ("{{ v }}'a'", "value-touches-name"),
        ('{{ v }}"a"', "value-touches-name"),
        ("{{ 1 }}.real", "value-touches-name"),
        ("{{ v }}if x", "value-touches-name"),
        ("return{{ v }}", "value-touches-name"),
        ("{{ v }}{{ v }}", "value-touches-name"),
        ("{{ 'a' | code }}{{ v }}", "value-touches-name"),
        ("{{ v }}{{ 'a' | code }}", "value-touches-name"),
        ("{{ '\"' | code }}{{ v }}", "value-in-quotes"),
        ('{{ \'# x\r"""\' | code }} {{ v }}', "value-in-quotes"),
        ("{% for x in [1, 2] %}{{ x }}{% endfor %}", "value-touches-name"),
        ("{% macro m() %}{{ v }}{% endmacro %}a{{ m() }}", "value-touches-name"),
        ("{% macro m() %}{{ v }}{% endmacro %}'{{ m() }}'", "value-in-quotes"),
        ("{% set x %}'{{ v }}'{% endset %}{{ [x] }}", "value-in-quotes"),
        ("{% set x %}'{{ v }}{% endset %}{{ [x, v] }}", "value-in-quotes"),
        ("{% set x %}'abc{% endset %}{{ [x, v] }}", "open-code"),
        ("{% set x %}x # abc{% endset %}{{ [x, v] }}", "open-code"),
        ("{% set x %}f'{ {% endset %}{{ [x, v] }}", "open-code"),
        ("{{ ['\"' | code, v] }}", "open-code"),
        ("{{ {'\"' | code: v} }}", "open-code"),
        ("{{ call('\"' | code, v) }}", "open-code"),
    ],
)
def test_places_where_a_value_is_refused(template: str, code: str) -> None:
    assert f"[{code}]" in refusal(template, v="v")


@pytest.mark.parametrize(
    "template",
    [
        "'a', {{ v }}",
        "'a' {{ v }}",
        "x = '' ; {{ v }}",
        '"" "" {{ v }}',
        '""""a"" """, {{ v }}',
        "'''a''''b' + {{ v }}",
        "r'\\\\' + {{ v }}",
        "'\\'' + {{ v }}",
        "# it's\n{{ v }}",
        'x # """\n{{ v }}',
        "f'{x}' + {{ v }}",
        "f'{{}}' + {{ v }}".replace("{{}}", "{{ '{{}}' | code }}"),
        "f'{x[\"a\"]}' + {{ v }}",
        "f'''{x[\"a\"] + 'b'}''' + {{ v }}",
        "f'{x:>{n}}' + {{ v }}",
        "f'{ {1: 2}[1] }' + {{ v }}",
        "-{{ 1 }}",
        "[{{ v }}]",
        "{{ v }}[0]",
        "{{ v }}.upper()",
        "x={{ v }},",
        "x = {{ v }}  # why",
        "not {{ v }}",
        "lambda: {{ v }}",
    ],
)
def test_places_where_a_value_is_written(template: str) -> None:
    assert ('"v"' in render(template, v="v")) == ("{{ v }}" in template)


TOKENS = """
    " ' \"\"\" \'\'\' f" f' f\"\"\" f\'\'\' rb" r" F" t' { } {{ }} \\ # x + ( ) [ ] , : !r = 1 . ;
    "a" f"{x}" f"{ }" f'{ }' lambda: x:
    """.split()  # noqa: SIM905
ATTACKS = ["+ evil() +", "'+evil()+'", '"+evil()+"', "\nevil()\n", "} {evil()} {", "evil()", "\\"]


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("seed", range(4))
def test_no_text_around_a_value_lets_it_out(seed: int) -> None:
    """Whatever a template writes around a value: it is refused, or one constant of the source."""
    chance = random.Random(seed)
    tokens = [*TOKENS, "\n", " ", "\\\n", '" "', "' '"]
    parsed = 0
    for _ in range(5000):
        parts = chance.choices(tokens, k=chance.randrange(9))
        place = chance.randrange(len(parts) + 1)
        before, after = Code("".join(parts[:place])), Code("".join(parts[place:]))
        for attack in ATTACKS:
            value = Value.at(shape(attack), ("t", 1, 0))
            try:
                source = expand(assemble([before, value, after]))
            except MisplacedError:
                break
            try:
                tree = ast.parse(source)
            except SyntaxError:
                continue
            parsed += 1
            nodes = list(ast.walk(tree))
            assert not any(isinstance(node, ast.Name) and node.id == "evil" for node in nodes)
            texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
            assert any(isinstance(text, str) and attack in text for text in texts)
    assert parsed > 1000


def test_the_expression_beside_the_quotes_is_blamed() -> None:
    """Not the macro that printed the value, which is right in itself."""
    macros = "{% macro m(v) %}\n{{ v }}\n{% endmacro %}\n"
    assert refusal(macros + 'x = "{{ m(1) }}"').startswith("t:4:6: error: '{{ m(1) }}' stands")
    assert refusal('x = "{{ v }}"', v=Cron("@daily", "UTC")).startswith("t:1:6: error: '{{ v }}'")
    caller = "{% macro m() %}{{ caller() }}{% endmacro %}\n{% call m() %}'{{ 1 }}'{% endcall %}"
    assert refusal(caller).startswith("t:2:16: error: '{{ 1 }}' stands")
    included = {"t": "x = '{% include 'i' %}'", "i": " {{ 1 }}"}
    assert refusal(included).startswith("i:1:2: error: '{{ 1 }}' stands")
    based = {
        "t": "{% extends 'b' %}{% block x %}{{ 1 }}{% endblock %}",
        "b": "'{% block x %}{% endblock %}'",
    }
    assert refusal(based).startswith("t:1:31: error: '{{ 1 }}' stands")


def test_columns_are_found_through_white_space_control() -> None:
    template = "{% if true -%}\n\n   {{ '{{' }},{#- x -#}\n {{- 2 }} '{{ 3 }}'\n{%- endif %}"
    assert refusal(template).startswith("t:4:12: error: '{{ 3 }}' stands")
    assert refusal("{% print 1 %} '{{ 3 }}'").startswith("t:1: error: a value stands")
    assert refusal("\r\n\r\n'{{ 3 }}'").startswith("t:3:2: error: '{{ 3 }}' stands")


# What is refused while a template is read.


@pytest.mark.parametrize(
    ("template", "line", "code", "text"),
    [
        ("\n{{ v | safe }}", 2, "template-html", "the filter 'safe'"),
        ("{{ v | e }}", 1, "template-html", "the filter 'e'"),
        ("{{ v | escape }}", 1, "template-html", "the filter 'escape'"),
        ("{{ v | forceescape }}", 1, "template-html", "the filter 'forceescape'"),
        ("{{ v | tojson }}", 1, "template-html", "the filter 'tojson'"),
        ("{{ v | urlize }}", 1, "template-html", "the filter 'urlize'"),
        ("{{ {} | xmlattr }}", 1, "template-html", "the filter 'xmlattr'"),
        ("{{ v | striptags }}", 1, "template-html", "the filter 'striptags'"),
        ("{{ [v] | random }}", 1, "template-html", "the filter 'random'"),
        ("{% if false %}\n{{ [v | safe] }}{% endif %}", 2, "template-html", "the filter 'safe'"),
        ("{% filter safe %}x{% endfilter %}", 1, "template-html", "the filter 'safe'"),
        ("{% set x | safe %}x{% endset %}", 1, "template-html", "the filter 'safe'"),
        ("\n{{ [v] | map('safe') | list }}", 2, "template-html", "the filter 'safe'"),
        ("{{ [v] | map('e') | list }}", 1, "template-html", "the filter 'e'"),
        ("\n{% autoescape true %}{% endautoescape %}", 2, "template-html", "autoescape"),
        ("{% autoescape v %}{% endautoescape %}", 1, "template-html", "autoescape"),
        ("{{ lipsum() }}", 1, "template-undefined", "'lipsum' is not defined"),
        ("{% trans %}{% endtrans %}", 1, "template-syntax", "unknown tag 'trans'"),
        ("{% do x %}", 1, "template-syntax", "unknown tag 'do'"),
    ],
)
def test_what_is_for_html_is_refused(template: str, line: int, code: str, text: str) -> None:
    message = refusal(template, v="v")
    assert message.startswith(f"t:{line}: error: ")
    assert f"[{code}]" in message
    assert text in message
    assert "\n  fix: " in message


# Errors of templates.


class Task:
    retries = 3

    @property
    def broken(self) -> int:
        raise KeyError("inside")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "\n{{ retires }}",
            "t:2: error: 'retires' is not defined [template-undefined]\n"
            "  fix: did you mean 'retries'?",
        ),
        (
            "{% for schedule in [1] %}\n{{ scedule }}{% endfor %}",
            "t:2: error: 'scedule' is not defined [template-undefined]\n"
            "  fix: did you mean 'schedule'?",
        ),
        (
            "{% macro m(owner) %}\n{{ ownr }}{% endmacro %}\n{{ m(1) }}",
            "t:2: error: 'ownr' is not defined [template-undefined]\n  fix: did you mean 'owner'?",
        ),
        (
            "{{ task.retires }}",
            "t:1: error: a Task has no 'retires' [template-undefined]\n"
            "  fix: did you mean 'retries'?",
        ),
        (
            "{{ labels.taem }}",
            "t:1: error: there is no key 'taem' in this mapping [template-undefined]\n"
            "  fix: did you mean 'team'?",
        ),
        (
            "{{ [labels['taem']] }}",
            "t:1: error: there is no key 'taem' in this mapping [template-undefined]\n"
            "  fix: did you mean 'team'?",
        ),
        (
            "{{ [1][3] }}",
            "t:1: error: there is no item 3 in this list [template-undefined]\n"
            "  fix: check its spelling against the template's context",
        ),
        (
            "{% if retires %}{% endif %}",
            "t:1: error: 'retires' is not defined [template-undefined]\n"
            "  fix: did you mean 'retries'?",
        ),
        (
            "{{ 1 if false }}",
            "t:1: error: the inline if-expression on line 1 in 't' evaluated to false and no else "
            "section was defined [template-undefined]\n"
            "  fix: add 'else', or use {% if %} around the text",
        ),
        (
            "{{ task.broken }}",
            "t:1: error: KeyError while rendering: 'inside' [template-failed]\n"
            "  fix: correct the expression on this line",
        ),
        (
            "\n{{ 1 / 0 }}",
            "t:2: error: ZeroDivisionError while rendering: division by zero [template-failed]\n"
            "  fix: correct the expression on this line",
        ),
        (
            "{{ labels.items }}",
            "t:1: error: a builtin_function_or_method cannot be written as a Python literal "
            "[no-literal]\n"
            "  fix: call it, or name what you mean with ['...'] if a key is called like a method",
        ),
        (
            "{{ task }}",
            "t:1: error: a Task cannot be written as a Python literal [no-literal]\n"
            "  fix: print one of its attributes, or add a macro 'Task' that spells it",
        ),
        (
            "\n{{ [names] }}",
            "t:2: error: a set cannot be written as a Python literal [no-literal]\n"
            "  fix: use a list: a set has no order, and the file would change from run to run",
        ),
        (
            "{% if %}",
            "t:1: error: expected an expression, got 'end of statement block' [template-syntax]\n"
            "  fix: correct the tag or expression on this line",
        ),
        (
            "\n{% fro x in y %}",
            "t:2: error: encountered unknown tag 'fro' [template-syntax]\n"
            "  fix: did you mean 'from'?",
        ),
        (
            "{{ 1 | uper }}",
            "t:1: error: no filter named 'uper' [template-syntax]\n  fix: did you mean 'upper'?",
        ),
        (
            "{{ 1 is defind }}",
            "t:1: error: no test named 'defind' [template-syntax]\n  fix: did you mean 'defined'?",
        ),
        (
            "\n{% include 'vales' %}",
            "t:2: error: there is no template 'vales' [template-not-found]\n"
            "  fix: did you mean 'values'?",
        ),
        (
            "\n{% include 't' %}",
            "t:2: error: templates or macros call each other without end, or brackets are nested "
            "too deep [template-recursion]\n"
            "  fix: let one of them stop, or loop instead",
        ),
        (
            "{% macro m() %}\n{{ m() }}{% endmacro %}{{ m() }}",
            "t:2: error: templates or macros call each other without end, or brackets are nested "
            "too deep [template-recursion]\n"
            "  fix: let one of them stop, or loop instead",
        ),
        (
            "{{ " + "(" * 50_000,
            "t: error: templates or macros call each other without end, or brackets are nested "
            "too deep [template-recursion]\n"
            "  fix: let one of them stop, or loop instead",
        ),
        (
            "{{ use('DGA') }}",
            "t:1: error: 'DGA' is not a name that can be imported here [unknown-import]\n"
            "  fix: did you mean 'DAG'?",
        ),
        (
            "{{ use('a.b:c d') }}",
            "t:1: error: 'a.b:c d' is not an import path: 'c d' is no Python name "
            "[unknown-import]\n"
            "  fix: write it as 'package.module:name'",
        ),
        (
            "{{ use(3) }}",
            "t:1: error: use(...) takes the name of an import, not a int [unknown-import]\n"
            "  fix: write it as 'package.module:name'",
        ),
        (
            "{{ call('k8s.V1Pod', **{'class': 1}) }}",
            "t:1: error: 'class' cannot be the name of an argument or attribute [no-name]\n"
            "  fix: rename it",
        ),
        (
            "{{ call('k8s.V1Pod()', 1) }}",
            "t:1: error: 'V1Pod()' cannot be the name of an argument or attribute [no-name]\n"
            "  fix: rename it",
        ),
        (
            "{{ chain('a', 'b') }}",
            "t:1: error: chain(...) joins names of tasks, and lists of them [chain-of-values]\n"
            "  fix: make each a name with {{ name | code }} where it is set",
        ),
        (
            "{{ [1] | code }}",
            "t:1: error: 'code' takes text, this is a list [no-code]\n"
            "  fix: print it without the filter: it becomes a Python literal",
        ),
        (
            "{{ use('DAG') }}",
            "t: error: the template uses imports, and says never where they stand [import-block]\n"
            "  fix: put {{ imports() }} once, below the file's docstring",
        ),
        (
            "{{ imports() }}{{ imports() }}{{ use('DAG') }}",
            "t: error: the template uses imports, and says 2 times where they stand "
            "[import-block]\n"
            "  fix: put {{ imports() }} once, below the file's docstring",
        ),
    ],
    ids=lambda text: text.strip()[:40],
)
def test_template_errors(template: str, message: str) -> None:
    context = {"retries": 1, "task": Task(), "labels": {"team": "x"}, "names": {"a"}}
    assert refusal(template, **context) == message


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "[template-recursion]" in refusal("{{ v }}", v=endless)


# Typed values.


def test_typed_values_are_spelled_by_their_macros() -> None:
    template = dedent("""\
        {{ imports() }}

        with {{ use("DAG") }}(
            schedule={{ schedule }},
            dagrun_timeout={{ timeout }},
            on_failure_callback={{ callback }},
            default_args={{ {"retry_delay": timeout, "tolerations": tolerations} }},
        ):
            pass
        """)
    source = render(
        template,
        schedule=Cron("0 8 * * *", "UTC"),
        timeout=timedelta(hours=1),
        callback=Reference("team.alerts:Pager.notify"),
        tolerations=[Model("V1Toleration", {"key": "gpu", "effect": "NoSchedule" * 6})],
    )
    assert source == dedent("""\
        from datetime import timedelta

        from airflow.sdk import DAG
        from airflow.timetables.trigger import CronTriggerTimetable
        from kubernetes.client import models as k8s
        from team.alerts import Pager

        with DAG(
            schedule=CronTriggerTimetable("0 8 * * *", timezone="UTC"),
            dagrun_timeout=timedelta(seconds=3600),
            on_failure_callback=Pager.notify,
            default_args={
                "retry_delay": timedelta(seconds=3600),
                "tolerations": [
                    k8s.V1Toleration(
                        key="gpu",
                        effect="NoScheduleNoScheduleNoScheduleNoScheduleNoScheduleNoSchedule",
                    ),
                ],
            },
        ):
            pass
        """)
    assert ruff("format", source) == source


@pytest.mark.parametrize("text", HOSTILE)
def test_typed_values_hold_any_text(text: str) -> None:
    template = "{{ imports() }}\nx = [{{ [v] }}, {{ v }}, {{ m }}]\n"
    source = render(template, v=Cron(text, text), m=Model("V1Pod", {"a": {"b": [text]}}))
    found = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    assert [value for value in found if value != "b"] == [text] * 5


def test_a_later_template_of_values_fills_in() -> None:
    templates = {
        "t": "{{ a }}, {{ b }}",
        "ours": "{% macro Cron(v) %}ours({{ v.expression }}){% endmacro %}",
        "theirs": "{% macro Cron(v) %}theirs(){% endmacro %}{% macro Model(v) %}f(){% endmacro %}",
    }
    environment = PythonEnvironment(jinja2.DictLoader(templates))
    context = {"a": Cron("x", "y"), "b": Model("x", {})}
    source = render_template(environment, "t", context, values=["ours", "theirs"])
    assert source == 'ours("x"), f()'


def test_a_macro_for_values_sees_the_context() -> None:
    templates = {"t": "{{ a }}", "v": "{% macro Cron(v) %}{{ zone }}{% endmacro %}"}
    environment = PythonEnvironment(jinja2.DictLoader(templates))
    context = {"a": Cron("x", "y"), "zone": "UTC"}
    assert render_template(environment, "t", context, values=["v"]) == '"UTC"'


# Imports.


def ruff(command: str, source: str, *options: str) -> str:
    """Return what the real ruff makes of `source`."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", command, "--isolated", *options, "-"],
        input=source,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


MODULES = st.sampled_from(
    """
    os datetime json pendulum numpy airflow.sdk airflow.x kubernetes.client team team.alerts
    team_a team9 team10 Team a.b.c.d.e aaa tomllib
    """.split()  # noqa: SIM905
)
MEMBERS = st.sampled_from(
    """
    DAG Dag dag A9 A10 MAX max_x _a T on_failure Notifier V1Pod V1Toleration
    a_name_that_is_long_enough_to_break_the_line another_name_that_breaks_the_line
    """.split()  # noqa: SIM905
)


@given(st.lists(st.tuples(MODULES, MEMBERS | st.just("")), min_size=1, max_size=25))
@settings(max_examples=60, deadline=None)
def test_import_blocks_are_what_ruff_wants(paths: list[tuple[str, str]]) -> None:
    known = {"np": "numpy as np", "pendulum": "pendulum", "dt": "datetime as dt"}
    specs = [f"{module}:{member}" for module, member in paths if member]
    uses = [f"print({{{{ use('{spec}') }}}})" for spec in [*specs, *known]]
    template = "{{ imports() }}\n\n" + "\n".join(uses) + "\n"
    source = render(template, imports=known)
    assert ruff("format", source) == source
    assert ruff("check", source, "--select", "F,E9,I,PLC0414") == "All checks passed!\n"
    backwards = "{{ imports() }}\n\n" + "\n".join(reversed(uses)) + "\n"
    assert sorted(render(backwards, imports=known).split("\n")) == sorted(source.split("\n"))


@pytest.mark.parametrize(
    ("names", "reserved", "expected"),
    [
        (["DAG"], (), ["from airflow.sdk import DAG", "DAG"]),
        (["team:DAG"], (), ["from team import DAG", "DAG"]),
        (
            ["DAG", "team:DAG"],
            (),
            ["from airflow.sdk import DAG", "from team import DAG as team_DAG", "DAG", "team_DAG"],
        ),
        (
            ["a.b:f", "c:f"],
            (),
            ["from a.b import f as a_b_f", "from c import f as c_f", "a_b_f", "c_f"],
        ),
        (["a.b:f", "a.b.f"], (), ["from a.b import f", "f", "f"]),
        (["a:load"], ("load",), ["from a import load as a_load", "a_load"]),
        (["a:load"], ("load", "a_load"), ["from a import load as a_load_2", "a_load_2"]),
        (["a:list"], (), ["from a import list as a_list", "a_list"]),
        (["DAG"], ("DAG",), ["from airflow.sdk import DAG as airflow_sdk_DAG", "airflow_sdk_DAG"]),
        (["a_b:f", "a.b:f"], (), None),
        (["a:B.c.d"], (), ["from a import B", "B.c.d"]),
        (["a:f as g"], (), ["from a import f as g", "g"]),
        (["k8s"], (), ["from kubernetes.client import models as k8s", "k8s"]),
    ],
)
def test_names_of_imports(
    names: list[str], reserved: tuple[str, ...], expected: list[str] | None
) -> None:
    if expected is None:
        expected = [
            "from a.b import f as a_b_f",
            "from a_b import f as a_b_f_2",
            "a_b_f_2",
            "a_b_f",
        ]
    template = "{{ imports() }}\n" + "".join(f"{{{{ use('{name}') }}}}\n" for name in names)
    assert render(template, reserved=reserved).split() == " ".join(expected).split()


@pytest.mark.parametrize(
    "name", ["a.", ".a", "a:", ":a", "a..b", "a b", "a:b:c", "a.b as", "a as b c", "a.class", "é.1"]
)
def test_paths_that_cannot_be_imported(name: str) -> None:
    message = refusal("{{ imports() }}{{ use(v) }}", v=name)
    assert message.startswith("t:1: error: ")
    assert "[unknown-import]" in message


def test_an_empty_import_block_takes_its_lines_with_it() -> None:
    template = '"""Doc."""\n\n{{ imports() }}\n\n{% if v %}\nx = {{ use("DAG") }}\n{% endif %}\ny\n'
    assert render(template, v=False) == '"""Doc."""\n\ny\n'
    assert render(template, v=True).startswith('"""Doc."""\n\nfrom airflow.sdk import DAG\n\nx = ')


# Layout where a value stands.


@pytest.mark.parametrize(
    "template",
    [
        "x = {{ short }}\n",
        "x = {{ long }}\n",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxx = {{ text }}\n",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx = {{ text }}\n",
        "x: str = {{ text }}\n",
        "x.yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy = {{ text }}\n",
        "def f():\n    return {{ text }}\n",
        "def f():\n    return {{ long }}\n",
        "f(\n    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx={{ text }},\n)\n",
        "f(\n    x={{ long }},\n    y={{ short }},\n)\n",
        "f(\n    x={{ edge }},\n    y={{ short }},\n)\n",
        'x = {\n    "a": {{ edge }},\n    "b": {{ long }},\n}\n',
        "x = [{{ short }}, {{ short }}]\n",
        "with DAG():\n    {{ chain(a, b) }}\n    {{ chain(a, [b, b, c]) }}\n",
        "with DAG():\n    {{ a }} >> {{ [b, b, c] }}\n",
        "with DAG():\n    a = {{ call('f' | code, text, x=short) }}\n",
        "with DAG():\n    a = {{ call('f' | code, text, x=long) }}\n",
        "with DAG():\n    {{ call('f' | code, text, x=long) }}\n",
    ],
)
def test_ruff_leaves_values_in_place_unchanged(template: str) -> None:
    source = render(
        template,
        short=[1, "a"],
        long=["a" * 30, {"b": "c" * 20, "漢": ["d" * 80, None]}, ("e" * 20,) * 2],
        edge=["x" * 36, "y" * 34],
        text="t" * 70,
        a=Code("a" * 45),
        b=Code("b" * 45),
        c=Code("c"),
    )
    assert ruff("format", source) == source


# Loading.


@pytest.fixture
def builtin(tmp_path: Path) -> Path:
    return write(
        tmp_path / "builtin",
        {
            "airflow/dag.py.jinja": (
                "{% block head %}\nhead = {{ name }}\n{% endblock %}\n"
                "{% include 'airflow/tasks/pod.py.jinja' %}"
            ),
            "airflow/tasks/pod.py.jinja": "pod()\n",
        },
    )


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_a_team_extends_and_replaces_built_in_templates(builtin: Path, tmp_path: Path) -> None:
    team = write(
        tmp_path / "team",
        {
            "airflow/dag.py.jinja": (
                "{% extends 'builtin/airflow/dag.py.jinja' %}\n"
                "{% block head %}\nours = 1\n{{ super() }}{% endblock %}\n"
            ),
            "airflow/tasks/pod.py.jinja": "our_pod()\n",
        },
    )
    alone = PythonEnvironment(template_loader(None, builtin))
    assert render_template(alone, "airflow/dag.py.jinja", {"name": "x"}) == 'head = "x"\npod()\n'
    both = PythonEnvironment(template_loader(team, builtin))
    source = render_template(both, "airflow/dag.py.jinja", {"name": "x"})
    assert source == 'ours = 1\nhead = "x"\nour_pod()\n'
    assert both.list_templates() == [
        "airflow/dag.py.jinja",
        "airflow/tasks/pod.py.jinja",
        "builtin/airflow/dag.py.jinja",
        "builtin/airflow/tasks/pod.py.jinja",
    ]


def test_messages_name_files_as_the_user_knows_them(
    builtin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "my", {"airflow/tasks/pod.py.jinja": "\n'{{ name }}'\n"})
    monkeypatch.chdir(tmp_path)
    environment = PythonEnvironment(template_loader(Path("my"), builtin))
    with pytest.raises(TemplateError, match=r"^my/airflow/tasks/pod\.py\.jinja:2:2: error: "):
        render_template(environment, "airflow/dag.py.jinja", {"name": "x"})
    alone = PythonEnvironment(template_loader(None, builtin))
    with pytest.raises(TemplateError, match=r"^builtin/airflow/dag\.py\.jinja:2: error: 'name'"):
        render_template(alone, "airflow/dag.py.jinja", {})


def test_a_template_that_cannot_be_read(builtin: Path) -> None:
    (builtin / "airflow/tasks/pod.py.jinja").write_bytes(b"\xff\xfe")
    environment = PythonEnvironment(template_loader(None, builtin))
    with pytest.raises(TemplateError) as caught:
        render_template(environment, "airflow/dag.py.jinja", {"name": "x"})
    assert str(caught.value) == (
        "builtin/airflow/tasks/pod.py.jinja: error: template is not UTF-8 text "
        "[template-unreadable]\n  fix: save it as UTF-8"
    )


@pytest.mark.parametrize(
    "name", ["../secret", "airflow/../../secret", "/secret", "airflow", "", "a\\b"]
)
def test_names_outside_the_folders_are_not_found(builtin: Path, name: str) -> None:
    (builtin.parent / "secret").write_text("x")
    environment = PythonEnvironment(template_loader(builtin, builtin))
    with pytest.raises(TemplateError, match="there is no template"):
        render_template(environment, name, {})


# One environment for many files.


def test_modules_do_not_outlive_a_rendering() -> None:
    """Jinja caches imported modules; one that holds a value or an import must be made anew."""
    templates = {
        "t": "{{ imports() }}\n{% import 'm' as m %}{{ m.x }}, {{ m.y }}, {{ m.z() }}",
        "m": (
            "{% set x = use('DAG') %}{% set y %}{{ 1 }}{% endset %}"
            "{% macro z() %}{{ use('k8s') }}{% endmacro %}"
        ),
    }
    environment = PythonEnvironment(jinja2.DictLoader(templates))
    first = render_template(environment, "t", {}, imports=IMPORTS)
    assert "import DAG\n" in first
    assert render_template(environment, "t", {}, imports=IMPORTS) == first
    others = {"DAG": "airflow.DAG as D", "k8s": "k8s"}
    assert render_template(environment, "t", {}, imports=others) == (
        "import k8s\nfrom airflow import DAG as D\nD, 1, k8s"
    )


def test_renderings_in_threads_and_inside_each_other_do_not_meet() -> None:
    template = (
        "{{ imports() }}\n{% for x in range(50) %}{{ use(name) }}({{ inner(name) }})\n{% endfor %}"
    )
    environment = PythonEnvironment(jinja2.DictLoader({"t": template, "i": "{{ v }}"}))
    results: dict[str, str] = {}

    def inner(value: str) -> str:
        return render_template(environment, "i", {"v": value})

    def work(name: str) -> None:
        context = {"name": name, "inner": inner}
        results[name] = render_template(environment, "t", context)

    names = [f"team{number}:notify{number}" for number in range(8)]
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        module, local = name.split(":")
        head, *calls = results[name].splitlines()
        assert head == f"from {module} import {local}"
        assert calls == [f"{local}('\"{name}\"')"] * 50
