"""Functions of tasks, as a team would write them."""

from __future__ import annotations

import datetime
from typing import Any

from airflow.sdk import BaseNotifier


def load(*arguments: Any, **more: Any) -> None:
    """Do nothing."""


def count(number: int) -> int:
    # A docstring would become the documentation of a task of TaskFlow.
    return number


def choose() -> str:
    """Return the task that goes on."""
    return "done"


def the_day_before(day: datetime.datetime) -> datetime.datetime:
    """Return the day before."""
    return day - datetime.timedelta(days=1)


def tell(context: Any, channel: str = "") -> None:
    """Do nothing."""


class FileNotifier(BaseNotifier):
    """A notifier."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def __repr__(self) -> str:
        return f"FileNotifier({self.path!r})"

    def notify(self, context: Any) -> None:
        """Do nothing."""
