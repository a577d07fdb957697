"""Refuse credentials: what stands in a project is committed, and much of it is generated again.

A line that only looks like one says so in a comment: `# dagforge: not a secret, only test data`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dagforge.conf import Conf, Document, read_regular
from dagforge.errors import Path as KeyPath
from dagforge.errors import Problem, SourceLocation
from dagforge.frozen import frozen
from dagforge.suspicion import SHAPES, Suspicion, suspicion
from dagforge.target import Target

_MARK = r"(?i:\bdagforge:\s*not a secret\b)[\s,;:.-]*(?P<reason>.*)"
_MARK_SIGN = b"ot a secret"  # it may begin with a capital
_NO_REASON = r"[\W_]*"
_NAMES_OF_A_NODE = frozenset({"inputs", "outputs", "func", "tags", "after", "name", "namespace"})
"""What in a node names something: an argument called `password` is given a dataset."""
_VALUE_OF = frozenset({"default", "value", "literal", "const"})
"""Keys whose value is that of what stands around them."""
_SIGNS = ("=", "://", "uthori", "--", "{", "[")
"""One of these is in a text that holds a credential; to look closer is half of the time."""
_QUOTED = r"(?P<name>[A-Za-z_][\w.-]*)[\"']?\s*[=:]\s*(?P<quote>[\"'])(?P<value>.*?)(?P=quote)"


@frozen
class Found:
    """A credential in a document.

    Attributes:
        path: of the value.
        message: what it is; never the credential itself.
        name: what it is called, None where its shape says what it is.
    """

    path: KeyPath
    message: str
    name: str | None = None


def scan(
    conf: Conf,
    target: Target,
    *,
    templates: Iterable[tuple[Path, str]],
    params: Mapping[str, Any],
) -> Iterator[Problem]:
    """Yield the credentials that stand in what a run reads.

    Args:
        conf: definitions, settings, catalog and parameters.
        target: whose settings are read; it says what to write instead.
        templates: files of a team and of packages, and how messages name them.
        params: the command line's settings.
    """
    for sort, document in conf.readable(("dagforge", target.settings_family)):
        yield from _in_document(document, sort, target)
    for path, shown in templates:
        yield from _in_template(path, shown, target)
    everything = Suspicion(True, tuple(SHAPES))
    for found in _in_values(params, everything, "settings") if params else ():
        fix = _fix(found, "settings", target)
        yield Problem("secret", f"--params: {found.message}", fix=fix)


def _in_document(document: Document, sort: str, target: Target) -> Iterator[Problem]:
    source = document.source
    suspected = suspicion(source)
    if b"${env:" in source:
        # What the environment gives does not stand in the file.
        suspected = Suspicion(True, tuple(SHAPES))
    marked = _MARK_SIGN in source
    if not suspected and not marked:
        return
    problems = [
        Problem("secret", found.message, document.origin(*found.path), _fix(found, sort, target))
        for found in (_in_values(document.data, suspected, sort) if suspected else ())
    ]
    yield from _unmarked(problems, source.decode("utf-8"), document.file)


def _in_values(data: Any, suspected: Suspicion, sort: str) -> Iterator[Found]:
    """Yield the credentials among values, in no particular order."""
    from dagforge.credentials import certainty, is_literal

    seen: set[int] = set()
    shapes = suspected.shapes
    pending: list[tuple[KeyPath, Any, str | None, bool]] = [((), data, None, suspected.names)]
    while pending:
        path, container, name, names = pending.pop()
        if id(container) in seen:  # an alias: told where its anchor is
            continue
        seen.add(id(container))
        for key, value, called in _parts(container, name):
            kind = type(value)
            if kind is dict or kind is list:
                inside = names and not (
                    sort == "pipelines"
                    and key in _NAMES_OF_A_NODE
                    and len(path) == 3
                    and path[1] == "nodes"
                )
                inside = inside and "deploy_type" not in value
                if inside or shapes:
                    pending.append(((*path, key), value, called, inside))
            elif names and called is not None and certainty(called) and is_literal(called, value):
                shown = called.lstrip("-")
                message = f"the value of '{shown}' stands here in plain text"
                yield Found((*path, key), message, shown)
            elif kind is str and (shapes or any(sign in value for sign in _SIGNS)):
                found = _in_text(value, suspected, names)
                if found is not None:
                    yield Found((*path, key), *found)


def _parts(container: Any, name: str | None) -> Iterator[tuple[str | int, Any, str | None]]:
    """Yield the parts of a mapping or list: key, value, and what the value is called.

    Args:
        container: a mapping or a list; anything else has no parts.
        name: what it is called itself.
    """
    if isinstance(container, dict):
        named = container.get("name") if "value" in container else None
        for key, value in container.items():
            if key in _VALUE_OF:
                yield key, value, named if isinstance(named, str) else name or key
            else:
                yield key, value, key
    elif isinstance(container, list):
        before: Any = None
        for index, value in enumerate(container):
            is_option = isinstance(before, str) and before.startswith("-") and "=" not in before
            is_value = isinstance(value, str) and not value.startswith("-")
            yield index, value, before if is_option and is_value else name
            before = value


def _in_text(text: str, suspected: Suspicion, names: bool) -> tuple[str, str | None] | None:
    """Return what the first credential in a text is, and its name; None without one."""
    from dagforge.credentials import assigned_in, found_in

    for _, message in found_in(text, suspected.shapes):
        return message, None
    if names and text.lstrip().startswith(("{", "[")):
        for inner in _in_values(_json(text), suspected, ""):
            return inner.message, inner.name
    for _, name in assigned_in(text) if names else ():
        shown = name.lstrip("-")
        return f"the value of '{shown}' stands here in plain text", shown
    return None


def _json(text: str) -> Any:
    """Return what a text says in JSON, None where it says nothing."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _in_template(path: Path, shown: str, target: Target) -> Iterator[Problem]:
    try:
        source = read_regular(path)
        text = source.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return  # who needs the template says so
    suspected = suspicion(source)
    if not suspected and _MARK_SIGN not in source:
        return
    fix = target.facts["instead_of_secrets"]["template"]
    problems = [
        Problem("secret", message, SourceLocation(shown, number, column), fix)
        for number, line in enumerate(text.splitlines(), 1)
        for column, message in in_line(line, suspected)
    ]
    yield from _unmarked(problems, text, shown)


def in_line(line: str, suspected: Suspicion) -> Iterator[tuple[int, str]]:
    """Yield where in a line of code a credential begins, from 1, and what it is."""
    from dagforge.credentials import found_in, is_literal

    for offset, message in found_in(line, suspected.shapes):
        yield offset + 1, message
        return
    for match in re.finditer(_QUOTED, line) if suspected.names else ():
        if is_literal(match["name"], match["value"]):
            message = f"the value of '{match['name']}' stands here in plain text"
            yield match.start("quote") + 1, message


def _unmarked(problems: list[Problem], text: str, file: str) -> Iterator[Problem]:
    """Yield the problems in lines that do not say why they are none, and what is wrong with those.

    Args:
        problems: in a file.
        text: of the file.
        file: how messages name it.
    """
    marks: dict[int, tuple[int, str]] = {}
    for number, line in enumerate(text.splitlines() if _MARK_SIGN.decode() in text else (), 1):
        match = re.search(_MARK, line)
        if match is not None:
            marks[number] = match.start() + 1, match["reason"]
    used: set[int] = set()
    for problem in sorted(problems, key=_position):
        number = _position(problem)[0]
        if number in marks:
            used.add(number)
        else:
            yield problem
    for number, (column, reason) in marks.items():
        at = SourceLocation(file, number, column)
        if number not in used:
            message = "nothing in this line looks like a secret"
            yield Problem("secret-exception", message, at, "remove the comment")
        elif re.fullmatch(_NO_REASON, reason.rstrip("#-}> ")):
            message = "the comment does not say why this is not a secret"
            fix = "# dagforge: not a secret, only test data"
            yield Problem("secret-exception", message, at, fix)


def _position(problem: Problem) -> tuple[int, int]:
    location = problem.location
    return (location.line or 0, location.column or 0) if location is not None else (0, 0)


def _fix(found: Found, sort: str, target: Target) -> str:
    """Return what to write instead, in the spelling that works at this place."""
    instead: Mapping[str, str] = target.facts["instead_of_secrets"]
    parts = [part for part in found.path if isinstance(part, str)]
    name = found.name or (parts[-1] if parts else "NAME")
    if sort == "pipelines":
        sort = next((part for part in ("operator", "command") if part in parts), "settings")
    settings = [target.canonical[part] for part in parts if part in target.canonical]
    if sort == "settings" and settings:
        setting = target.settings[settings[0]]
        if setting.name in instead:
            sort = setting.name
            if parts[-1] not in (setting.name, *_VALUE_OF):
                name = parts[-1]  # a text may hold another: AIRFLOW_CONN_DB has a password
        elif setting.templated:
            sort = "templated"
    return instead[sort].replace("<name>", name)
