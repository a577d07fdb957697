"""Hold the plans against the rules in force.

Rules see the plan, so that it does not matter which layer a value came from. What breaks a rule may
be allowed where it is defined: the setting `policy_exceptions` names the rule and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dagforge.errors import DagForgeError, Origin, Place, Problem, Problems, did_you_mean
from dagforge.policy.model import Dag, Finding, Task
from dagforge.policy.rules import Rule
from dagforge.resolve import EXCEPTIONS, Layer

_Entry = tuple[int, str]
"""An exception: the layer that makes it, by its id, and the rule."""


@dataclass(slots=True)
class _Told:
    """One way in which a rule is broken, and everything that breaks it so."""

    rule: Rule
    finding: Finding
    subjects: list[Dag | Task] = field(default_factory=list)


def enforce(
    dags: Sequence[Dag],
    rules: Sequence[Rule],
    *,
    may_be_unused: Callable[[Layer], bool],
) -> Iterator[Problem]:
    """Yield what breaks a rule, and exceptions that nothing needs.

    Args:
        dags: the plans.
        rules: in force.
        may_be_unused: says whether an exception of a layer would have been used by now, if it was
            for anything; it is not when the layer holds for pipelines that are not among `dags`.
    """
    told: dict[tuple[object, ...], _Told] = {}
    used: set[_Entry] = set()
    judged: set[_Entry] = set()
    exceptions = list(_exceptions(dags))
    failed = Problems()
    for rule in rules:
        excepted = {id(layer) for layer, name in exceptions if name == rule.name}
        for finding in _findings(rule, dags, failed, judged if excepted else None):
            layer = finding.subject.exception(rule.name) if excepted else None
            if layer is not None:
                used.add((id(layer), rule.name))
                continue
            key = rule.origin.path, rule.package, finding.message, _key_of(finding.at)
            told.setdefault(key, _Told(rule, finding)).subjects.append(finding.subject)
    yield from failed
    for each in told.values():
        yield _problem(each)
    yield from _wrong_exceptions(exceptions, rules, judged - used, may_be_unused)


def _findings(
    rule: Rule, dags: Iterable[Dag], failed: Problems, judged: set[_Entry] | None
) -> Iterator[Finding]:
    """Yield what breaks a rule; a rule that fails is told once, and asked no further."""
    for dag in dags:
        for subject in rule.subjects(dag):
            layer = subject.exception(rule.name) if judged is not None else None
            if judged is not None and layer is not None:
                judged.add((id(layer), rule.name))
            try:
                yield from rule.judge(subject)
            except DagForgeError as error:
                failed.extend(error.problems)
                return


def _exceptions(dags: Iterable[Dag]) -> Iterator[tuple[Layer, str]]:
    """Yield every exception once, with the layer that it is of."""
    seen: set[int] = set()
    for dag in dags:
        for subject in (dag, *dag.tasks):
            for layer in subject.layers:
                if id(layer) not in seen:
                    seen.add(id(layer))
                    for rule in layer.data.get(EXCEPTIONS) or ():
                        yield layer, rule


def _wrong_exceptions(
    exceptions: Iterable[tuple[Layer, str]],
    rules: Sequence[Rule],
    unused: set[_Entry],
    may_be_unused: Callable[[Layer], bool],
) -> Iterator[Problem]:
    names = {rule.name for rule in rules}
    for layer, rule in exceptions:
        if not may_be_unused(layer):
            continue
        at = layer.place((EXCEPTIONS, rule))
        if rule not in names:
            message = f"there is no rule '{rule}' to make an exception from"
            fix = did_you_mean(rule, names) or "remove it"
            yield Problem("policy-exception", message, at, fix, at_key=True)
        elif layer.origin is not None and (id(layer), rule) in unused:
            message = f"nothing here breaks the rule '{rule}'"
            yield Problem("policy-exception", message, at, "remove the exception", at_key=True)


def _key_of(place: Place) -> object:
    return (id(place.source), place.path) if isinstance(place, Origin) else place


def _problem(told: _Told) -> Problem:
    rule, finding = told.rule, told.finding
    subjects = list(dict.fromkeys(told.subjects))
    first = subjects[0]
    who = f"pipeline '{(first.dag if isinstance(first, Task) else first).pipeline}'"
    if isinstance(first, Task):
        who = f"task '{first.task_id}' of {who}"
    more = f" and {len(subjects) - 1} more" if len(subjects) > 1 else ""
    message = f"{finding.message}\n  {who}{more}; rule '{rule.name}', {rule.origin.location()}"
    fix = rule.fix or finding.fix
    return Problem("policy", message, finding.at, fix, rule.severity, finding.at_key)
