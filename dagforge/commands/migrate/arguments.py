"""Where an old DAG says something else than the new one: schedule, dates, retries, owner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dagforge.commands.migrate.model import Note, Pair, Setting
from dagforge.kedro_airflow.dag_files import COMPUTED, Argument, OldDag, unescaped
from dagforge.resolve import DEFAULT_SECTION
from dagforge.settings.convert import PRESETS, parse_duration
from dagforge.target import for_version
from dagforge.values import Cron, Date, Every

if TYPE_CHECKING:
    from dagforge.planning.model import DagPlan
    from dagforge.target import Target

# What Airflow takes where a file does not say.
UNSAID: Mapping[str, Any] = {
    "catchup": False,
    "depends_on_past": False,
    "max_active_runs": 16,
    "owner": "airflow",
    "retries": 0,
    "retry_delay": timedelta(minutes=5),
}
# Without an address nobody is written to, whatever these say.
_MAILS = frozenset({"email_on_failure", "email_on_retry"})
_NULL = "None"


def values_of(dag: DagPlan, target: Target) -> dict[str, Any]:
    """Return the arguments of a DAG and of all its tasks, in a form that can be compared."""
    of_tasks = {name for task in dag.tasks for name in task.arguments}
    values: dict[str, Any] = {}
    for name, setting in target.settings.items():
        argument = for_version(setting.argument, target.version) or name
        if argument in dag.arguments:
            values[name] = comparable(dag.arguments[argument])
        elif argument in of_tasks:
            values[name] = COMPUTED
        elif argument in dag.default_args:
            values[name] = comparable(dag.default_args[argument])
        else:
            values[name] = UNSAID.get(name)
    return values


def values_in(old: OldDag, target: Target) -> dict[str, Any]:
    """Return the arguments that a file gives a DAG by the canonical name of their setting."""
    return {
        target.canonical[name]: comparable(argument.value)
        for name, argument in old.arguments.items()
        if name in target.canonical
    }


def comparable(value: Any) -> Any:
    """Return a value of an old file or of a plan in a form that both have."""
    match value:
        case Cron():
            return value.expression
        case Every():
            return value.length
        case Date():
            return value.parts
        case datetime():
            parts: tuple[int, ...] = value.timetuple()[:6]
            while len(parts) > 3 and parts[-1] == 0:
                parts = parts[:-1]
            return parts
        case str():
            text = unescaped(value)
            return PRESETS.get(text, text)
    return value


def compare_arguments(pair: Pair) -> tuple[list[Note], list[Setting]]:
    """Return what the arguments of two DAGs differ in, and the settings that keep the old ones."""
    settings = pair.stages.settings
    target = settings.target
    notes: list[Note] = []
    keep: list[Setting] = []
    for written, argument in pair.old.arguments.items():
        name = target.canonical.get(written)
        if name is None or name in _MAILS or not target.settings[name].argument:
            continue
        if argument.value is COMPUTED or pair.new.values.get(name) is COMPUTED:
            continue
        old, new = comparable(argument.value), pair.new.values.get(name)
        if name == "schedule":
            old = parse_duration(old) or old if isinstance(old, str) else old
        if old == new or (isinstance(old, list) and tuple(old) == new):
            continue
        if old == _NULL:
            notes.append(_text_none(written, argument))
            continue
        here = settings.explain((name,), settings.dag_layers)
        set_at = here[0].at if here else None
        message = f"{written} {_shown(argument.value)} becomes {_spelled(new)}"
        if set_at is not None:
            message += f": {set_at.location()} says so now"
            notes.append(Note("changes", name, message, argument.at))
        elif name == "max_active_runs" and isinstance(new, int) and new < old:
            message += ": runs at once would overwrite each other's data"
            notes.append(Note("changes", name, message, argument.at))
        else:
            message += ", the default here"
            value = as_setting(argument.value)
            if value is None and argument.value is not None:
                notes.append(Note("changes", name, message, argument.at))
                continue
            notes.append(Note("changes", name, message, argument.at, f"{name}: {_spelled(value)}"))
            why = "as kedro-airflow had it"
            keep.append(Setting(pair.pipeline, name, value, why))
    notes += _cron_meaning(pair)
    return notes, keep


def _text_none(written: str, argument: Argument) -> Note:
    message = (
        f'{written} is the text "None", which is no schedule: Airflow refuses the file; a null '
        "stays null here"
    )
    return Note("was wrong", "schedule", message, argument.at)


def _cron_meaning(pair: Pair) -> Iterator[Note]:
    """Give a note where a schedule of Airflow 2 is compiled for Airflow 3."""
    argument = pair.old.arguments.get("schedule_interval")
    cron = pair.stages.dag.arguments.get("schedule")
    target = pair.stages.settings.target
    if argument is None or int(target.version.split(".")[0]) < 3:
        return
    yield Note(
        "changes",
        "version",
        "this file is for Airflow 2, which alone takes schedule_interval; the new one is for "
        f"Airflow {target.version}",
        argument.at,
        'airflow-version = "2.11" in [tool.dagforge], if that is what runs',
    )
    if isinstance(cron, Cron) and cron.meaning == "trigger" and argument.value is not None:
        yield Note(
            "changes",
            "cron_meaning",
            f"a run of {_shown(argument.value)} covered the time up to its start; in Airflow 3 it "
            "has the logical date of its start",
            argument.at,
            "cron_meaning: interval",
        )


def as_setting(value: Any) -> Any:
    """Return a value of an old file as YAML holds it, None where it cannot."""
    match value:
        case timedelta():
            return _duration(value)
        case datetime():
            return value.isoformat(" ") if value.time() != value.min.time() else f"{value:%Y-%m-%d}"
        case str():
            return unescaped(value)
        case bool() | int() | float() | None:
            return value
        case list() if all(isinstance(each, str) for each in value):
            return [unescaped(each) for each in value]
    return None


def _duration(length: timedelta) -> str:
    """Return `1h30m`."""
    seconds = int(length.total_seconds())
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _shown(value: Any) -> str:
    """Return a value of an old file as a message names it."""
    return _spelled(as_setting(value)) if isinstance(value, (datetime, timedelta)) else repr(value)


def _spelled(value: Any) -> str:
    match value:
        case timedelta():
            return _duration(value)
        case tuple():
            return "-".join(f"{part:02}" for part in value)
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}'"
    return str(value)


def by_section(settings: list[Setting], pairs: list[Pair]) -> list[Setting]:
    """Return settings with those that all DAGs share moved to `default:`, once."""
    moved: list[Setting] = []
    for setting in settings:
        shared = [each for each in settings if (each.name, each.value) == _key(setting)]
        if len(shared) == len(pairs) and all(each.at is None for each in shared):
            setting = Setting(DEFAULT_SECTION, setting.name, setting.value, setting.why)
        if setting not in moved:
            moved.append(setting)
    return moved


def _key(setting: Setting) -> tuple[str, Any]:
    return setting.name, setting.value
