"""What a shell may complete: names of this project, of targets, of templates, of errors.

A shell asks in the middle of a line, and shows no messages: whatever goes wrong, there is simply
nothing to offer. Nothing is compiled for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from dagforge.errors import DagForgeError

if TYPE_CHECKING:
    from dagforge.build import Request
    from dagforge.conf import Conf

Ask = Callable[[], "Request"]


def complete(what: str, ask: Ask, incomplete: str, *, listed: bool = False) -> list[CompletionItem]:
    """Return what the value of a parameter may become.

    Args:
        what: a key of NAMES.
        ask: says which project the line is about.
        incomplete: the value, as far as it is typed.
        listed: the value may be a list by commas, whose last name is completed.
    """
    before, comma, start = incomplete.rpartition(",") if listed else ("", "", incomplete)
    taken = set(before.split(","))
    try:
        known = [str(name) for name in NAMES[what](ask)]
    except Exception:
        return []
    return [
        CompletionItem(f"{before}{comma}{name}")
        for name in known
        if name.startswith(start) and name not in taken
    ]


def pipelines(ask: Ask) -> Iterable[str]:
    """Return the registered pipelines of the project that a command line is about."""
    from dagforge.frontends import registry

    return registry(_conf(ask))


def environments(ask: Ask) -> Iterable[str]:
    """Return the environments of the project that a command line is about."""
    return ("base", *_conf(ask).environments)


def targets(ask: Ask) -> Iterable[str]:
    """Return every name that `--target` takes in the project that a command line is about."""
    from dagforge.reading.packages import find_packages, targets_of
    from dagforge.reading.project import read_project
    from dagforge.resources import templates_dir
    from dagforge.target import target_names

    known = target_names(templates_dir())
    try:
        return [*known, *targets_of(find_packages(read_project(ask().root)))]
    except DagForgeError:
        return known


def airflow_versions(ask: Ask) -> Iterable[str]:  # noqa: ARG001
    """Return every version that `--airflow-version` takes."""
    from dagforge.resources import templates_dir
    from dagforge.target import orchestrators

    versions: list[str] = orchestrators(templates_dir())["airflow"]["versions"]
    return versions


def groupings(ask: Ask) -> Iterable[str]:  # noqa: ARG001
    """Return what `--group-by` takes."""
    from dagforge.resolve import GROUPINGS

    return GROUPINGS


def templates(ask: Ask) -> Iterable[str]:  # noqa: ARG001
    """Return the names of the built-in templates."""
    from dagforge.commands.template_files import names

    return names()


def examples(ask: Ask) -> Iterable[str]:  # noqa: ARG001
    """Return what `init --example` takes."""
    from dagforge.commands.examples import names

    return names()


def codes(ask: Ask) -> Iterable[str]:  # noqa: ARG001
    """Return the codes of errors and warnings."""
    from dagforge.commands.error_pages import read_sections
    from dagforge.resources import errors_page

    return read_sections(errors_page())


def _conf(ask: Ask) -> Conf:
    from dagforge.conf import BASE, read_conf

    request = ask()
    return read_conf(request.root, env=BASE, conf=request.conf)


NAMES: Mapping[str, Callable[[Ask], Iterable[str]]] = {
    "pipelines": pipelines,
    "environments": environments,
    "targets": targets,
    "airflow_versions": airflow_versions,
    "groupings": groupings,
    "templates": templates,
    "codes": codes,
    "examples": examples,
}
