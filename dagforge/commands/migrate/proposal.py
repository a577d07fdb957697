"""Which settings are proposed: those that were tried, together, and did what they should."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dagforge.build import attempt
from dagforge.commands.migrate.model import NewDag, Note, Proposal, Setting
from dagforge.commands.migrate.pairs import new_dags
from dagforge.commands.migrate.placing import FAMILY, place, settings_file, write_up
from dagforge.errors import Origin, Problem
from dagforge.frozen import frozen
from dagforge.resolve import DEFAULT_SECTION

if TYPE_CHECKING:
    from dagforge.build import Build, Request, Source

_OF_TASKS = ("grouping", "group_names")


@frozen
class Easing:
    """A setting with which something compiles that kedro-airflow let pass."""

    name: str
    value: Any
    why: str


MEMORY = Easing("memory_borders", "fix", "kedro-airflow lost what tasks hand over in memory")
EASINGS: Mapping[str, Easing] = {
    "memory-border": MEMORY,
    "shared-path": Easing("max_active_runs", 1, "runs at once would overwrite each other's data"),
}
"""By the code of the error."""


def ease(request: Request, found: Build, source: Source) -> tuple[Request, Build, list[Setting]]:
    """Return what compiles with more settings where kedro-airflow let something wrong pass.

    Returns:
        The request and its result, and the settings that it takes, by pipeline.
    """
    wanted = {
        problem.code: EASINGS[problem.code]
        for problem in found.problems
        if problem.severity == "error" and problem.code in EASINGS
    }
    known = source.target.settings
    easings = [easing for easing in wanted.values() if easing.name in known]
    if not easings:
        return request, found, []
    eased = _with(request, easings)
    built = attempt(eased, render_files=False, source=source)
    needed: list[Setting] = []
    for easing in easings:
        others = [each for each in easings if each is not easing]
        without = attempt(_with(request, others), render_files=False, source=source)
        needed += [
            Setting(name, easing.name, easing.value, easing.why)
            for name in source.pipelines
            if name in _compiled(built) and name not in _compiled(without)
        ]
    return eased, built, needed


def _with(request: Request, easings: Iterable[Easing]) -> Request:
    more = {easing.name: easing.value for easing in easings}
    return replace(request, params={**more, **request.params})


def _compiled(found: Build) -> set[str]:
    return {each.pipeline.name for each in found.stages}


@dataclass(slots=True)
class _Trial:
    """Settings that are being tried, with what was said of those that were given up."""

    keep: list[Setting]
    notes: list[Note] = field(default_factory=list)

    def give_up(self, chosen: Iterable[Setting], problem: Problem) -> None:
        """Leave settings out, and say why."""
        for setting in chosen:
            self.keep.remove(setting)
            head = problem.message.partition("\n")[0]
            message = f"{setting.name} of '{setting.section}' cannot be kept as it was: {head}"
            self.notes.append(Note("changes", setting.name, message))


def settle(
    keep: Sequence[Setting],
    found: Build,
    eased: Build,
    source: Source,
    request: Request,
    paired: Collection[str],
) -> tuple[Proposal, Build]:
    """Return the settings that keep things as they were, and what the project gives with them.

    They are tried together. One that DagForge refuses, such as a schedule that Airflow refused
    too, is left out with a note.

    Args:
        keep: by pipeline.
        found: what the project gives without them.
        eased: the same, with what it takes to compile.
        source: the project's files.
        request: what is asked for, not eased.
        paired: pipelines with an old DAG.
    """
    trial = _Trial(list(keep))
    settings_of = {each.pipeline.name: each.settings for each in eased.stages}
    known = {str(problem) for problem in (*found.problems, *eased.problems)}
    while True:
        placed = place(trial.keep, settings_of, source.pipelines, paired)
        file, text, pasted = write_up(placed, source)
        built = found
        if pasted:
            conf = source.conf.with_settings(
                FAMILY, settings_file(source), pasted.encode() if text is None else text
            )
            changed = replace(source, conf=conf)
            built = attempt(request, render_files=False, source=changed)
        # A line that has to be changed by hand stands as it is.
        waiting = {each.section for each in placed if each.at is not None}
        lost = _compiled(eased) - _compiled(built) - waiting
        wrong = [
            problem
            for problem in built.problems
            if problem.severity == "error" and (lost or str(problem) not in known)
        ]
        if not wrong or not trial.keep:
            kept: Mapping[str, NewDag] = new_dags(built.stages, request, built)[0]
            proposal = Proposal(tuple(placed), file, text, pasted, kept, tuple(trial.notes))
            return proposal, built
        _repair(trial, wrong, lost)


def _repair(trial: _Trial, wrong: Sequence[Problem], lost: set[str]) -> None:
    """Change what is tried so that less is wrong; what Airflow knows a DAG by goes last.

    Args:
        trial: what was tried.
        wrong: what it brought.
        lost: pipelines that do not compile with it.
    """
    for problem in wrong:
        path = problem.at.path if isinstance(problem.at, Origin) else ()
        refused = [
            each
            for each in trial.keep
            if len(path) > 1 and path[0] in (each.section, DEFAULT_SECTION) and path[1] == each.name
        ]
        if refused:
            trial.give_up(refused, problem)
            return
    first = wrong[0]
    eased = {each.section for each in trial.keep if each.name == MEMORY.name}
    if any(problem.code == "memory-border" for problem in wrong) and lost - eased:
        trial.keep += [
            Setting(name, MEMORY.name, MEMORY.value, MEMORY.why) for name in sorted(lost - eased)
        ]
        trial.notes += [
            Note("was wrong", "data", problem.message, problem.at, "the settings below")
            for problem in wrong
            if problem.code == "memory-border"
        ]
        return
    of_tasks = [each for each in trial.keep if each.section in lost and each.name in _OF_TASKS]
    least = min(map(_rank, trial.keep))
    trial.give_up(of_tasks or [each for each in trial.keep if _rank(each) == least], first)


def _rank(setting: Setting) -> int:
    """Return how much a setting matters: what Airflow knows a DAG by is the most."""
    return {"dag_id": 2, "task_id_style": 1, **dict.fromkeys(_OF_TASKS, 1)}.get(setting.name, 0)
