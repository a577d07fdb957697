"""Rules of one's own: functions of installed packages, found by the entry point `dagforge.policy`.

    [project.entry-points."dagforge.policy"]
    pools = "acme_dagforge.rules:pools"

A function is called with a `Dag` and, by name, with what its table holds; it returns `Finding`s.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint
from typing import Any

from dagforge.errors import DagForgeError, Origin, Problems
from dagforge.policy.model import Dag, Finding, Task

GROUP = "dagforge.policy"
Judge = Callable[[Dag | Task], Iterable[Finding]]


class RuleError(DagForgeError):
    """A rule of somebody's own failed."""


def _entry_points() -> Mapping[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP)}


def own_rule_names() -> list[str]:
    """Return the names of the rules that installed packages have, sorted."""
    return sorted(_entry_points())


def is_own_rule(name: str) -> bool:
    """Say whether an installed package has a rule of this name."""
    return name in _entry_points()


def own_rule(
    name: str, arguments: Mapping[str, Any], at: Origin, problems: Problems
) -> Judge | None:
    """Return the rule of a name, None where it cannot be imported.

    Args:
        name: of the entry point.
        arguments: what its table holds beside `severity` and `fix`.
        at: where the table stands.
        problems: takes what is wrong with it.
    """
    entry = _entry_points()[name]
    try:
        function = entry.load()
    except (Exception, SystemExit) as error:
        message = f"the rule '{name}' ({entry.value}) cannot be imported: {_told(error)}"
        problems.error("policy-rule", message, at, fix="mend or reinstall its package")
        return None
    if not callable(function):
        message = f"the rule '{name}' ({entry.value}) is no function"
        problems.error("policy-rule", message, at)
        return None
    given = {key.replace("-", "_"): value for key, value in arguments.items()}

    def judge(subject: Dag | Task) -> list[Finding]:
        if isinstance(subject, Task):  # the function looks at the tasks of a DAG by itself
            return []
        try:
            found = function(subject, **given)
            findings = [] if found is None else list(found)
        except (Exception, SystemExit) as error:
            where = _line_of(error)
            raise RuleError.of(
                "policy-rule",
                f"the rule '{name}' ({entry.value}) failed{where}: {_told(error)}",
                at=at,
                fix="mend the rule; it is no fault of the pipelines",
            ) from error
        for finding in findings:
            if not isinstance(finding, Finding):
                raise RuleError.of(
                    "policy-rule",
                    f"the rule '{name}' ({entry.value}) gave a {type(finding).__name__}, not what "
                    "`dag.problem()` or `task.problem()` returns",
                    at=at,
                )
        return findings

    return judge


def _told(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _line_of(error: BaseException) -> str:
    """Return in which line of the rule's own code an exception was raised, without a path."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    if not frames:
        return ""
    frame = frames[-1]
    return f" in {frame.name}, line {frame.lineno}"
