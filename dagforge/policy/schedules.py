"""When a schedule runs: at which times of day, and how often."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from zoneinfo import ZoneInfo

from dagforge.frozen import frozen
from dagforge.values import Cron, Every

_WINDOW = re.compile(r"(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)")
# A leap year, so that every date occurs; the same on every machine, whatever day it is.
_BEGIN = datetime.datetime(2024, 1, 1)
_DAYS = 366
_FIRINGS = 400
DAY = datetime.timedelta(days=1)


@frozen
class Window:
    """A part of the day, in minutes after midnight; one that ends before it begins spans midnight.

    Attributes:
        text: as it was written.
        end: the first minute that no longer belongs to it.
    """

    text: str
    begin: int
    end: int

    def holds(self, minute: int) -> bool:
        """Say whether a minute of the day is in the window."""
        if self.begin < self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end


def parse_window(text: str) -> Window | None:
    """Return the window that a text such as `22:00-06:00` says, None when it says none."""
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        return None
    hour, minute, end_hour, end_minute = map(int, match.groups())
    begin, end = hour * 60 + minute, end_hour * 60 + end_minute
    if minute > 59 or end_minute > 59 or begin >= 24 * 60 or end > 24 * 60 or begin == end:
        return None
    return Window(text, begin, end)


def outside(cron: Cron, windows: Sequence[Window], zone: str) -> str | None:
    """Return a time of day at which a cron runs and that no window holds, else None.

    Args:
        cron: the schedule.
        windows: of which one must hold it.
        zone: of the windows, an IANA name. Where it is another than the cron's, every difference
            that the two have in a year counts.
    """
    differences = _differences(cron.timezone, zone)
    for minute in sorted(_minutes(cron.expression)):
        for difference in differences:
            there = (minute + difference) % (24 * 60)
            if not any(window.holds(there) for window in windows):
                return f"{there // 60:02}:{there % 60:02}"
    return None


def _minutes(expression: str) -> set[int]:
    """Return the minutes of the day at which a cron may run."""
    from croniter import croniter

    fields, _ = croniter.expand(expression)
    minutes, hours = (
        range(size) if "*" in field else [int(value) for value in field]
        for field, size in zip(fields[:2], (60, 24), strict=True)
    )
    return {int(hour) * 60 + int(minute) for hour in hours for minute in minutes}


@cache
def _differences(first: str, second: str) -> tuple[int, ...]:
    """Return by how many minutes the clocks of two zones differ in the course of a year."""
    if first == second:
        return (0,)
    found = set()
    for day in range(_DAYS):
        at = (_BEGIN + day * DAY).replace(tzinfo=datetime.timezone.utc)
        offsets = [at.astimezone(ZoneInfo(zone)).utcoffset() for zone in (first, second)]
        assert offsets[0] is not None and offsets[1] is not None
        found.add(int((offsets[1] - offsets[0]).total_seconds() // 60))
    return tuple(sorted(found))


def shortest_gap(schedule: Cron | Every) -> datetime.timedelta:
    """Return the shortest time between two runs of a schedule."""
    if isinstance(schedule, Every):
        return schedule.length
    minutes = sorted(_minutes(schedule.expression))
    if len(minutes) > 1:
        gaps = [later - earlier for earlier, later in itertools.pairwise(minutes)]
        return datetime.timedelta(minutes=min([*gaps, minutes[0] + 24 * 60 - minutes[-1]]))
    return min(
        (later - earlier for earlier, later in itertools.pairwise(_firings(schedule.expression))),
        default=DAY,
    )


def _firings(expression: str) -> Iterator[datetime.datetime]:
    from croniter import CroniterBadDateError, croniter

    firings = croniter(expression, _BEGIN, ret_type=datetime.datetime)
    with suppress(CroniterBadDateError):  # a date that comes once in many years
        for _ in range(_FIRINGS):
            yield firings.get_next()
