"""The rules in force: tables of `policy`, read and checked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from dagforge.errors import Origin, Problems, Severity, did_you_mean
from dagforge.frozen import frozen
from dagforge.policy import options
from dagforge.policy.demands import ALWAYS, DEMANDS, TYPED, between, is_given, text_of
from dagforge.policy.model import Dag, Finding, Task
from dagforge.policy.options import Read, WrongOption
from dagforge.policy.own import is_own_rule, own_rule
from dagforge.reading.packages import Package
from dagforge.reading.project import Project
from dagforge.reading.scalars import kind_of
from dagforge.target import Setting, Target, known_elsewhere, orchestrators

Subject = Dag | Task
Judge = Callable[[Subject], Iterable[Finding]]
Demanded = Mapping[str, Any]
"""What a rule demands, by the key of its table."""


@frozen
class Table:
    """A `policy` table.

    Attributes:
        rules: as TOML gives them, by name.
        origin: where it stands.
        package: whose it is; None for the project's own.
    """

    rules: Mapping[str, Any]
    origin: Origin
    package: str | None


@frozen
class Rule:
    """A rule in force.

    Attributes:
        written: what its table says, for those who list the rules.
        fix: what the platform says to do about it.
        subjects: returns what of a DAG it looks at: the DAG itself, some or all of its tasks.
        judge: returns what in one of these breaks it.
    """

    name: str
    written: Mapping[str, Any]
    severity: Severity
    fix: str | None
    origin: Origin
    package: str | None
    subjects: Callable[[Dag], Sequence[Subject]]
    judge: Judge


def policy_tables(project: Project, packages: Iterable[Package]) -> list[Table]:
    """Return the policy of each package, then that of the project, where there is one."""
    tables = [Table(package.policy, package.table / "policy", package.name) for package in packages]
    at = project.origin("policy")
    if at is not None:
        tables.append(Table(project.policy, at, None))
    return [table for table in tables if table.rules]


def read_rules(tables: Iterable[Table], target: Target, problems: Problems) -> tuple[Rule, ...]:
    """Return the rules of all tables: each of them holds, whatever the others say.

    Args:
        tables: of the packages, then of the project.
        target: what is compiled for.
        problems: takes what is wrong with the tables; the rules are not checked then.
    """
    rules = []
    for table in tables:
        for name, written in table.rules.items():
            rule = _rule(name, written, table, target, problems)
            if rule is not None:
                rules.append(rule)
    return tuple(rules)


def _rule(name: str, written: Any, table: Table, target: Target, problems: Problems) -> Rule | None:
    at = table.origin / name
    if not isinstance(written, dict):
        problems.error(
            "policy-rule",
            f"the rule '{name}' is {kind_of(written)}, not a table of demands",
            at,
            fix=f"write it as in {name} = {{required = true}}",
        )
        return None
    known = _options_of(name, target)
    if known is None:
        if not is_own_rule(name):
            fix = did_you_mean(name, [*SPECIAL, *target.canonical])
            message = f"'{name}' is no setting, and no installed package has a rule of that name"
            problems.error("policy-rule", message, at, fix=fix, at_key=True)
            return None
        known = {}
        demanded, more = _read(name, written, known, at, problems, free=True)
        if demanded is None:
            return None
        judge = own_rule(name, more, at, problems)
        subjects: Callable[[Dag], Sequence[Subject]] = _everything
    else:
        demanded, more = _read(name, written, known, at, problems, free=False)
        if demanded is None:
            return None
        if not demanded.keys() - options.COMMON.keys() - {*options.QUALIFIERS}:
            problems.error("policy-rule", f"the rule '{name}' demands nothing", at)
            return None
        subjects, judge = _about(name, demanded, target)
    if judge is None:
        return None
    severity: Severity = demanded.get("severity", "error")
    fix = demanded.get("fix")
    return Rule(name, written, severity, fix, at, table.package, subjects, judge)


def _read(
    name: str,
    written: Mapping[str, Any],
    known: Mapping[str, Read],
    at: Origin,
    problems: Problems,
    *,
    free: bool,
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return the options of a rule, None if one is wrong, and those that only the rule knows."""
    good: dict[str, Any] = {}
    more: dict[str, Any] = {}
    before = len(problems.found)
    readers = {**known, **options.COMMON}
    for key, value in written.items():
        if key not in readers:
            if free:
                more[key] = value
                continue
            problems.error(
                "policy-rule",
                f"the rule '{name}' cannot demand '{key}'",
                at / key,
                fix=did_you_mean(key, readers) or f"one of {', '.join(sorted(readers))}",
                at_key=True,
            )
            continue
        try:
            good[key] = readers[key](value)
        except WrongOption as error:
            problems.error("policy-rule", f"'{key}' of the rule '{name}' {error}", at / key)
    for fault in _contradictions(good):
        problems.error("policy-rule", f"the rule '{name}' {fault}", at)
    return (good if len(problems.found) == before else None), more


def _contradictions(demanded: Demanded) -> Iterator[str]:
    """Yield what no value at all can keep to."""
    least, most = demanded.get("min"), demanded.get("max")
    if isinstance(least, dict) and isinstance(most, dict):
        for key in least:
            if key in most and least[key] > most[key]:
                yield f"leaves nothing between min and max of '{key}'"
    elif least is not None and most is not None and least > most:
        yield "leaves nothing between min and max"
    if demanded.get("required") and demanded.get("forbidden"):
        yield "demands that it is set, and that it is not"
    allowed = demanded.get("one-of", ())
    if allowed and all(each in demanded.get("none-of", ()) for each in allowed):
        yield "leaves nothing of 'one-of'"


# --- what a rule is about


def _everything(dag: Dag) -> Sequence[Subject]:
    return [dag, *dag.tasks]


def _the_dag(dag: Dag) -> Sequence[Subject]:
    return [dag]


def _all_tasks(dag: Dag) -> Sequence[Subject]:
    return dag.tasks


def _operators(dag: Dag) -> Sequence[Subject]:
    return [task for task in dag.tasks if task.operator is not None]


def _with_resources(dag: Dag) -> Sequence[Subject]:
    kinds = dag.facts.kinds
    return [task for task in dag.tasks if kinds.get(task.kind, {}).get("resources")]


def _that_take(dag: Dag, of: str) -> Sequence[Subject]:
    """Return the tasks whose operator takes a setting."""
    setting, argument = dag.facts.settings[of], dag.facts.arguments.get(of)
    return [
        task
        for task in dag.tasks
        if setting.kinds is None or task.kind in setting.kinds or argument in task.arguments
    ]


def _nothing(dag: Dag) -> Sequence[Subject]:  # noqa: ARG001
    return []


# --- what it says of them


def _judge_name(subject: Subject, of: str, demanded: Demanded) -> Iterator[Finding]:
    names: Sequence[str] = [getattr(subject, of)] if of != "node" else ()
    if isinstance(subject, Task) and of == "node":
        names = subject.nodes
    for name in names:
        for _, message, fix in _broken(_NAMES[of], name, demanded):
            yield subject.problem(message, setting=of if of == "dag_id" else None, fix=fix)


_NAMES = {
    "dag_id": "the dag_id",
    "pipeline": "the pipeline's name",
    "task_id": "the task_id",
    "node": "the node's name",
}


_LISTED = ("one-of", "none-of")


def _judge_operator(subject: Subject, of: str, demanded: Demanded) -> Iterator[Finding]:
    assert isinstance(subject, Task) and subject.operator is not None
    path = subject.operator
    name = path.rpartition(".")[2]
    # An operator may be listed by its name alone.
    full = {
        key: tuple(path if each == name else each for each in wanted) if key in _LISTED else wanted
        for key, wanted in demanded.items()
    }
    for _, message, fix in _broken(f"the {of}", path, full):
        yield subject.problem(message, at=subject.operator_place, fix=fix)


def _judge_resources(
    subject: Subject,
    of: str,  # noqa: ARG001
    demanded: Demanded,
) -> Iterator[Finding]:
    assert isinstance(subject, Task)
    path = ("machines", subject.plan.machine) if subject.plan.machine else None
    for _, message, fix in _broken("the task", subject.resources, demanded):
        advice = fix or (None if path else "give its nodes a machine tag")
        yield subject.problem(message, setting=path, fix=advice)


def _judge_setting(subject: Subject, of: str, demanded: Demanded) -> Iterator[Finding]:
    target = subject.facts
    argument = target.arguments.get(of)
    if isinstance(subject, Task) and argument is not None and argument in subject.arguments:
        at = subject.argument_place(argument)
        for _, message, fix in _broken(f"'{argument}'", subject.arguments[argument], demanded):
            yield subject.problem(message, at=at, fix=fix)
        return
    value = _in_units(subject.setting(of), target.settings[of])
    for path, message, fix in _broken(f"'{of}'", value, demanded):
        yield subject.problem(message, setting=(of, *path), fix=fix)


def _in_units(value: Any, setting: Setting) -> Any:
    """Return a setting's value; a bare number of a duration with its unit."""
    bare = isinstance(value, (int, float)) and not isinstance(value, bool)
    if setting.value == "duration" and bare:
        return f"{value:g}{'m' if setting.bare == 'minutes' else 's'}"
    return value


def _judge_schedule(subject: Subject, of: str, demanded: Demanded) -> Iterator[Finding]:
    of_text = {key: wanted for key, wanted in demanded.items() if key not in TYPED}
    yield from _judge_setting(subject, of, of_text)
    typed = subject.typed(of)
    of_meaning = {key: demanded[key] for key in TYPED if key in demanded}
    broken = list(_broken(f"'{of}'", typed, of_meaning))
    if "between" in demanded:
        broken += between(f"'{of}'", typed, demanded["between"], demanded.get("timezone"))
    for _, message, fix in broken:
        yield subject.problem(message, setting=of, fix=fix)


def _broken(
    name: str, value: Any, demanded: Demanded
) -> Iterator[tuple[tuple[str, ...], str, str | None]]:
    value = text_of(value)
    for key, wanted in demanded.items():
        demand = DEMANDS.get(key)
        if demand is not None and (is_given(value) or key in ALWAYS):
            yield from demand(name, value, wanted)


_About = tuple[Mapping[str, Read], Callable[[Dag], Sequence[Subject]], Callable[..., Any]]
SPECIAL: Mapping[str, _About] = {
    "dag_id": (options.NAME, _the_dag, _judge_name),
    "pipeline": (options.NAME, _the_dag, _judge_name),
    "task_id": (options.NAME, _all_tasks, _judge_name),
    "node": (options.NAME, _all_tasks, _judge_name),
    "operator": (options.NAME, _operators, _judge_operator),
    "resources": (options.RESOURCES, _with_resources, _judge_resources),
}
"""Rules that are about no setting: what they may demand, of what, and who says so."""
_OPTIONS_BY_VALUE = {"duration": options.DURATION, "schedule": options.SCHEDULE}
_OPTIONS_BY_TYPE = {
    "string": options.TEXT,
    "boolean": options.FLAG,
    "integer": options.NUMBER,
    "number": options.NUMBER,
    "array": options.LIST,
    "object": options.MAPPING,
}


def _options_of(name: str, target: Target) -> Mapping[str, Read] | None:
    """Return what a rule of this name may demand; None when it is about nothing that is known."""
    if name in SPECIAL:
        return SPECIAL[name][0]
    canonical = target.canonical.get(name)
    if canonical is not None:
        return _options_of_setting(target.settings[canonical])
    if known_elsewhere(name, target) is not None:
        return _options_elsewhere(name, target)
    return None


def _options_of_setting(setting: Setting) -> Mapping[str, Read]:
    if setting.name == "image":
        return options.IMAGE
    if setting.value in _OPTIONS_BY_VALUE:
        return _OPTIONS_BY_VALUE[setting.value]
    types = setting.schema.get("type", "string")
    first = [types] if isinstance(types, str) else list(types)
    return next(
        (_OPTIONS_BY_TYPE[kind] for kind in first if kind in _OPTIONS_BY_TYPE), options.TEXT
    )


def _options_elsewhere(name: str, target: Target) -> Mapping[str, Read]:
    """Return what may be demanded of a setting that only another orchestrator has."""
    from dagforge.target import read_target

    folder = target.folder.parent
    for facts in orchestrators(folder).values():
        other = read_target(next(iter(facts["targets"])), folder)
        if name in other.canonical:
            return _options_of_setting(other.settings[other.canonical[name]])
    raise AssertionError(name)


def _about(
    name: str, demanded: Demanded, target: Target
) -> tuple[Callable[[Dag], Sequence[Subject]], Judge]:
    """Return what a rule looks at and what it says of it; nothing where the target has no such."""
    if name in SPECIAL:
        _, subjects, judge = SPECIAL[name]
        return subjects, functools.partial(judge, of=name, demanded=demanded)
    canonical = target.canonical.get(name, "")
    setting = target.settings.get(canonical)
    of_schedule = setting is not None and setting.value == "schedule"
    judge = _judge_schedule if of_schedule else _judge_setting
    judged = functools.partial(judge, of=canonical, demanded=demanded)
    if setting is None or not setting.exists_in(target.version):
        return _nothing, judged
    if setting.scope == "dag":
        return _the_dag, judged
    return functools.partial(_that_take, of=canonical), judged
