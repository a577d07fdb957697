"""YAML: what is read, where it is, and every error's whole text."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dagforge.errors import LoadError
from dagforge.reading.document import Document, Refused, parse_yaml


def read(text: str) -> Document:
    return parse_yaml(text.encode(), "f.yml")


def error_of(source: bytes) -> str:
    with pytest.raises(LoadError) as caught:
        parse_yaml(source, "f.yml")
    return str(caught.value)


VALUES = [
    pytest.param("", None, id="nothing"),
    pytest.param("# only a comment\n", None, id="comment"),
    pytest.param("---\n", None, id="empty document"),
    pytest.param("\ufeffa: 1\n", {"a": 1}, id="byte order mark"),
    pytest.param("a: b\r\nc: d\r\n", {"a": "b", "c": "d"}, id="CRLF"),
    pytest.param("a: b\rc: d\r", {"a": "b", "c": "d"}, id="CR"),
    pytest.param("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}, id="directive and end marker"),
    pytest.param("a: 1\nb: -2\nc: +3\nd: 0x1F\n", {"a": 1, "b": -2, "c": 3, "d": 31}, id="ints"),
    pytest.param("[1.5, -1.0e+3, .5, 1.]", [1.5, -1000.0, 0.5, 1.0], id="floats"),
    pytest.param("[.inf, -.INF]", [float("inf"), float("-inf")], id="infinity"),
    pytest.param("[true, False, ~, null, NULL]", [True, False, None, None, None], id="words"),
    pytest.param("a:\nb: ''\n", {"a": None, "b": ""}, id="empty values"),
    pytest.param("[y, n, Y]", ["y", "n", "Y"], id="y is a dataset's name"),
    pytest.param(
        "[2023-01-01, 2023-01-01T10:00:00Z]",
        ["2023-01-01", "2023-01-01T10:00:00Z"],
        id="dates stay text",
    ),
    pytest.param("[08:00, 1.2.3, 1-2, 10m]", ["08:00", "1.2.3", "1-2", "10m"], id="almost numbers"),
    pytest.param("['NO', \"0123\", !!str 5, ! x]", ["NO", "0123", "5", "x"], id="quoted"),
    pytest.param("? a\n: b\n", {"a": "b"}, id="explicit key"),
    pytest.param("a: |\n  x\n  y\nb: >-\n  x\n  y\n", {"a": "x\ny\n", "b": "x y"}, id="blocks"),
    pytest.param("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}, id="alias"),
    pytest.param("&k a: 1\nb: *k\n", {"a": 1, "b": "a"}, id="alias of a key"),
    pytest.param(
        "d: &d {a: 1, b: 2}\nx: {<<: *d, b: 3}\n",
        {"d": {"a": 1, "b": 2}, "x": {"a": 1, "b": 3}},
        id="merge",
    ),
    pytest.param(
        "d: &d {a: 1}\nx: {b: 3, <<: [{a: 5, b: 6}, *d]}\n",
        {"d": {"a": 1}, "x": {"a": 5, "b": 3}},
        id="merge of several, the first wins",
    ),
    pytest.param(
        "a: &a {k: 1}\nb: &b {<<: *a, l: 2}\nc: {<<: *b}\n",
        {"a": {"k": 1}, "b": {"k": 1, "l": 2}, "c": {"k": 1, "l": 2}},
        id="merge of a merge",
    ),
    pytest.param("'<<': 1\n", {"<<": 1}, id="quoted merge sign"),
    pytest.param("a: '{{ ds }}'\nb: 'x: y'\n", {"a": "{{ ds }}", "b": "x: y"}, id="templates"),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_what_is_read(text: str, value: Any) -> None:
    assert repr(read(text).data) == repr(value)


def test_merged_keys_come_first() -> None:
    data = read("d: &d {a: 1, b: 2}\nx: {c: 0, b: 3, <<: *d}\n").data
    assert list(data["x"]) == ["a", "b", "c"]


ERRORS = [
    pytest.param(
        b"a: [1, 2\nb: 3\n",
        "f.yml:1:4: error: the '[' is not closed; a ',' or the ']' is missing before line 2"
        " [yaml-syntax]\n"
        "  fix: close it with ']'",
        id="bracket never closed",
    ),
    pytest.param(
        b"a: [\n  'x'\n  'y'\n]\n",
        "f.yml:1:4: error: the '[' is not closed; a ',' or the ']' is missing before line 3"
        " [yaml-syntax]\n"
        "  fix: close it with ']'",
        id="comma between lines",
    ),
    pytest.param(
        b"a: ['x' 'y']\n",
        "f.yml:1:9: error: a ',' or the ']' is missing before this [yaml-syntax]",
        id="comma on a line",
    ),
    pytest.param(
        b"a: {b: 1\n",
        "f.yml:1:4: error: the '{' is not closed; a ',' or the '}' is missing before the end of"
        " the file"
        " [yaml-syntax]\n"
        "  fix: close it with '}'",
        id="brace never closed",
    ),
    pytest.param(
        b"a: [b,\n",
        "f.yml:1:7: error: the file ends where a value or a closing bracket should be"
        " [yaml-syntax]",
        id="end after a comma",
    ),
    pytest.param(
        b"a: ]\n",
        "f.yml:1:4: error: ']' is not expected here [yaml-syntax]",
        id="stray bracket",
    ),
    pytest.param(
        b"a: {}}\n",
        "f.yml:1:6: error: there is more after the closing '}' [yaml-syntax]",
        id="text after a brace",
    ),
    pytest.param(
        b"a: 'x\nb: 1\n",
        "f.yml:1:4: error: the quote ' is never closed [yaml-syntax]\n  fix: close it with '",
        id="single quote never closed",
    ),
    pytest.param(
        b'a: 1\nb: "x\n',
        'f.yml:2:4: error: the quote " is never closed [yaml-syntax]\n  fix: close it with "',
        id="double quote never closed",
    ),
    pytest.param(
        b"a: 'it's'\n",
        "f.yml:1:8: error: there is more after the closing ' [yaml-syntax]\n"
        '  fix: put " around the whole value: "it\'s"',
        id="quote within quotes",
    ),
    pytest.param(
        b'a: "b" c\n',
        'f.yml:1:8: error: there is more after the closing " [yaml-syntax]\n'
        "  fix: put ' around the whole value: '\"b\" c'",
        id="text after a quote",
    ),
    pytest.param(
        b"a:\n\t- b\n",
        "f.yml:2:1: error: a tab indents this line, YAML takes spaces only [yaml-syntax]\n"
        "  fix: replace it by spaces",
        id="tab as indentation",
    ),
    pytest.param(
        b"a: 1\n\tb: 2\n",
        "f.yml:2:1: error: a tab indents this line, YAML takes spaces only [yaml-syntax]\n"
        "  fix: replace it by spaces",
        id="tab after a value",
    ),
    pytest.param(
        b"a: b: c\n",
        "f.yml:1:5: error: an unquoted value cannot hold ': ' [quote-it]\n"
        '  fix: quote it: "b: c"',
        id="colon in a value",
    ),
    pytest.param(
        b"- a: run: it # now\n",
        "f.yml:1:9: error: an unquoted value cannot hold ': ' [quote-it]\n"
        '  fix: quote it: "run: it"',
        id="colon in a value of a list",
    ),
    pytest.param(
        b"a:b\nc: d\n",
        "f.yml:1:1: error: there is no ': ' after 'a:b' [yaml-syntax]\n"
        "  fix: put a space after the colon: a: b",
        id="no space after the colon",
    ),
    pytest.param(
        b"a\nb: 1\n",
        "f.yml:1:1: error: there is no ': ' after 'a' [yaml-syntax]\n"
        "  fix: write a: value, or quote a text of several lines",
        id="key without a colon",
    ),
    pytest.param(
        b"a: 1\nb\n",
        "f.yml:2:1: error: there is no ': ' after 'b' [yaml-syntax]\n"
        "  fix: write b: value, or - b for a list",
        id="key without a colon at the end",
    ),
    pytest.param(
        b"a: 1\n b: 2\n",
        "f.yml:2:2: error: this line continues the value of line 1, so it cannot be 'key: value'"
        " [yaml-syntax]\n"
        "  fix: indent it as the keys around it, or leave the value of line 1 empty",
        id="deeper than the value above",
    ),
    pytest.param(
        b"a:\n    b: 1\n  c: 2\n",
        "f.yml:3:3: error: this line is indented like nothing above it [yaml-syntax]\n"
        "  fix: indent it as the keys that it belongs with",
        id="between two indentations",
    ),
    pytest.param(
        b"- a\nb: 1\n",
        "f.yml:2:1: error: this stands where line 1 began a list, but has no '- ' [yaml-syntax]\n"
        "  fix: begin it with '- ', or indent it as what it belongs to",
        id="key in a list",
    ),
    pytest.param(
        b"a: - b\n",
        "f.yml:1:4: error: a list cannot begin on the line of its key [yaml-syntax]\n"
        "  fix: begin the list on a line of its own, or write [b]",
        id="list on its key's line",
    ),
    pytest.param(
        b"a: -\n",
        "f.yml:1:4: error: a list cannot begin on the line of its key [yaml-syntax]\n"
        '  fix: quote it: "-"',
        id="a dash as value",
    ),
    pytest.param(
        b"schedule: * * * * *  # always\n",
        "f.yml:1:11: error: an unquoted value cannot begin with '*' here [quote-it]\n"
        '  fix: quote it: "* * * * *"',
        id="cron",
    ),
    pytest.param(
        b"a: [* * * * *, b]\n",
        "f.yml:1:5: error: an unquoted value cannot begin with '*' here [quote-it]\n"
        '  fix: quote it: "* * * * *"',
        id="cron in a list",
    ),
    pytest.param(
        b"schedule: @daily\n",
        "f.yml:1:11: error: an unquoted value cannot begin with '@' here [quote-it]\n"
        '  fix: quote it: "@daily"',
        id="preset",
    ),
    pytest.param(
        b"- @daily\n",
        "f.yml:1:3: error: an unquoted value cannot begin with '@' here [quote-it]\n"
        '  fix: quote it: "@daily"',
        id="preset in a list",
    ),
    pytest.param(
        b"a: %x\n",
        "f.yml:1:4: error: an unquoted value cannot begin with '%' here [quote-it]\n"
        '  fix: quote it: "%x"',
        id="percent",
    ),
    pytest.param(
        b"a: `x`\n",
        "f.yml:1:4: error: an unquoted value cannot begin with '`' here [quote-it]\n"
        '  fix: quote it: "`x`"',
        id="backtick",
    ),
    pytest.param(
        b"a: & b\n",
        "f.yml:1:4: error: an unquoted value cannot begin with '&' here [quote-it]\n"
        '  fix: quote it: "& b"',
        id="ampersand",
    ),
    pytest.param(
        b"a: ? b\n",
        "f.yml:1:4: error: an unquoted value cannot begin with '?' here [quote-it]\n"
        '  fix: quote it: "? b"',
        id="question mark",
    ),
    pytest.param(
        b"a: |x\n",
        "f.yml:1:4: error: an unquoted '|' begins a text on the lines below it [quote-it]\n"
        '  fix: quote it: "|x"',
        id="bar",
    ),
    pytest.param(
        b"a: *.csv\n",
        "f.yml:1:4: error: an unquoted value cannot begin with '*' here [quote-it]\n"
        '  fix: quote it: "*.csv"',
        id="wildcard",
    ),
    pytest.param(
        b"a: {{ ds }}\n",
        "f.yml:1:4: error: an unquoted { begins a mapping in YAML [quote-it]\n"
        '  fix: quote it: "{{ ds }}"',
        id="template",
    ),
    pytest.param(
        b"a: {{ ds }}/x\n",
        "f.yml:1:4: error: an unquoted { begins a mapping in YAML [quote-it]\n"
        '  fix: quote it: "{{ ds }}/x"',
        id="template with text",
    ),
    pytest.param(
        b"{{ a }}: 2\n",
        "f.yml:1:1: error: an unquoted { begins a mapping in YAML [quote-it]\n"
        '  fix: quote it: "{{ a }}"',
        id="template as key",
    ),
    pytest.param(
        b"a: {{ var['x'] }}\n",
        "f.yml:1:4: error: an unquoted { begins a mapping in YAML [quote-it]\n"
        "  fix: quote it: \"{{ var['x'] }}\"",
        id="template with quotes",
    ),
    pytest.param(
        b"{name}.csv: 1\n",
        "f.yml:1:1: error: an unquoted { begins a mapping in YAML [quote-it]\n"
        '  fix: quote it: "{name}.csv"',
        id="dataset factory as key",
    ),
    pytest.param(
        b"a: [b::c]\na: {x:\n",
        "f.yml:2:7: error: the file ends where a value or a closing bracket should be"
        " [yaml-syntax]",
        id="colon in brackets",
    ),
    pytest.param(
        b'a: "\\d+"\n',
        "f.yml:1:5: error: \\d means nothing in double quotes [yaml-syntax]\n"
        "  fix: write \\\\d, or use single quotes",
        id="unknown escape",
    ),
    pytest.param(
        b'a: "\\xZZ"\n',
        "f.yml:1:4: error: an escape in this text lacks hexadecimal digits [yaml-syntax]",
        id="escape without digits",
    ),
    pytest.param(
        b'a: "\\ud800"\n',
        "f.yml:1:7: error: this escape stands for no character [yaml-syntax]\n"
        "  fix: write the character itself",
        id="surrogate escape",
    ),
    pytest.param(
        b"%FOO\na: 1\n",
        "f.yml:1:1: error: an unquoted value cannot begin with '%' here [quote-it]\n"
        '  fix: quote it: "%FOO"',
        id="directive",
    ),
    pytest.param(
        b"...\n",
        "f.yml:1:1: error: '.' is not expected here [yaml-syntax]",
        id="end marker only",
    ),
    pytest.param(
        b"a: 1\nb: \xff\n",
        "f.yml:2:4: error: the byte 0xff is not UTF-8 [encoding]\n  fix: save the file as UTF-8",
        id="not UTF-8",
    ),
    pytest.param(
        b"a: \xe9\n",
        "f.yml:1:4: error: the byte 0xe9 is not UTF-8 [encoding]\n  fix: save the file as UTF-8",
        id="latin-1",
    ),
    pytest.param(
        b"\xff\xfea\x00:\x00 \x001\x00\n\x00",
        "f.yml: error: the file is UTF-16 [encoding]\n  fix: save the file as UTF-8",
        id="UTF-16",
    ),
    pytest.param(
        b"a: b\x00c\n",
        "f.yml:1:5: error: the control character U+0000 is not allowed in YAML"
        " [control-character]\n"
        '  fix: remove it, or write it as "\\x00" in double quotes',
        id="NUL",
    ),
    pytest.param(
        b"\xc3\xa9: \x07\n",
        "f.yml:1:4: error: the control character U+0007 is not allowed in YAML"
        " [control-character]\n"
        '  fix: remove it, or write it as "\\x07" in double quotes',
        id="bell",
    ),
    pytest.param(
        b"a: 1\n---\nb: 1\n",
        "f.yml:2:1: error: a second document begins here [several-documents]\n"
        "  fix: put it into a file of its own",
        id="several documents",
    ),
    pytest.param(
        b"a: !foo bar\n",
        "f.yml:1:4: error: the tag !foo is not allowed [yaml-tag]\n"
        '  fix: if it is text, quote it: "!foo bar"',
        id="tag",
    ),
    pytest.param(
        b"a: !!python/object/apply:os.system [x]\n",
        "f.yml:1:4: error: the tag !!python/object/apply:os.system is not allowed [yaml-tag]\n"
        "  fix: remove the tag",
        id="Python tag",
    ),
    pytest.param(
        b"a: !!int 5\n",
        "f.yml:1:4: error: the tag !!int is not allowed [yaml-tag]\n  fix: remove the tag",
        id="standard tag",
    ),
    pytest.param(
        b"a: ! 5\n",
        'f.yml:1:4: error: the tag ! is not allowed [yaml-tag]\n  fix: quote it: "5"',
        id="tag without a name",
    ),
    pytest.param(
        b"a: &base 1\nb: *bse\n",
        "f.yml:2:4: error: the alias *bse has no anchor &bse before it [undefined-alias]\n"
        "  fix: did you mean *base?",
        id="undefined alias",
    ),
    pytest.param(
        b"a: *x\n",
        "f.yml:1:4: error: the alias *x has no anchor &x before it [undefined-alias]\n"
        '  fix: if it is text, quote it: "*x"',
        id="undefined alias, no anchors",
    ),
    pytest.param(
        b"a: &x [*x]\n",
        "f.yml:1:8: error: the alias *x stands inside its own anchor [recursive-alias]",
        id="recursive alias",
    ),
    pytest.param(
        b"a: &x 1\nb: &x 2\n",
        "f.yml:2:4: error: the anchor &x stands here a second time [duplicate-anchor]\n"
        "  fix: give one of them another name",
        id="duplicate anchor",
    ),
    pytest.param(
        b"<<: 1\n",
        "f.yml:1:1: error: '<<' merges mappings only [merge-key]\n"
        "  fix: write <<: *anchor, where &anchor is a mapping",
        id="merge of text",
    ),
    pytest.param(
        b"a: &a [1]\nb: {<<: *a}\n",
        "f.yml:2:5: error: '<<' merges mappings only [merge-key]\n"
        "  fix: write <<: *anchor, where &anchor is a mapping",
        id="merge of a list",
    ),
    pytest.param(
        b"a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a\n",
        "f.yml:4:3: error: the key '<<' stands here a second time, first on line 3"
        " [duplicate-key]\n"
        "  fix: write <<: [*first, *second]",
        id="two merge keys",
    ),
    pytest.param(
        b"a: 1\nb: 2\na: 3\n",
        "f.yml:3:1: error: the key 'a' stands here a second time, first on line 1 [duplicate-key]\n"
        "  fix: remove one of them",
        id="duplicate key",
    ),
    pytest.param(
        b"x:\n  - a: 1\n    b: 2\n  - a: 1\n    a: 2\n",
        "f.yml:5:5: error: the key 'a' stands here a second time, first on line 4 [duplicate-key]\n"
        "  fix: remove one of them",
        id="duplicate key deep in a list",
    ),
    pytest.param(
        b"a: 1\n'a': 2\n",
        "f.yml:2:1: error: the key 'a' stands here a second time, first on line 1 [duplicate-key]\n"
        "  fix: remove one of them",
        id="duplicate key by quotes",
    ),
    pytest.param(
        b"1: 2\n",
        'f.yml:1:1: error: the key 1 is a number, not text [key-type]\n  fix: quote it: "1"',
        id="number as key",
    ),
    pytest.param(
        b"2.10: x\n",
        'f.yml:1:1: error: the key 2.10 is a number, not text [key-type]\n  fix: quote it: "2.10"',
        id="float as key",
    ),
    pytest.param(
        b"null: 2\n",
        'f.yml:1:1: error: the key null is not text [key-type]\n  fix: quote it: "null"',
        id="null as key",
    ),
    pytest.param(
        b"true: 2\n",
        "f.yml:1:1: error: the key true is a truth value, not text [key-type]\n"
        '  fix: quote it: "true"',
        id="truth value as key",
    ),
    pytest.param(
        b"on: 2\n",
        "f.yml:1:1: error: on is a truth value in YAML 1.1 and text in YAML 1.2 [quote-it]\n"
        '  fix: quote it: "on"',
        id="ambiguous key",
    ),
    pytest.param(
        b"? \n: 1\n",
        "f.yml:1:2: error: a key is missing before ':' [key-type]",
        id="empty key",
    ),
    pytest.param(
        b"? {a: 1}\n: b\n",
        "f.yml:1:3: error: a mapping cannot be a key [key-type]\n  fix: quote the key",
        id="mapping as key",
    ),
    pytest.param(
        b"[a, b]: c\n",
        "f.yml:1:1: error: a list cannot be a key [key-type]\n  fix: quote the key",
        id="list as key",
    ),
    pytest.param(
        b"a: &a [1]\n? *a\n: 1\n",
        "f.yml:2:3: error: a list cannot be a key [key-type]",
        id="alias as key",
    ),
    pytest.param(
        b"a: NO\n",
        "f.yml:1:4: error: NO is a truth value in YAML 1.1 and text in YAML 1.2 [quote-it]\n"
        '  fix: write "NO" for text or false for the truth value',
        id="NO",
    ),
    pytest.param(
        b"a: on\n",
        "f.yml:1:4: error: on is a truth value in YAML 1.1 and text in YAML 1.2 [quote-it]\n"
        '  fix: write "on" for text or true for the truth value',
        id="on",
    ),
    pytest.param(
        b"a: yes\n",
        "f.yml:1:4: error: yes is a truth value in YAML 1.1 and text in YAML 1.2 [quote-it]\n"
        '  fix: write "yes" for text or true for the truth value',
        id="yes",
    ),
    pytest.param(
        b"a: 5:00\n",
        "f.yml:1:4: error: 5:00 is 300 in YAML 1.1 and text in YAML 1.2 [quote-it]\n"
        '  fix: write "5:00" for text or 300 for the number',
        id="sexagesimal",
    ),
    pytest.param(
        b"a: 1:30.5\n",
        "f.yml:1:4: error: 1:30.5 is 90.5 in YAML 1.1 and text in YAML 1.2 [quote-it]\n"
        '  fix: write "1:30.5" for text or 90.5 for the number',
        id="sexagesimal float",
    ),
    pytest.param(
        b"a: 0123\n",
        "f.yml:1:4: error: 0123 is 83 in YAML 1.1 and 123 in YAML 1.2 [quote-it]\n"
        '  fix: write "0123" for text or 83 or 123 for the number',
        id="octal",
    ),
    pytest.param(
        b"a: 0899\n",
        "f.yml:1:4: error: 0899 is text in YAML 1.1 and 899 in YAML 1.2 [quote-it]\n"
        '  fix: write "0899" for text or 899 for the number',
        id="leading zero",
    ),
    pytest.param(
        b"a: 0o17\n",
        "f.yml:1:4: error: 0o17 is text in YAML 1.1 and 15 in YAML 1.2 [quote-it]\n"
        '  fix: write "0o17" for text or 15 for the number',
        id="new octal",
    ),
    pytest.param(
        b"a: 1_000\n",
        "f.yml:1:4: error: 1_000 is 1000 in YAML 1.1 and text in YAML 1.2 [quote-it]\n"
        '  fix: write "1_000" for text or 1000 for the number',
        id="underscore",
    ),
    pytest.param(
        b"a: 0b1\n",
        "f.yml:1:4: error: 0b1 is 1 in YAML 1.1 and text in YAML 1.2 [quote-it]\n"
        '  fix: write "0b1" for text or 1 for the number',
        id="binary",
    ),
    pytest.param(
        b"a: 1e3\n",
        "f.yml:1:4: error: 1e3 is text in YAML 1.1 and 1000.0 in YAML 1.2 [quote-it]\n"
        '  fix: write "1e3" for text or 1000.0 for the number',
        id="exponent",
    ),
    pytest.param(
        b"a: 1e-10\n",
        "f.yml:1:4: error: 1e-10 is text in YAML 1.1 and 1.0e-10 in YAML 1.2 [quote-it]\n"
        '  fix: write "1e-10" for text or 1.0e-10 for the number',
        id="small exponent",
    ),
    pytest.param(
        b"a: -0x1F\n",
        "f.yml:1:4: error: -0x1F is -31 in YAML 1.1 and text in YAML 1.2 [quote-it]\n"
        '  fix: write "-0x1F" for text or -31 for the number',
        id="negative hex",
    ),
    pytest.param(
        b"a: -.5\n",
        "f.yml:1:4: error: -.5 is text in YAML 1.1 and -0.5 in YAML 1.2 [quote-it]\n"
        '  fix: write "-.5" for text or -0.5 for the number',
        id="no digit before the dot",
    ),
    pytest.param(
        b"a: =\n",
        "f.yml:1:4: error: = is not a value in YAML 1.1 and text in YAML 1.2 [quote-it]\n"
        '  fix: write "=" for text',
        id="equals sign",
    ),
    pytest.param(
        b"a: <<\n",
        "f.yml:1:4: error: << is not a value in YAML 1.1 and text in YAML 1.2 [quote-it]\n"
        '  fix: write "<<" for text',
        id="merge sign as value",
    ),
    pytest.param(
        b"a: 1.0e+999\n",
        'f.yml:1:4: error: 1.0e+999 is too large for a float [number]\n  fix: quote it: "1.0e+999"',
        id="float overflow",
    ),
    pytest.param(
        b"a: " + b"9" * 5000,
        "f.yml:1:4: error: 99999999999999999999... has 5,000 digits, too many [number]\n"
        "  fix: quote it",
        id="integer too long",
    ),
    pytest.param(
        b"a: NO\nb: !t x\na: *y\n3: 4\n",
        "f.yml:1:4: error: NO is a truth value in YAML 1.1 and text in YAML 1.2 [quote-it]\n"
        '  fix: write "NO" for text or false for the truth value\n'
        "f.yml:2:4: error: the tag !t is not allowed [yaml-tag]\n"
        '  fix: if it is text, quote it: "!t x"\n'
        "f.yml:3:1: error: the key 'a' stands here a second time, first on line 1 [duplicate-key]\n"
        "  fix: remove one of them\n"
        "f.yml:3:4: error: the alias *y has no anchor &y before it [undefined-alias]\n"
        '  fix: if it is text, quote it: "*y"\n'
        "f.yml:4:1: error: the key 3 is a number, not text [key-type]\n"
        '  fix: quote it: "3"',
        id="several at once",
    ),
    pytest.param(
        b"a: NO\nb: [\n",
        "f.yml:1:4: error: NO is a truth value in YAML 1.1 and text in YAML 1.2 [quote-it]\n"
        '  fix: write "NO" for text or false for the truth value\n'
        "f.yml:2:5: error: the file ends where a value or a closing bracket should be"
        " [yaml-syntax]",
        id="found before a syntax error",
    ),
]


@pytest.mark.parametrize(("source", "message"), ERRORS)
def test_what_is_refused(source: bytes, message: str) -> None:
    assert error_of(source) == message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_depth_is_limited(opening: str) -> None:
    assert error_of(opening.encode() * 30_000).endswith(
        "error: values are nested more than 100 deep [too-deep]"
    )
    assert read("[" * 100 + "]" * 100).data


def test_depth_through_aliases_is_limited() -> None:
    lines = ["- &a0 [x]\n", *(f"- &a{i} [*a{i - 1}]\n" for i in range(1, 200))]
    assert error_of("".join(lines).encode()) == (
        "f.yml:100:9: error: values are nested more than 100 deep [too-deep]"
    )


def test_aliases_cannot_multiply_without_end() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)]
    assert error_of("".join(lines).encode()) == (
        "f.yml:6:45: error: the aliases of this file stand for more than 1,000,000 values"
        " [alias-bomb]"
    )


PLACES = [
    pytest.param("a: 1\n", (), (1, 1), (1, 1), id="the document"),
    pytest.param("a: 1\nbb:  2\n", ("bb",), (2, 6), (2, 1), id="a value"),
    pytest.param("a:\n  - x\n  - y\n", ("a", 1), (3, 5), (3, 5), id="an item"),
    pytest.param("a:\n  - x: {y: 1}\n", ("a", 0, "x", "y"), (2, 12), (2, 9), id="in a flow"),
    pytest.param("a: &x {b: 1}\nc: *x\n", ("c",), (2, 4), (2, 1), id="an alias"),
    pytest.param("a: &x {b: 1}\nc: *x\n", ("c", "b"), (1, 11), (1, 8), id="behind an alias"),
    pytest.param("a: &x {b: 1}\nc: {<<: *x}\n", ("c", "b"), (1, 11), (1, 8), id="merged"),
    pytest.param(
        "a: &x {b: 1}\nc: {<<: [{d: 2}, *x]}\n", ("c", "b"), (1, 11), (1, 8), id="merged in a list"
    ),
    pytest.param(
        "a: &x {b: 1}\nc: {<<: *x, b: 2}\n", ("c", "b"), (2, 16), (2, 13), id="merged, overridden"
    ),
    pytest.param("a: {b: 1}\n", ("a", "nope", "x"), (1, 4), (1, 1), id="a path that is not there"),
    pytest.param("a: [1]\n", ("a", 7), (1, 4), (1, 1), id="an index that is not there"),
    pytest.param("é: 'ü'\nb: x\n", ("é",), (1, 4), (1, 1), id="characters, not bytes"),
    pytest.param("\ufeffa: 1\n", ("a",), (1, 4), (1, 1), id="after a byte order mark"),
    pytest.param("a: |\n  x\nb: 1\n", ("b",), (3, 4), (3, 1), id="after a block"),
]


@pytest.mark.parametrize(("text", "path", "value", "key"), PLACES)
def test_where_it_is(
    text: str, path: tuple[str | int, ...], value: tuple[int, int], key: tuple[int, int]
) -> None:
    origin = read(text).origin(*path)
    assert str(origin.location()) == f"f.yml:{value[0]}:{value[1]}"
    assert str(origin.location(key=True)) == f"f.yml:{key[0]}:{key[1]}"


def shout(text: str) -> str:
    if "bad" in text:
        raise Refused("bad-word", "bad", "do not")
    return text.upper()


def test_text_values_are_substituted_once_and_keys_are_not() -> None:
    text = "${k}: ${v}\nl: ['${a}', b, 5]\nc: &c ${x}\nd: *c\n"
    document = parse_yaml(text.encode(), "f.yml", substitute=shout)
    assert document.data == {"${k}": "${V}", "l": ["${A}", "b", 5], "c": "${X}", "d": "${X}"}


def test_what_a_substitution_refuses_is_reported_in_place() -> None:
    with pytest.raises(LoadError) as caught:
        parse_yaml(b"a: ${bad}\nb: ['${bad} 2']\n", "f.yml", substitute=shout)
    assert str(caught.value) == (
        "f.yml:1:4: error: bad [bad-word]\n  fix: do not\n"
        "f.yml:2:5: error: bad [bad-word]\n  fix: do not"
    )


class _WithoutDates(yaml.CSafeLoader):
    """PyYAML, but dates stay text as they do here."""


_WithoutDates.yaml_implicit_resolvers = {
    first: [(tag, regex) for tag, regex in resolvers if not tag.endswith("timestamp")]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


CHARACTERS = "ab1:-[]{},'\"&*?|>!#@%`~<=\n\t\\é\0\u2028"
WORDS = (": ", "- ", "\n  ", "\n    ", "<<: ", "*a", "&a ", "NO", "0x1", "1e3", "null", "{{ x }}")
LINES = ("---\n", "x: &a {k: 1}\n", "!!str ")
PIECES = st.sampled_from([*CHARACTERS, *WORDS, *LINES])


@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_text_is_read_as_pyyaml_reads_it_or_refused(text: str) -> None:
    try:
        document = read(text)
    except LoadError as exc:
        lines = text.count("\n") + text.count("\u2028") + 1
        for problem in exc.problems:
            assert problem.location is not None
            assert problem.location.line is not None
            assert 1 <= problem.location.line <= lines
        return
    # Its C loader has the very values; no other is asked, and nothing of the project's is loaded.
    assert repr(document.data) == repr(yaml.load(text, _WithoutDates))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(source: bytes) -> None:
    try:
        parse_yaml(source, "f.yml")
    except LoadError as exc:
        assert str(exc)
