"""Values of dag-factory's YAML in DagForge's spelling: Python objects, durations, dates, assets.

dag-factory 1.1 is what is followed, with the names that its older releases had for the same.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from dagforge.frozen import frozen
from dagforge.importing.notes import Notes
from dagforge.reading.parts import Part
from dagforge.settings.convert import check_path
from dagforge.settings.schema import is_literal, is_object
from dagforge.target import Target, version_key

TYPE, ARGS = "__type__", "__args__"
_NAME_TAG = "tag:yaml.org,2002:python/name:"
_YAML_TAG = "tag:yaml.org,2002:"
_CONDITIONS = {"__and__": "&", "and": "&", "!and": "&", "__or__": "|", "or": "|", "!or": "|"}
_TIMEDELTA = ("days", "seconds", "microseconds", "milliseconds", "minutes", "hours", "weeks")
_DATETIME = ("year", "month", "day", "hour", "minute", "second", "microsecond")
_MOST_BRACKETS = 50
_RELATIVE = re.compile(
    r"((?P<hours>\d+)\s+hour)?((?P<minutes>\d+)\s+minute)?"
    r"((?P<seconds>\d+)\s+second)?((?P<days>\d+)\s+day)?",
    re.IGNORECASE,
)
_ISO_DATE = re.compile(
    r"(?P<date>\d{4}-\d{1,2}-\d{1,2})(?:[T ](?P<time>\d{1,2}:\d{2}(?::\d{2})?)(?:\.\d+)?)?"
    r"(?:Z|[+-]\d{2}:?\d{2})?"
)


@frozen
class World:
    """What a file's meaning depends on besides what is in it.

    Attributes:
        dags_folder: the folder from which Airflow imports modules; None where it is not known.
        aliases: paths of operators by the short names that the project gives them.
    """

    target: Target
    dags_folder: str | None
    aliases: Mapping[str, str]

    @property
    def airflow_3(self) -> bool:
        """Whether the DAGs are for Airflow 3."""
        return version_key(self.target.version) >= version_key("3.0")


def value_of(part: Part, notes: Notes, world: World) -> Part:
    """Return a value with the objects in it, at any depth, as `{import: ...}` and `{call: ...}`."""
    if part.tag.startswith(_NAME_TAG):
        return imported(part, part.tag.removeprefix(_NAME_TAG), notes)
    if part.tag == "!join":
        return _joined(part, notes, world)
    if part.tag in _CONDITIONS:
        return _condition(part.of({part.tag: part.of(part.value)}), notes, world)
    if part.tag.startswith(_YAML_TAG) and isinstance(part.value, Mapping):
        # What it was before dag-factory 1.0: !!kubernetes.client.models.V1Pod {...}
        path = part.of(part.tag.removeprefix(_YAML_TAG))
        return _typed(part.of({TYPE: path, **part.value}), notes, world)
    if part.tag:
        notes.refuse(f"the tag {part.tag.removeprefix(_YAML_TAG)} is not known here", part.at)
        return part
    if isinstance(part.value, Mapping):
        return _mapping(part, notes, world)
    if isinstance(part.value, tuple):
        return part.of(tuple(value_of(each, notes, world) for each in part))
    if isinstance(part.value, datetime.date):
        return _date_object(part)
    if isinstance(part.value, bytes):
        notes.refuse("binary data cannot be carried over", part.at)
    return part


def _mapping(part: Part, notes: Notes, world: World) -> Part:
    if TYPE in part.value:
        return _typed(part, notes, world)
    if "__join__" in part.value:
        return _joined(part, notes, world)
    if "__and__" in part.value or "__or__" in part.value:
        return _condition(part, notes, world)
    made = part.of({key: value_of(inner, notes, world) for key, inner in part.items()})
    if is_object(part.plain) or is_literal(part.plain):
        notes.refuse("a mapping with these keys means an object here, and cannot be data", part.at)
    return made


def imported(part: Part, path: object, notes: Notes) -> Part:
    """Return a Python object by its import path."""
    if not check_path(path):
        notes.refuse(f"this is no import path: {path}", part.at)
    return part.of({"import": Part(path, part.at)})


def _call(part: Part, path: str, positional: list[Part], arguments: Mapping[str, Part]) -> Part:
    """Return what a call gives, in the place of `part`."""
    value: dict[str, Part] = {"call": Part(path, part.at)}
    if positional:
        value["positional"] = Part(tuple(positional), part.at)
    if arguments:
        value["args"] = Part(dict(arguments), part.at)
    return part.of(value)


def _typed(part: Part, notes: Notes, world: World) -> Part:
    """Return an object that is made by `__type__`."""
    path = part.value[TYPE].plain
    if not isinstance(path, str):
        notes.refuse("the type of an object must be text", part.value[TYPE].at)
        return part
    if path == "builtins.list" and "items" in part.value:
        return value_of(part.of(part.value["items"].value), notes, world)
    path = moved(path, world.target)
    if not check_path(path):
        notes.refuse(f"this is no import path: {path}", part.value[TYPE].at)
    positional = part.get(ARGS) or Part(())
    if not isinstance(positional.value, tuple):
        notes.refuse(f"{ARGS} must be a list", positional.at)
    return _call(
        part,
        path,
        [value_of(each, notes, world) for each in positional],
        {
            key: value_of(inner, notes, world)
            for key, inner in part.items()
            if key not in (TYPE, ARGS)
        },
    )


def _date_object(part: Part) -> Part:
    value = part.value
    whole = isinstance(value, datetime.datetime)
    names = _DATETIME if whole else _DATETIME[:3]
    numbers = [getattr(value, name) for name in names]
    while len(numbers) > 3 and numbers[-1] == 0:
        numbers.pop()
    kind = "datetime.datetime" if whole else "datetime.date"
    return _call(part, kind, [Part(number, part.at) for number in numbers], {})


def _joined(part: Part, notes: Notes, world: World) -> Part:
    pieces = part.get("__join__") or part
    if not isinstance(pieces.value, tuple):
        notes.refuse("what is joined must be a list", part.at)
    texts = [value_of(each, notes, world).value for each in pieces]
    if not all(isinstance(text, (str, int, float)) for text in texts):
        notes.refuse("only text can be joined", part.at)
    return part.of("".join(map(str, texts)))


def moved(path: str, target: Target) -> str:
    """Return where an object of Airflow's own is in the target's version."""
    name = path.rpartition(".")[2]
    if path.startswith("airflow.timetables."):
        # These are where they were, and go together with each other only.
        return path
    if path in _DUMMY:
        name, path = "EmptyOperator", "airflow.operators.empty.EmptyOperator"
    for local, by_version in target.facts["imports"].items():
        known = by_version.values() if isinstance(by_version, Mapping) else [by_version]
        places = {str(each).partition(" ")[0] for each in known}
        if path in places or (name == local and path in _OLD_PLACES.get(local, ())):
            return str(target.imports.get(local, path)).partition(" ")[0]
    if version_key(target.version) < version_key("3.0"):
        return path
    return _standard(path)


_OLD_PLACES = {
    "BashOperator": ("airflow.operators.bash_operator.BashOperator",),
    "PythonOperator": ("airflow.operators.python_operator.PythonOperator",),
    "Param": ("airflow.models.Param",),
}
_DUMMY = ("airflow.operators.dummy_operator.DummyOperator", "airflow.operators.dummy.DummyOperator")
# The modules of Airflow 2 that became the standard provider's.
_STANDARD = {
    "operators": (
        "bash",
        "datetime",
        "empty",
        "latest_only",
        "python",
        "trigger_dagrun",
        "weekday",
    ),
    "sensors": (
        "bash",
        "date_time",
        "external_task",
        "filesystem",
        "python",
        "time",
        "time_delta",
        "weekday",
    ),
}


def _standard(path: str) -> str:
    """Return where an operator of Airflow 2 itself is in Airflow 3."""
    match = re.fullmatch(r"airflow\.(operators|sensors)\.(\w+)\.(\w+)", path)
    if match is None:
        return path
    kind, module, name = match.groups()
    module = module.removesuffix("_operator").removesuffix("_sensor")
    if module not in _STANDARD[kind]:
        return path
    return f"airflow.providers.standard.{kind}.{module}.{name}"


# --- callables


def callable_in_file(name: Part, file: Part, notes: Notes, world: World) -> Part:
    """Return a function that dag-factory finds by a file and a name, by its import path."""
    path, inside = str(file.plain), None
    plain = PurePosixPath(path)
    if world.dags_folder is not None and plain.is_relative_to(world.dags_folder):
        inside = plain.relative_to(world.dags_folder)
    elif path.startswith("$"):
        inside = PurePosixPath(*plain.parts[1:])
    elif "dags" in plain.parts:
        last = len(plain.parts) - 1 - plain.parts[::-1].index("dags")
        inside = PurePosixPath(*plain.parts[last + 1 :])
    if inside is None or inside.suffix != ".py" or not inside.stem:
        notes.refuse(
            f"the file '{path}' does not lie in the DAGs folder, from which modules are imported",
            file.at,
            "say where that folder is with --dags-folder, or write the function's import path",
        )
        return name
    module = ".".join(inside.with_suffix("").parts)
    return imported(name, f"{module}.{name.plain}", notes)


def callback(part: Part, notes: Notes, world: World) -> Part:
    """Return a callback: a function, a function with arguments, or a notifier."""
    if part.tag.startswith(_NAME_TAG):
        return value_of(part, notes, world)
    if isinstance(part.value, str):
        return imported(part, moved(part.value, world.target), notes)
    found = part.get("callback")
    if found is None or not isinstance(found.value, str):
        notes.refuse("a callback is a function's path, or a mapping with 'callback'", part.at)
        return part
    arguments = {
        key: value_of(inner, notes, world) for key, inner in part.items() if key != "callback"
    }
    path = found.value
    if not check_path(path):
        notes.refuse(f"this is no import path: {path}", found.at)
    if _is_notifier(path):
        return _call(part, path, [], arguments)
    return _call(part, "functools.partial", [imported(found, path, notes)], arguments)


def _is_notifier(path: str) -> bool:
    """Say whether a callback is a class, or another name for one, as providers' notifiers are."""
    *modules, name = path.split(".")
    return name[:1].isupper() or "notifications" in modules or "notifiers" in modules


# --- durations and dates


def duration(part: Part, what: str, notes: Notes) -> Part | None:
    """Return a length of time as text with units; None where there is none."""
    length = _length(part)
    if length is None:
        notes.leave(f"'{what}' is no length of time that DagForge reads", part.place)
        return None
    return part.of(shown_length(length))


def seconds(part: Part, what: str, notes: Notes) -> Part | None:
    """Return a number of seconds as text with units; None where it is none."""
    if isinstance(part.value, (int, float)) and not isinstance(part.value, bool):
        length = duration(part, what, notes)
        if length is not None:
            message = f"dag-factory reads '{what}' no more since its release 1.0; now it is"
            notes.leave(f"{message} {length.value}", part.place)
        return length
    notes.leave(f"'{what}' is no number of seconds", part.place)
    return None


def relative(text: str) -> datetime.timedelta | None:
    """Return the length that dag-factory reads in `2 days` or `1 hour`."""
    match = _RELATIVE.match(text)
    parts = {
        key: int(value) for key, value in (match.groupdict() if match else {}).items() if value
    }
    return datetime.timedelta(**parts) if parts else None


def _length(part: Part) -> datetime.timedelta | None:
    try:
        if isinstance(part.value, bool):
            return None
        if isinstance(part.value, (int, float)):
            return datetime.timedelta(seconds=part.value)
        if isinstance(part.value, str):
            return relative(part.value)
        made: datetime.timedelta | None = _arguments(
            part, "timedelta", _TIMEDELTA, datetime.timedelta
        )
        return made
    except (ValueError, OverflowError, TypeError):
        return None


def _arguments(part: Part, kind: str, names: tuple[str, ...], make: Callable[..., Any]) -> Any:
    """Return what a `__type__` of datetime's makes, None where it is of another type."""
    plain = part.plain
    if not isinstance(plain, dict) or plain.get(TYPE) != f"datetime.{kind}":
        return None
    given = dict(zip(names, plain.get(ARGS, ()), strict=False))
    return make(**given, **{key: inner for key, inner in plain.items() if key in names})


def shown_length(length: datetime.timedelta) -> str:
    """Return a length as DagForge's durations write it, `1h30m`."""
    whole, left = length.days * 86400 + length.seconds, length.microseconds
    texts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        texts += [f"{count}{unit}"] if count else []
    texts += [f"{left / 1000:g}ms"] if left else []
    return "".join(texts) or "0s"


def date(part: Part, what: str, notes: Notes, *, needed: bool) -> Part | None:
    """Return a date as text; None for one that moves with the clock.

    Args:
        part: as it stands there.
        what: its name.
        notes: takes what is wrong.
        needed: without a fixed date the DAG would run what it should not.
    """
    value: Any = part.value
    if isinstance(value, Mapping):
        try:
            value = _arguments(part, "datetime", _DATETIME, datetime.datetime)
        except (ValueError, OverflowError, TypeError):
            value = None
    if isinstance(value, datetime.datetime):
        # dag-factory takes the numbers and puts the DAG's own zone to them.
        whole = value.replace(tzinfo=None, microsecond=0)
        return part.of(whole.date().isoformat() if not _has_time(whole) else whole.isoformat())
    if isinstance(value, datetime.date):
        return part.of(value.isoformat())
    match = _ISO_DATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None:
        return part.of(match["date"] + (f"T{match['time']}" if match["time"] else ""))
    if isinstance(value, str) and relative(value) is not None:
        message = f"'{what}' is '{value}' ago, counted from each day anew"
        fix = f"write {what}: with a date"
    else:
        message, fix = f"'{what}' is no date that DagForge reads", "write it like 2024-01-31"
    if needed:
        notes.refuse(f"{message}, and the DAG catches up from there", part.place, fix)
    else:
        notes.leave(f"{message}; the default is taken", part.place, fix)
    return None


def _has_time(moment: datetime.datetime) -> bool:
    return (moment.hour, moment.minute, moment.second) != (0, 0, 0)


# --- assets and schedules


def assets(part: Part, notes: Notes, world: World) -> Part:
    """Return a list of assets, which dag-factory writes as URIs or as objects."""
    if isinstance(part.value, Mapping) and TYPE not in part.value:
        _refuse_asset_file(part, notes)
        return part
    listed = part if isinstance(part.value, tuple) else [part]
    return part.of(tuple(_asset(each, notes, world) for each in listed))


def _asset(part: Part, notes: Notes, world: World) -> Part:
    if isinstance(part.value, str) and not part.tag:
        path = moved("airflow.sdk.Asset", world.target)
        return _call(part, path, [], {"uri": Part(part.value.strip(), part.at)})
    return value_of(part, notes, world)


def _refuse_asset_file(part: Part, notes: Notes) -> None:
    at = part.value.get("file", part)
    notes.refuse("assets are named in another file", at.place, "write the assets' URIs here")


def schedule(part: Part, notes: Notes, world: World) -> Part:
    """Return a schedule: a cron or a preset, assets, a condition of assets, a timetable."""
    value = part.value
    if isinstance(value, str) and not part.tag:
        return part.of(None) if value.strip().lower() == "none" else part.of(value.strip())
    if isinstance(value, tuple) and not part.tag:
        listed = [each for each in part if each.value is not None and each.value != ""]
        return part.of(tuple(_asset(each, notes, world) for each in listed))
    if not isinstance(value, Mapping):
        return value_of(part, notes, world)
    length = _length(part)
    if length is not None:
        return part.of(shown_length(length))
    if "datasets" in value:
        return _asset_schedule(part, notes, world)
    if set(value) & set(_CONDITIONS):
        return _condition(part, notes, world)
    if TYPE not in value:
        notes.refuse("this is no schedule", part.place)
        return part
    return value_of(part, notes, world)


def _asset_schedule(part: Part, notes: Notes, world: World) -> Part:
    """Return `{datasets: ..., timetable: ...}`."""
    if "file" in part.value:
        _refuse_asset_file(part, notes)
        return part
    condition = _condition(part.value["datasets"], notes, world)
    timetable = part.get("timetable")
    if timetable is None:
        return part.of(condition.value)
    path, name = ("airflow.timetables.assets.AssetOrTimeSchedule", "assets")
    if not world.airflow_3:
        path, name = ("airflow.timetables.datasets.DatasetOrTimeSchedule", "datasets")
    arguments = {"timetable": value_of(timetable, notes, world), name: condition}
    return _call(part, path, [], arguments)


def _condition(part: Part, notes: Notes, world: World) -> Part:
    """Return assets that are needed together, or instead of each other."""
    if part.tag in _CONDITIONS:
        part = part.of({part.tag: part.of(part.value)})
    if isinstance(part.value, Mapping):
        for key, sign in _CONDITIONS.items():
            if key in part.value:
                each = [_condition(inner, notes, world) for inner in part.value[key]]
                return _combined(part, sign, each, world)
        return _asset(part, notes, world)
    if isinstance(part.value, tuple):
        return _combined(part, "&", [_condition(each, notes, world) for each in part], world)
    if isinstance(part.value, str):
        words = re.findall(r"[()&|]|[^\s()&|]+", part.value)
        few = words.count("(") <= _MOST_BRACKETS
        made = _either(part, words, notes, world) if few else None
        if made is None or words:
            notes.refuse(f"this condition cannot be read: {part.value}", part.at)
            return part
        return made
    return _asset(part, notes, world)


def _combined(part: Part, sign: str, each: list[Part], world: World) -> Part:
    if len(each) == 1:
        return part.of(each[0].value)
    two = ("AssetAll", "AssetAny") if world.airflow_3 else ("DatasetAll", "DatasetAny")
    module = "airflow.sdk" if world.airflow_3 else "airflow.datasets"
    return _call(part, f"{module}.{two[sign == '|']}", each, {})


def _either(part: Part, words: list[str], notes: Notes, world: World) -> Part | None:
    """Take `a | b` off the words; None where there is no such thing."""
    return _chain(part, words, "|", lambda: _both(part, words, notes, world), world)


def _both(part: Part, words: list[str], notes: Notes, world: World) -> Part | None:
    return _chain(part, words, "&", lambda: _single(part, words, notes, world), world)


def _chain(
    part: Part, words: list[str], sign: str, inner: Callable[[], Part | None], world: World
) -> Part | None:
    each = [inner()]
    while words and words[0] == sign:
        words.pop(0)
        each.append(inner())
    found = [one for one in each if one is not None]
    return _combined(Part(None, part.at), sign, found, world) if len(found) == len(each) else None


def _single(part: Part, words: list[str], notes: Notes, world: World) -> Part | None:
    word = words.pop(0) if words else ")"
    if word == "(":
        inner = _either(part, words, notes, world)
        return inner if words and words.pop(0) == ")" else None
    return None if word in "()&|" else _asset(Part(word, part.at), notes, world)
