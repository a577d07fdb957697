"""When a schedule starts runs, as Airflow's own timetables compute it.

`tests/real/test_runs.py` holds every function here against the timetables of each Airflow.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator
from typing import Any, Final

from dagforge.frozen import frozen
from dagforge.values import Cron, Date, Every

Moment = datetime.datetime
"""In UTC."""
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


@frozen
class Run:
    """One run: when it starts, and its data interval, whose start is the logical date."""

    at: Moment
    start: Moment
    end: Moment


@frozen
class Calendar:
    """What decides when a DAG runs.

    Attributes:
        schedule: as in `dagforge.values`, or anything else.
    """

    schedule: Any
    start_date: Date | None
    end_date: Date | None = None
    catchup: bool = False


def moment_of(date: Date) -> Moment:
    """Return the moment that a date of the plan is."""
    parts = (*date.parts, *(0,) * (7 - len(date.parts)))
    year, month, day, hour, minute, second, microsecond = parts
    naive = datetime.datetime(year, month, day, hour, minute, second, microsecond)
    return _aware(naive, date.timezone)


def can_tell(schedule: Any) -> bool:
    """Say whether the moments of a schedule can be computed."""
    return isinstance(schedule, (Cron, Every))


def first_runs(calendar: Calendar, count: int) -> tuple[Run, ...]:
    """Return the first runs of a DAG that Airflow knew before its start_date.

    Empty when the schedule has no moments of its own.
    """
    if not can_tell(calendar.schedule) or calendar.start_date is None:
        return ()
    return tuple(itertools.islice(_runs_from(calendar, moment_of(calendar.start_date)), count))


def next_runs(calendar: Calendar, after: Moment, count: int) -> tuple[Run, ...]:
    """Return the first runs after a moment, of a DAG that has run until then.

    Empty when the schedule has no moments of its own, or when they depend on the moment at which
    Airflow first saw the DAG: a duration as trigger, without catchup.
    """
    schedule = calendar.schedule
    if not can_tell(schedule):
        return ()
    start = None if calendar.start_date is None else moment_of(calendar.start_date)
    if start is not None and after < start:
        # A run at the very start_date is still to come.
        return first_runs(calendar, count)
    if isinstance(schedule, Every):
        if calendar.catchup and start is not None:
            begun = (after - start) // schedule.length
            base = start + begun * schedule.length
        elif schedule.meaning == "trigger":
            return ()
        else:
            # Airflow aligns a duration with 1970 when it does not catch up.
            base = _EPOCH + ((after - _EPOCH) // schedule.length - 1) * schedule.length
            base = base if start is None else max(base, start)
    else:
        base = _previous(schedule, after)
        base = _previous(schedule, base)
        base = base if start is None else max(base, start)
    following = (run for run in _runs_from(calendar, base) if run.at > after)
    return tuple(itertools.islice(following, count))


def _runs_from(calendar: Calendar, base: Moment) -> Iterator[Run]:
    """Yield the runs of a schedule with moments, the first one at or after `base`."""
    schedule = calendar.schedule
    last = None if calendar.end_date is None else moment_of(calendar.end_date)
    tick = _align(schedule, base)
    while last is None or tick <= last:
        try:
            following = _next(schedule, tick)
        except OverflowError:
            return
        if schedule.meaning == "interval":
            yield Run(following, tick, following)
        else:
            yield Run(tick, tick, tick)
        tick = following


def runs_between(calendar: Calendar, until: Moment, at_most: int) -> int:
    """Return how many runs Airflow would catch up on until a moment, `at_most` or fewer."""
    if not can_tell(calendar.schedule) or calendar.start_date is None:
        return 0
    runs = _runs_from(calendar, moment_of(calendar.start_date))
    past = itertools.takewhile(lambda run: run.at <= until, runs)
    return sum(1 for _ in itertools.islice(past, at_most))


# --- the moments of one schedule


def _align(schedule: Cron | Every, moment: Moment) -> Moment:
    """Return the first moment of the schedule that is not before `moment`."""
    if isinstance(schedule, Every):
        return moment
    following = _next(schedule, moment)
    return moment if _previous(schedule, following) == moment else following


def _next(schedule: Cron | Every, moment: Moment) -> Moment:
    if isinstance(schedule, Every):
        return moment + schedule.length
    return _neighbour(schedule, moment, 1)


def _previous(schedule: Cron, moment: Moment) -> Moment:
    return _neighbour(schedule, moment, -1)


def _neighbour(schedule: Cron, moment: Moment, direction: int) -> Moment:
    """Return the next (1) or the previous (-1) moment of a cron.

    The parser knows no time zones. A cron for every hour goes by the time that has passed, so that
    no hour is left out or doubled when the clocks change; any other goes by the clock on the wall.
    """
    from croniter import croniter

    naive = moment.astimezone(_zone(schedule.timezone)).replace(tzinfo=None, fold=0)
    cron = croniter(schedule.expression, naive)
    found = cron.get_next if direction > 0 else cron.get_prev
    scheduled: datetime.datetime = found(datetime.datetime)
    if cron.expanded[1] == ["*"]:
        return moment + (scheduled - naive)
    return _aware(scheduled, schedule.timezone)


def _aware(naive: datetime.datetime, timezone: str) -> Moment:
    """Return the moment of a clock in a zone; of two, the second."""
    local = naive.replace(tzinfo=_zone(timezone), fold=1)
    moment = local.astimezone(datetime.timezone.utc)
    if moment.astimezone(local.tzinfo).replace(tzinfo=None) == naive:
        return moment
    # The clock skips this time; Airflow goes on as if it had not been put forward yet.
    return naive.replace(tzinfo=_zone(timezone), fold=0).astimezone(datetime.timezone.utc)


def _zone(timezone: str) -> datetime.tzinfo:
    if timezone == "UTC":
        return datetime.timezone.utc
    from zoneinfo import ZoneInfo

    return ZoneInfo(timezone)
