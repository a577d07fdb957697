"""Print, as JSON, the runs that this environment's timetables plan.

Runs inside a real Airflow. Standard input is a list of `{"timetable": path, "arguments": [...],
"named": {...}, "start_date": ..., "end_date": ..., "catchup": ..., "now": ..., "count": ...}`;
`delta` in `named` is a number of seconds. Without `now` the runs are those that a catching-up
Airflow plans from the start; with it, those after this moment.
"""

from __future__ import annotations

import datetime
import json
import sys
from typing import Any
from unittest import mock

import pendulum


def moment(text: str | None) -> Any:
    return None if text is None else pendulum.parse(text)


def at(clock: Any) -> Any:
    """Let it be a moment in every timetable."""
    from airflow.timetables import interval, trigger

    def now() -> Any:
        return clock

    places = [(module, "utcnow") for module in (interval, trigger) if hasattr(module, "utcnow")]
    if hasattr(trigger, "timezone"):
        places.append((trigger.timezone, "utcnow"))
    return [mock.patch.object(place, name, now) for place, name in places]


def runs(question: dict[str, Any]) -> list[list[str]]:
    """Return `[run_after, start, end]` of each run."""
    from airflow.timetables import interval, trigger
    from airflow.timetables.base import TimeRestriction

    named = dict(question.get("named", {}))
    arguments = list(question.get("arguments", ()))
    if "delta" in named:
        arguments.append(datetime.timedelta(seconds=named.pop("delta")))
    module = interval if "Interval" in question["timetable"] else trigger
    table = getattr(module, question["timetable"])(*arguments, **named)
    now = moment(question.get("now"))
    catchup = question["catchup"] or now is None
    restriction = TimeRestriction(
        moment(question["start_date"]), moment(question.get("end_date")), catchup
    )
    last: Any = None
    found: list[list[str]] = []
    for patch in at(now or pendulum.datetime(2000, 1, 1)):
        patch.start()
    try:
        for _ in range(100_000):
            info = table.next_dagrun_info(
                last_automated_data_interval=last, restriction=restriction
            )
            if info is None or len(found) == question["count"]:
                break
            last = info.data_interval
            if now is None or info.run_after > now:
                times = (info.run_after, last.start, last.end)
                found.append([each.in_timezone("UTC").isoformat() for each in times])
    finally:
        mock.patch.stopall()
    return found


def main() -> None:
    """Answer the questions on standard input."""
    answer, sys.stdout = sys.stdout, sys.stderr
    json.dump([runs(question) for question in json.load(sys.stdin)], answer)


if __name__ == "__main__":
    main()
