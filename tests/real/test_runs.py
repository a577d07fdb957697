"""The runs that `dagforge diff` tells of are those that real timetables plan."""

from __future__ import annotations

import datetime
import itertools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dagforge.compare.runs import Calendar, Moment, Run, first_runs, next_runs
from dagforge.values import Cron, Date, Every
from tests.real.environments import python_of

PROBE = Path(__file__).parent / "probes" / "timetables.py"
COUNT = 5

CRONS = [
    ("0 6 * * *", "UTC"),
    ("30 2 * * *", "Europe/Warsaw"),
    ("15 2 * * *", "America/New_York"),
    ("*/20 * * * *", "Europe/Warsaw"),
    ("0 * * * *", "America/New_York"),
    ("0 0-23 * * *", "Europe/Warsaw"),
    ("0 0 31 * *", "Asia/Tokyo"),
    ("0 9 1-7 * 1", "Australia/Lord_Howe"),
    ("0 0 29 2 *", "UTC"),
]
STARTS = [(2024, 1, 1), (2024, 3, 30, 12, 30), (2024, 10, 26, 20)]
NOWS = [
    "2024-03-31T00:15:00+00:00",
    "2024-03-10T06:30:00+00:00",
    "2024-10-27T00:30:00+00:00",
    "2024-10-27T01:00:00+00:00",
    "2024-11-03T05:30:00+00:00",
    "2025-06-15T06:00:00+00:00",
]


def calendars(version: str) -> list[Calendar]:
    """Return schedules of every kind, over changes of the clock and around their bounds."""
    found = []
    ends = (None, Date((2024, 3, 31, 3), "UTC"))
    for meaning, catchup in itertools.product(("interval", "trigger"), (False, True)):
        for (expression, zone), start in itertools.product(CRONS, STARTS):
            cron = Cron(expression, zone, meaning)
            bounds = ends if start == STARTS[1] else ends[:1]
            found += [Calendar(cron, Date(start, zone), end, catchup) for end in bounds]
        if meaning == "trigger" and version == "2.10":
            continue
        for hours, start in itertools.product((6, 5, 24 * 7), STARTS):
            every = Every(datetime.timedelta(hours=hours), meaning)
            found.append(Calendar(every, Date(start, "Europe/Warsaw"), None, catchup))
    return found


def question(calendar: Calendar, now: str | None) -> dict[str, Any]:
    schedule, start, end = calendar.schedule, calendar.start_date, calendar.end_date
    assert start is not None
    word = "DataInterval" if schedule.meaning == "interval" else "Trigger"
    asked: dict[str, Any] = {
        "start_date": text_of(start),
        "end_date": None if end is None else text_of(end),
        "catchup": calendar.catchup,
        "now": now,
        "count": COUNT,
    }
    if isinstance(schedule, Cron):
        asked["timetable"] = f"Cron{word}Timetable"
        asked["arguments"] = [schedule.expression]
        asked["named"] = {"timezone": schedule.timezone}
    else:
        asked["timetable"] = f"Delta{word}Timetable"
        asked["named"] = {"delta": schedule.length.total_seconds()}
    return asked


def text_of(date: Date) -> str:
    from zoneinfo import ZoneInfo

    year, month, day, hour, minute = (*date.parts, 0, 0)[:5]
    return datetime.datetime(
        year, month, day, hour, minute, tzinfo=ZoneInfo(date.timezone)
    ).isoformat()


def plain(runs: tuple[Run, ...]) -> list[list[str]]:
    def text(moment: Moment) -> str:
        return moment.isoformat()

    return [[text(run.at), text(run.start), text(run.end)] for run in runs]


@pytest.mark.parametrize("version", ["2.10", "3.0", "3.3"])
def test_runs_are_those_of_the_real_timetables(version: str, tmp_path: Path) -> None:
    asked: list[tuple[Calendar, str | None]] = []
    for calendar in calendars(version):
        nows = [now for now in NOWS if can_be_asked(calendar, now)]
        asked += [(calendar, now) for now in (None, *nows)]
    done = subprocess.run(
        [str(python_of(f"airflow-{version}")), str(PROBE)],
        input=json.dumps([question(*each) for each in asked]),
        capture_output=True,
        text=True,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    wrong = []
    for (calendar, now), real in zip(asked, json.loads(done.stdout), strict=True):
        if now is None:
            ours = first_runs(calendar, COUNT)
        else:
            ours = next_runs(calendar, datetime.datetime.fromisoformat(now), COUNT)
        if plain(ours) != real:
            wrong.append((calendar, now, plain(ours), real))
    assert len(asked) > 400
    assert wrong == []


def can_be_asked(calendar: Calendar, now: str) -> bool:
    """Say whether the runs after a moment depend on nothing but the calendar, and are not too far.

    A duration as trigger is counted from the first run, unless Airflow catches up.
    """
    assert calendar.start_date is not None
    if not calendar.catchup:
        return isinstance(calendar.schedule, Cron) or calendar.schedule.meaning == "interval"
    start = datetime.datetime.fromisoformat(text_of(calendar.start_date))
    return datetime.datetime.fromisoformat(now) - start < datetime.timedelta(days=3)
