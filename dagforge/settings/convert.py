"""Settings as YAML gives them, turned into the typed values of a plan.

`convert` is asked once for each setting of a task or DAG, after the schema has checked its type;
what is left to find wrong here is what a type cannot say: a cron that never fires, a date that
is none, a field that Kubernetes does not have.
"""

from __future__ import annotations

import datetime
import keyword
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dagforge.errors import did_you_mean, suggest
from dagforge.frozen import frozen
from dagforge.settings.schema import CALL_KEYS, describe, is_object, quote, untold
from dagforge.target import Setting, Target, for_version, version_key
from dagforge.values import Cron, Date, Every, Instance, Literal, Model, Reference

Report = Callable[[tuple[str, ...], str, str, "str | None"], None]
"""Takes the path below the setting, a code, a sentence and a fix."""

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
NAMED_SCHEDULES = ("@once", "@continuous")
UNITS = {
    "w": "weeks",
    "d": "days",
    "h": "hours",
    "m": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|w|d|h|m|s))")
_ISO_DURATION = re.compile(
    r"P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_DATE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?)?\s*(Z|[+-]\d{2}:?\d{2})?"
)
# Those that Airflow's own environment has.
_EXTENSIONS = ("jinja2.ext.do",)
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
# Python's own notion of an identifier admits any script; so does an import of such a module.
_PATH = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


@frozen
class Context:
    """What a value's meaning depends on.

    Attributes:
        timezone: of the schedule and of dates without one, IANA.
        cron_meaning: `interval` or `trigger`.
        bare_numbers: a number without a unit has the setting's `bare` unit.
        native: the orchestrator turns rendered text that reads like a Python literal into one.
        container: what a pod's own container is called.
    """

    target: Target
    timezone: str
    cron_meaning: str
    bare_numbers: bool = False
    native: bool = False
    container: str = "base"


Converter = Callable[[Setting, Any, Context, Report], Any]


def native_cron_meaning(target: Target) -> str:
    """Return what a cron means in this version of the orchestrator unless told otherwise."""
    return for_version(target.facts["cron_meaning"], target.version) or "trigger"


def convert(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    """Return the typed value of a setting.

    Args:
        setting: which one.
        value: as YAML gave it, its type already checked.
        context: what its meaning depends on.
        report: takes what is wrong; the value that then comes back means nothing.
    """
    if is_object(value) and setting.argument:
        converted = _object(value, (), report)
    else:
        _check_known(setting, value, context, report)
        converter: Converter = _CONVERTERS.get(setting.value or "", _plain)
        converted = converter(setting, value, context, report)
    if setting.as_list and not isinstance(converted, list):
        return [converted]
    return converted


def _check_known(setting: Setting, value: Any, context: Context, report: Report) -> None:
    """Refuse a value that only a later version of the orchestrator knows."""
    since = setting.enum_since.get(value) if isinstance(value, str) else None
    version = context.target.version
    if since is not None and version_key(version) < version_key(since):
        name = context.target.orchestrator.capitalize()
        message = f"{name} {version} has no {setting.name} '{value}'; it came with {since}"
        report((), "cannot-express", message, None)


def _plain(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    return templated_value(value, context, report) if setting.templated else untold(value)


def templated_value(
    value: Any, context: Context, report: Report, path: tuple[str, ...] = ()
) -> Any:
    """Return a value for a field whose strings the orchestrator reads as templates.

    Strings are templates, `{literal: text}` is not; a template that cannot be parsed is reported
    as `[airflow-template]`.
    """
    if isinstance(value, str):
        _check_template(value, context.target, report, path)
        return value
    if isinstance(value, dict):
        if set(value) == {"literal"} and isinstance(value["literal"], str):
            return literal(value["literal"], context)
        if is_object(value):
            return _object(value, path, report)
        return {
            key: templated_value(inner, context, report, (*path, key))
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [
            templated_value(inner, context, report, (*path, str(index)))
            for index, inner in enumerate(value)
        ]
    return value


def literal(text: str, context: Context) -> str | Literal:
    """Return text that must arrive as it is, marked where rendering would change it."""
    sign = context.target.sign_of_a_template
    changed = (sign is not None and sign.search(text) is not None) or (
        context.native and _reads_like_a_literal(text)
    )
    return Literal(text) if changed else text


def _reads_like_a_literal(text: str) -> bool:
    """Say whether Jinja's native rendering makes something else of plain text."""
    import ast
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.literal_eval(ast.parse(text, mode="eval"))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return text == ""
    return True


def _check_template(text: str, target: Target, report: Report, path: tuple[str, ...]) -> None:
    facts = target.facts.get("templates", {})
    if not any(mark in text for mark in facts.get("marks", ())):
        return
    from jinja2 import Environment, TemplateSyntaxError

    try:
        Environment(autoescape=False, extensions=_EXTENSIONS).parse(text)
        return
    except TemplateSyntaxError as error:
        says = str(error.message).rstrip(".")
    except RecursionError:
        says = "brackets are nested too deep"
    report(
        path,
        "airflow-template",
        f"{describe(text)} is a template of Airflow that it cannot read: {says}",
        "mend it, or write {literal: ...} when it is plain text",
    )


# --- durations, dates, schedules


def parse_duration(text: str) -> datetime.timedelta | None:
    """Return the length that `5m`, `1h30m` or an ISO 8601 duration says, else None.

    Months and years are refused: they have no fixed length.
    """
    parts = _DURATION.findall(text)
    try:
        if parts and "".join(number + unit for number, unit in parts) == text:
            if len({unit for _, unit in parts}) < len(parts):
                return None
            total = datetime.timedelta()
            for number, unit in parts:
                total += datetime.timedelta(**{UNITS[unit]: float(number)})
            return total
        iso = _ISO_DURATION.fullmatch(text)
        if iso and any(iso.groupdict().values()) and not text.endswith("T"):
            given = {unit: float(n) for unit, n in iso.groupdict().items() if n is not None}
            return datetime.timedelta(**given)
    except OverflowError:
        return None
    return None


def _duration(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    if isinstance(value, list):
        return [_duration(setting, inner, context, report) for inner in value]
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        unit = setting.bare if context.bare_numbers else None
        if unit is None and setting.unit and setting.name.endswith(f"_{setting.unit}"):
            unit = setting.unit
        number = f"{value:g}" if isinstance(value, float) else str(value)[:20]
        if unit is None or value != value or value in (float("inf"), float("-inf")):
            message = f"'{setting.name}' is {number}, but {number} what?"
            report((), "no-unit", message, f"write the unit, such as {number}m or {number}s")
            return None
        try:
            length = datetime.timedelta(**{unit: value})
        except OverflowError:
            report((), "wrong-value", f"'{setting.name}' is too long: {number} {unit}", None)
            return None
    else:
        parsed = parse_duration(value)
        if parsed is None:
            message = f"'{setting.name}' is {describe(value)}, which is no duration"
            report((), "wrong-value", message, _duration_fix(value))
            return None
        length = parsed
    if length < datetime.timedelta():
        report((), "wrong-value", f"'{setting.name}' is negative", None)
        return None
    if setting.unit == "seconds":
        seconds = length.total_seconds()
        return int(seconds) if seconds.is_integer() else seconds
    return length


def _duration_fix(text: str) -> str:
    units = [unit for _, unit in _DURATION.findall(text)]
    if units and not _DURATION.sub("", text):
        several = len(set(units)) < len(units)
        return "write each unit once" if several else "the longest duration is 999999999d"
    words = re.fullmatch(r"\s*(\d+)\s*([a-zA-Z]+)\s*", text)
    if words:
        unit = words[2].lower()
        by_word = {name: short for short, name in UNITS.items()}
        by_word |= {"min": "m", "mins": "m", "sec": "s", "secs": "s", "hr": "h", "hrs": "h"}
        short = by_word.get(unit) or by_word.get(unit + "s") or (unit if unit in UNITS else None)
        if short:
            return f"write {words[1]}{short}"
    return "write it like 30s, 5m, 1h30m, 2d or PT5M"


def _date(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        if not (
            3 <= len(value) <= 7
            and all(isinstance(part, int) and not isinstance(part, bool) for part in value)
        ):
            message = (
                f"'{setting.name}' must be [year, month, day], with hour and minute if need be"
            )
            report((), "wrong-value", message, "write whole numbers, as in [2024, 1, 31]")
            return None
        return _checked_date(setting, tuple(value), context.timezone, report)
    match = _DATE.fullmatch(value.strip())
    if match is None:
        message = f"'{setting.name}' is {describe(value)}, which is no date"
        fix = "write 2024-01-31 or 2024-01-31T06:00"
        if re.search(r"day|now|ago|tomorrow|week|{{", value):
            fix = (
                "a DAG needs a fixed date, one that moves with the clock never starts: "
                "write 2024-01-31"
            )
        report((), "wrong-value", message, fix)
        return None
    *numbers, fraction, offset = match.groups()
    parts = tuple(int(number) for number in numbers if number is not None)
    if fraction is not None:
        parts = (*parts, int(fraction.ljust(6, "0")))
    zone = context.timezone
    if offset is not None:
        moved = _to_utc(parts, offset)
        if moved is None:
            message = f"'{setting.name}' is {describe(value)}, which is no date"
            report((), "wrong-value", message, "write 2024-01-31 or 2024-01-31T06:00")
            return None
        parts, zone = moved, "UTC"
    return _checked_date(setting, parts, zone, report)


def _to_utc(parts: tuple[int, ...], offset: str) -> tuple[int, ...] | None:
    sign = -1 if offset.startswith("-") else 1
    digits = offset.lstrip("+-").replace(":", "")
    # Python's own limit; the widest in use is +14:00.
    if offset != "Z" and (int(digits[:2]) > 23 or int(digits[2:]) > 59):
        return None
    shift = (
        datetime.timedelta()
        if offset == "Z"
        else sign * datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    )
    try:
        moment = _moment(parts) - shift
    except (ValueError, OverflowError):
        return None
    return tuple(moment.timetuple()[:6]) + ((moment.microsecond,) if moment.microsecond else ())


def _moment(parts: tuple[int, ...]) -> datetime.datetime:
    filled = (*parts, *(0,) * (7 - len(parts)))
    year, month, day, hour, minute, second, microsecond = filled
    return datetime.datetime(year, month, day, hour, minute, second, microsecond)


def _checked_date(setting: Setting, parts: tuple[int, ...], zone: str, report: Report) -> Any:
    try:
        _moment(parts)
    except (ValueError, OverflowError) as error:
        says = "a number is too large" if isinstance(error, OverflowError) else str(error)
        message = f"'{setting.name}' is no date: {says}"
        report((), "wrong-value", message, "write 2024-01-31")
        return None
    if parts[0] in (datetime.MINYEAR, datetime.MAXYEAR) and not _has_moment(parts, zone):
        message = f"'{setting.name}' is not within the years 1 to 9999 in UTC"
        report((), "wrong-value", message, "write 2024-01-31")
        return None
    while len(parts) > 3 and parts[-1] == 0:
        parts = parts[:-1]
    return Date(parts, zone)


def _has_moment(parts: tuple[int, ...], zone: str) -> bool:
    """Say whether a time of a zone is a moment that Airflow can hold, which it does in UTC."""
    if not check_timezone(zone):
        return True
    from zoneinfo import ZoneInfo

    try:
        _moment(parts).replace(tzinfo=ZoneInfo(zone)).astimezone(datetime.timezone.utc)
    except OverflowError:
        return False
    return True


def _schedule(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        if not value:
            report((), "bad-schedule", "an empty list is no schedule", _schedule_fix(""))
        return [_scheduling_object(inner, (str(i),), report) for i, inner in enumerate(value)]
    if isinstance(value, dict):
        report(
            (),
            "wrong-value",
            f"'{setting.name}' is a mapping that is no object",
            "write a cron, a preset, a duration, or {import: ...} or {call: ..., args: ...}",
        )
        return None
    text = value.strip()
    named = context.target.facts.get("named_schedules", NAMED_SCHEDULES)
    if text in named:
        return text
    if text in NAMED_SCHEDULES:
        message = f"{context.target.orchestrator.capitalize()} has no schedule '{text}'"
        report((), "cannot-express", message, "write a cron or a duration, or null for never")
        return None
    if text.startswith("@"):
        if text not in PRESETS:
            message = f"there is no schedule '{text}'"
            near = did_you_mean(text, [*PRESETS, *named])
            report((), "bad-schedule", message, near or _SCHEDULE_FIX)
            return None
        return Cron(PRESETS[text], context.timezone, context.cron_meaning)
    length = parse_duration(text)
    if length is not None:
        if length <= datetime.timedelta():
            report((), "bad-schedule", "a schedule must be longer than nothing", None)
            return None
        meanings = for_version(context.target.facts["durations"], context.target.version) or ()
        if context.cron_meaning not in meanings:
            report(
                (),
                "cannot-express",
                f"{context.target.orchestrator.capitalize()} {context.target.version} reads a "
                f"duration as {' or '.join(meanings)} only",
                "write a cron, or leave out cron_meaning",
            )
        return Every(length, context.cron_meaning)
    if len(text.split()) != 5:
        report((), "bad-schedule", f"{describe(value)} is no schedule", _schedule_fix(text))
        return None
    return _cron(text, context, report)


def _schedule_fix(text: str) -> str:
    if text.lower() in ("none", "null", "never", ""):
        return "write null for a DAG that never starts by itself"
    near = did_you_mean("@" + text.lower(), PRESETS)
    if near and near.startswith("did"):
        return near
    if len(text.split()) in (6, 7):
        return "a cron has five fields: minute hour day month weekday (no seconds, no year)"
    return _SCHEDULE_FIX


_SCHEDULE_FIX = (
    'write a cron such as "0 6 * * *", a preset such as "@daily", or a duration such as 6h'
)


def _scheduling_object(value: Any, path: tuple[str, ...], report: Report) -> Any:
    """Return an object of a list of schedules, which is for assets: it holds no second cron."""
    if is_object(value):
        return _object(value, path, report)
    message = f"a list of schedules holds objects such as assets, not {describe(value)}"
    report(path, "bad-schedule", message, "write one schedule without the list")
    return None


def _cron(text: str, context: Context, report: Report) -> Any:
    from croniter import CroniterError, croniter

    fields = text.split()
    if any(re.search(r"(?<![A-Za-z])[RHrh](?![A-Za-z])", part) for part in fields):
        message = f"the cron '{text}' has a random field"
        report((), "bad-schedule", message, "choose the minute or hour: Airflow would choose anew")
        return None
    lacks = context.target.facts.get("cron_days_lack", ())
    if any(sign in fields[2].upper() for sign in lacks):
        name = context.target.orchestrator.capitalize()
        message = f"{name} cannot read the day '{fields[2]}' of the cron '{text}'"
        report((), "cannot-express", message, "write the day as a number")
        return None
    try:
        # A fixed moment: what is right must not depend on the day it is checked.
        croniter(text, datetime.datetime(2024, 1, 1)).get_next()
    except CroniterError as error:
        reason = str(error)
        if "failed to find next date" in reason:
            report((), "bad-schedule", f"the cron '{text}' never fires", "no month has that day")
        else:
            report((), "bad-schedule", f"the cron '{text}' is wrong: {reason}", _CRON_FIX)
        return None
    except (ValueError, KeyError, IndexError, OverflowError, AttributeError) as error:
        report((), "bad-schedule", f"the cron '{text}' is wrong: {error}", _CRON_FIX)
        return None
    return Cron(" ".join(fields), context.timezone, context.cron_meaning)


_CRON_FIX = "minute 0-59, hour 0-23, day 1-31, month 1-12, weekday 0-7"


def check_timezone(name: str) -> bool:
    """Say whether an IANA time zone of this name exists."""
    if name == "UTC":
        return True
    # Names that mean another zone, or none, on the machine that runs the DAG.
    if name.startswith(_NOT_ZONES):
        return False
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


_NOT_ZONES = ("localtime", "posixrules", "posix/", "right/")


def _timezone(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    if not check_timezone(value):
        from zoneinfo import available_timezones

        known = [name for name in available_timezones() if not name.startswith(_NOT_ZONES)]
        fix = _timezone_fix(value, known)
        report((), "wrong-value", f"'{setting.name}': there is no time zone '{value}'", fix)
    return value


def _timezone_fix(text: str, known: Sequence[str]) -> str:
    """Return what to write for a name that is no time zone.

    A short name is no misspelt one: CEST resembles EST, and UTC+2 resembles UTC.
    """
    offset = re.fullmatch(r"(?:UTC|GMT)?([+-])0?(\d{1,2})(?::?00)?", text.strip(), re.IGNORECASE)
    if offset and 1 <= int(offset[2]) <= 12:
        # The names of Etc say how far Greenwich is ahead, and so the other sign.
        zone = f"Etc/GMT{'+' if offset[1] == '-' else '-'}{int(offset[2])}"
        return f"write {zone}, whose sign is the other way round, or a place such as Europe/Warsaw"
    word = text.strip().replace(" ", "_").casefold()
    names = [name for name in known if name.casefold() == word]
    places = names or sorted(name for name in known if _place(name) == word)
    near = f"did you mean '{places[0]}'?" if places else None
    if near is None and "/" in text:
        near = did_you_mean(text, known)
    return near or "write an IANA name such as Europe/Warsaw"


def _place(zone: str) -> str:
    return zone.rpartition("/")[2].casefold()


# --- objects


def check_path(path: object) -> bool:
    """Say whether a text is the import path of something inside a module."""
    if not isinstance(path, str):
        return False
    module, colon, name = path.partition(":")
    whole = f"{module}.{name}" if colon else path
    if not _PATH.fullmatch(whole) or "." not in whole:
        return False
    return not any(keyword.iskeyword(part) for part in whole.split("."))


def _object(value: Mapping[str, Any], path: tuple[str, ...], report: Report) -> Any:
    key = "import" if "import" in value else "call"
    dotted = value[key]
    if not check_path(dotted):
        message = f"`{key}: {_shown(dotted)}` is no import path"
        report(
            (*path, key), "bad-import", message, 'write module:name, such as "team.alerts:notify"'
        )
        return None
    if key == "import":
        return Reference(dotted)
    arguments = {} if value.get("args") is None else value["args"]
    positional = [] if value.get("positional") is None else value["positional"]
    if not isinstance(positional, list):
        message = f"`positional` of '{dotted}' must be a list of values"
        report((*path, "positional"), "wrong-type", message, "write positional: [value]")
        return None
    if not isinstance(arguments, dict):
        message = f"`args` of '{dotted}' must map argument names to values"
        report((*path, "args"), "wrong-type", message, "write args: {name: value}")
        return None
    for name in arguments:
        if not name.isidentifier() or keyword.iskeyword(name):
            message = f"'{name}' cannot be an argument of '{dotted}'"
            report((*path, "args", name), "wrong-value", message, "write a Python name")
    return Instance(
        dotted,
        {
            name: _object_or_plain(inner, (*path, "args", name), report)
            for name, inner in arguments.items()
        },
        tuple(_object_or_plain(positional, (*path, "positional"), report)),
    )


def _shown(value: object) -> str:
    if not isinstance(value, str):
        return describe(value)
    return value if value.isprintable() else ascii(value)


def _object_or_plain(value: Any, path: tuple[str, ...], report: Report) -> Any:
    """Return a free value with the objects in it, at any depth."""
    if is_object(value):
        return _object(value, path, report)
    if isinstance(value, dict):
        if set(value) == {"literal"} and isinstance(value["literal"], str):
            return value["literal"]
        return {key: _object_or_plain(inner, (*path, key), report) for key, inner in value.items()}
    if isinstance(value, list):
        return [
            _object_or_plain(inner, (*path, str(index)), report)
            for index, inner in enumerate(value)
        ]
    return value


def _free_setting(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    return _object_or_plain(value, (), report)


def _object_setting(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    """Return an object, or several; `weight_rule: upstream` and the like stay text."""
    if isinstance(value, list):
        return [_checked_object(inner, (str(i),), report) for i, inner in enumerate(value)]
    return _checked_object(value, (), report) if isinstance(value, dict) else value


def _checked_object(value: Any, path: tuple[str, ...], report: Report) -> Any:
    if is_object(value):
        return _object(value, path, report)
    fix = "write {import: ...}, or {call: ..., args: ...}"
    if isinstance(value, dict) and ("call" in value or "import" in value):
        allowed = CALL_KEYS if "call" in value else ("import",)
        odd = next(key for key in value if key not in allowed)
        message = f"an object has no '{odd}' beside '{allowed[0]}'"
        near = did_you_mean(odd, allowed) if "call" in value else None
        report((*path, odd), "wrong-value", message, near or fix)
    else:
        if check_path(value):
            fix = f'write {{import: "{value}"}}'
        report(path, "wrong-type", f"this must be an object, not {describe(value)}", fix)
    return None


def _params(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    params: dict[str, Any] = {}
    for name, entry in value.items():
        described = isinstance(entry, dict) and "default" in entry and not is_object(entry)
        if described and "Param" in context.target.imports:
            _check_json_schema(entry, (name,), report)
            params[name] = Instance("Param", _object_or_plain(entry, (name,), report))
        else:
            params[name] = _object_or_plain(entry, (name,), report)
    return params


def json_schema(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema in a run parameter, which Airflow holds its values against."""
    return {key: value for key, value in entry.items() if key not in ("default", "description")}


def _check_json_schema(entry: Mapping[str, Any], path: tuple[str, ...], report: Report) -> None:
    """Report what is no JSON Schema in a run parameter: Airflow then loads no part of the DAG."""
    schema = json_schema(entry)
    types = schema.get("type")
    for index, name in enumerate(types if isinstance(types, list) else [types]):
        if isinstance(name, str) and name not in _JSON_TYPES:
            near = _PYTHON_TYPES.get(name.casefold())
            fix = f"did you mean '{near}'?" if near else did_you_mean(name, _JSON_TYPES)
            part = (str(index),) if isinstance(types, list) else ()
            message = f"JSON Schema has no type '{_shown(name)}'"
            report((*path, "type", *part), "wrong-value", message, fix)
            return
    import jsonschema_rs

    try:
        jsonschema_rs.meta.validate(schema)
    except jsonschema_rs.ValidationError as error:
        inner = tuple(str(part) for part in error.instance_path)
        message = f"the parameter '{path[0]}' is no JSON Schema: {error.message}"
        report((*path, *inner), "wrong-value", message, None)


_JSON_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")
_PYTHON_TYPES = {
    "str": "string",
    "text": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
    "none": "null",
}


# --- Kubernetes


def _model_setting(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    if value is None:
        return None
    assert setting.model is not None, setting.name
    if isinstance(value, list):
        return [
            _object_or_model(setting, inner, (str(index),), context, report)
            for index, inner in enumerate(value)
        ]
    return _object_or_model(setting, value, (), context, report)


def _object_or_model(
    setting: Setting, value: Any, path: tuple[str, ...], context: Context, report: Report
) -> Any:
    if is_object(value):
        return _object(value, path, report)
    assert setting.model is not None
    model = kubernetes_model(
        setting.model, value, context, report, path, rendered=setting.templated
    )
    spec = model.fields.get("spec") if setting.model == "V1Pod" and model else None
    if isinstance(spec, Model) and isinstance(containers := spec.fields.get("containers"), list):
        own = Model("V1Container", {"name": context.container})
        fields = {**spec.fields, "containers": _own_first(containers, own)}
        return Model("V1Pod", {**model.fields, "spec": Model("V1PodSpec", fields)})
    return model


def kubernetes_model(
    type_name: str,
    value: Any,
    context: Context,
    report: Report,
    path: tuple[str, ...] = (),
    *,
    rendered: bool,
) -> Any:
    """Return Kubernetes YAML (camelCase) as a model of the Kubernetes client.

    Args:
        type_name: of the client's class.
        value: as YAML gave it.
        context: its target knows the classes, and their fields that the orchestrator renders.
        report: takes what is wrong.
        path: of the value, below the setting.
        rendered: the orchestrator looks for templates here.
    """
    target = context.target
    model = target.kubernetes_models[type_name]
    what = f"{'an' if type_name[2] in 'AEIO' else 'a'} {type_name[2:]}"
    if not isinstance(value, dict):
        report(path, "wrong-type", f"{what} is a mapping, not {describe(value)}", None)
        return None
    fields: dict[str, Any] = {}
    meant: set[str | None] = set()
    by_name = model["fields"]
    by_snake = {entry[0]: name for name, entry in by_name.items()}
    for key, inner in value.items():
        name = key if key in by_name else by_snake.get(key)
        if name is None:
            message = f"{what} has no '{key}'"
            report((*path, key), "unknown-setting", message, did_you_mean(key, by_name))
            meant.add(suggest(key, by_name))
            continue
        snake, field_type, *rest = by_name[name]
        here = rendered and name in target.facts["templates"]["rendered_fields"].get(type_name, ())
        fields[snake] = _field(field_type, inner, context, report, (*path, key), here)
        if rest and isinstance(inner, str) and inner not in rest[0]:
            fix = did_you_mean(inner, rest[0]) or f"one of {', '.join(rest[0])}"
            report((*path, key), "wrong-value", f"'{key}' cannot be {describe(inner)}", fix)
    for name in model["required"]:
        if by_name[name][0] not in fields and name not in meant:
            report(path, "missing-setting", f"{what} needs '{name}'", None)
    return Model(type_name, fields)


def _field(
    field_type: str,
    value: Any,
    context: Context,
    report: Report,
    path: tuple[str, ...],
    rendered: bool,
) -> Any:
    """Return a model's field; in one that is `rendered`, text is a template."""
    inner = re.fullmatch(r"list\[(.+)\]", field_type)
    if inner:
        if not isinstance(value, list):
            report(path, "wrong-type", f"'{path[-1]}' must be a list, not {describe(value)}", None)
            return None
        return [
            _field(inner[1], item, context, report, (*path, str(index)), rendered)
            for index, item in enumerate(value)
        ]
    inner = re.fullmatch(r"dict\(str, (.+)\)", field_type)
    if inner:
        if not isinstance(value, dict):
            message = f"'{path[-1]}' must be a mapping, not {describe(value)}"
            report(path, "wrong-type", message, None)
            return None
        return {
            key: _field(inner[1], item, context, report, (*path, key), rendered)
            for key, item in value.items()
        }
    if field_type in context.target.kubernetes_models:
        return kubernetes_model(field_type, value, context, report, path, rendered=rendered)
    if isinstance(value, dict) and set(value) == {"literal"}:
        text = value["literal"]
        value = literal(text, context) if rendered and isinstance(text, str) else text
        if isinstance(value, Literal):
            return value
    elif rendered and isinstance(value, str):
        _check_template(value, context.target, report, path)
    types: dict[str, tuple[type, ...]] = {
        "str": (str,),
        "int": (int,),
        "bool": (bool,),
        "float": (int, float),
    }
    expected = types.get(field_type)
    if expected is not None and (
        not isinstance(value, expected) or (isinstance(value, bool) and field_type != "bool")
    ):
        wanted = {"str": "text", "int": "a whole number", "bool": "true or false"}
        fix = quote(value) if field_type == "str" else None
        message = (
            f"'{path[-1]}' must be {wanted.get(field_type, 'a number')}, not {describe(value)}"
        )
        report(path, "wrong-type", message, fix)
    return value


def _pod(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    # Only its form is looked at; what is passed on is the YAML itself.
    kubernetes_model("V1Pod", value, context, _without_missing(report), rendered=False)
    pod = templated_value(value, context, report) if setting.templated else untold(value)
    spec = pod.get("spec")
    if isinstance(spec, dict):
        own = {"name": context.container}
        containers = _own_first(spec.get("containers") or [], own)
        pod = {**pod, "spec": {**spec, "containers": containers}}
    return pod


def _own_first(containers: Sequence[Any], own: Any) -> list[Any]:
    """Return containers with the task's own, or `own` in its place, before all others.

    The operator lays the task's container over the first one, whatever that is called.
    """

    def name(container: Any) -> Any:
        fields = container.fields if isinstance(container, Model) else container
        return fields.get("name") if isinstance(fields, Mapping) else None

    names = [name(each) for each in containers]
    if name(own) in names:
        return sorted(containers, key=lambda each: name(each) != name(own))
    return [own, *containers] if any(names) else list(containers)


def _without_missing(report: Report) -> Report:
    """Return a report that lets gaps pass: an override of a pod need not be whole."""

    def forward(path: tuple[str, ...], code: str, message: str, fix: str | None) -> None:
        if code != "missing-setting":
            report(path, code, message, fix)

    return forward


def _env_vars(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    for name in value:
        if not _ENV_NAME.fullmatch(name):
            message = f"'{name}' cannot be the name of an environment variable"
            report((name,), "wrong-value", message, "letters, digits, '_', '.' and '-'")
    plain: dict[str, Any] = {}
    references = False
    for name, entry in value.items():
        if isinstance(entry, dict) and set(entry) != {"literal"}:
            references = True
            plain[name] = kubernetes_model(
                "V1EnvVar",
                {"name": name, **entry},
                context,
                report,
                (name,),
                rendered=setting.templated,
            )
        else:
            plain[name] = templated_value(entry, context, report, (name,))
    if not references:
        return plain
    return [
        entry if isinstance(entry, Model) else Model("V1EnvVar", {"name": name, "value": entry})
        for name, entry in plain.items()
    ]


# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_NAME = re.compile(
    r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)


def _labels(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    marks = context.target.facts["templates"]["marks"]
    for name, text in value.items():
        if not _LABEL_NAME.fullmatch(name):
            message = f"Kubernetes does not take '{name}' as the name of a label"
            report((name,), "wrong-value", message, "letters, digits, '-', '_' and '.', at most 63")
        is_template = setting.templated and isinstance(text, str) and any(m in text for m in marks)
        if isinstance(text, str) and not is_template and not _LABEL_VALUE.fullmatch(text):
            message = f"Kubernetes does not take {describe(text)} as the value of label '{name}'"
            fix = "letters, digits, '-', '_' and '.', at most 63; other text can be an annotation"
            report((name,), "wrong-value", message, fix)
    return _plain(setting, value, context, report)


def _secrets(setting: Setting, value: Any, context: Context, report: Report) -> Any:
    found: list[Any] = []
    for index, entry in enumerate(value):
        if is_object(entry):
            found.append(_object(entry, (str(index),), report))
            continue
        order = ("deploy_type", "deploy_target", "secret", "key")
        arguments = {name: entry[name] for name in order if name in entry}
        if entry.get("deploy_type") == "volume" and not entry.get("deploy_target"):
            message = (
                "a secret deployed as a volume needs `deploy_target`, the folder it appears in"
            )
            report((str(index),), "missing-setting", message, None)
        # The operator's own signature has no default for it.
        arguments.setdefault("deploy_target", None)
        found.append(
            Instance("Secret", {name: arguments[name] for name in order if name in arguments})
        )
    return found


_CONVERTERS: dict[str, Converter] = {
    "duration": _duration,
    "date": _date,
    "schedule": _schedule,
    "timezone": _timezone,
    "object": _object_setting,
    "free": _free_setting,
    "params": _params,
    "model": _model_setting,
    "pod": _pod,
    "env_vars": _env_vars,
    "secret": _secrets,
    "labels": _labels,
}


def strings_in(value: Any) -> Iterator[str]:
    """Yield every string in a nest of mappings and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from strings_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from strings_in(inner)
