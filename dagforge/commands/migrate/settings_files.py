"""What kedro-airflow made of the lines of `airflow.yml`, and what DagForge makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagforge.commands.migrate.model import Note
from dagforge.conf import Document, read_yaml
from dagforge.errors import LoadError, Problem
from dagforge.kedro_airflow.template import ACTED_UPON, DEFAULT_ENV
from dagforge.resolve import DEFAULT_SECTION, FOR_TAGS, FOR_TASKS

if TYPE_CHECKING:
    from dagforge.target import Target

FAMILY = "airflow"
# What kedro-airflow's own templates print, all releases together.
OWN_TEMPLATES_READ = frozenset(
    {
        "catchup",
        "depends_on_past",
        "email_on_failure",
        "email_on_retry",
        "max_active_runs",
        "owner",
        "retries",
        "retry_delay",
        "schedule",
        "schedule_interval",
        "start_date",
    }
)
_ESCAPED = frozenset("&<>\"'")


def read_settings_files(conf: Path, root: Path) -> tuple[list[Document], list[Problem]]:
    """Return every `airflow*.yml` and `airflow/**` below a configuration, in all environments.

    Returns:
        Those that can be read, sorted by path, and what is wrong with the others.
    """
    paths = {
        path
        for pattern in ("*/airflow*", "*/airflow/**/*")
        for path in conf.glob(pattern)
        if path.suffix in (".yml", ".yaml") and path.is_file()
    }
    problems: list[Problem] = []
    read = [_read(path, root, problems) for path in sorted(paths, key=lambda path: path.parts)]
    return [document for document in read if document is not None], problems


def _read(path: Path, root: Path, problems: list[Problem]) -> Document | None:
    try:
        return read_yaml(path, root)
    except LoadError as error:
        problems += error.problems
        return None


def of_environments(documents: Sequence[Document], *names: str) -> list[Document]:
    """Return the files of some environments."""
    return [each for each in documents if any(f"/{name}/" in f"/{each.file}" for name in names)]


def settings_notes(
    documents: Sequence[Document], target: Target, reads: frozenset[str] | None
) -> Iterator[Note]:
    """Give a note for each line of the settings that means something else than it did.

    Args:
        documents: the files.
        target: whose settings are known.
        reads: names that a kedro-airflow template prints which goes on being used; None where the
            old files came from its own.
    """
    for document in documents:
        sections = document.data if isinstance(document.data, dict) else {}
        for section, settings in sections.items():
            if not isinstance(settings, dict):
                continue
            for name, value in settings.items():
                if name not in (FOR_TAGS, FOR_TASKS):
                    yield from _notes_on(document, section, name, value, target, reads)
            yield from _merged(document, section, sections)


def local_env_notes(documents: Sequence[Document], env: str | None) -> Iterator[Note]:
    """Give a note where kedro-airflow read an environment of which nobody had to say the name."""
    for document in documents:
        if env is None and f"/{DEFAULT_ENV}/" in f"/{document.file}":
            yield Note(
                "changes",
                "env",
                "kedro-airflow read this file unless -e said otherwise; without -e DagForge reads "
                "base alone",
                document.origin(),
                f'-e {DEFAULT_ENV}, or env = "{DEFAULT_ENV}" in [tool.dagforge]',
            )


def _notes_on(
    document: Document,
    section: str,
    name: str,
    value: Any,
    target: Target,
    reads: frozenset[str] | None,
) -> Iterator[Note]:
    at = document.origin(section, name)
    setting = target.canonical.get(name)
    if name not in (OWN_TEMPLATES_READ if reads is None else reads):
        if setting is not None and (reads is None or setting in ACTED_UPON):
            message = (
                f"kedro-airflow's own template does not read '{name}'; DagForge does as it says"
            )
            yield Note("changes", name, message, at, "remove it")
        return
    if setting == "schedule" and value is None:
        message = f'{name}: null became the text "None", which is no schedule'
        yield Note("was wrong", "schedule", f"{message}; here it is null", at)
    elif setting == "start_date" and not isinstance(value, list):
        digits = ",".join(str(value))
        message = f"{name} became datetime({digits}), which is no Python; here it is a date"
        yield Note("was wrong", "start_date", message, at)
    elif isinstance(value, str) and _ESCAPED.intersection(value):
        message = f"{value!r} was escaped as if it were HTML; here it stays as it is"
        yield Note("was wrong", name, message, at)
    elif name == "retry_delay" and isinstance(value, (int, float)):
        message = f"{value} is minutes, as before; {value}m says so"
        yield Note("stays", name, message, at)
    elif name == "schedule_interval":
        yield Note("stays", name, "this is schedule, by its older name", at)


def _merged(document: Document, section: str, sections: Mapping[str, Any]) -> Iterator[Note]:
    """Give a note for each mapping that hid another one, and is laid over it now."""
    default = sections.get(DEFAULT_SECTION)
    if section == DEFAULT_SECTION or not isinstance(default, dict):
        return
    for name, value in sections[section].items():
        below = default.get(name)
        if isinstance(value, dict) and isinstance(below, dict) and below.keys() - value.keys():
            left = sorted(below.keys() - value.keys())
            yield Note(
                "changes",
                name,
                f"this replaced '{name}' of default; now it is laid over it, and {_listed(left)} "
                f"of default stay{'s' if len(left) == 1 else ''}",
                document.origin(section, name),
                "null removes a key",
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
