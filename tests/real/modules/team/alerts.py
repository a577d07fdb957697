"""Callbacks, as a team would write them: they take the context and do nothing here."""

from __future__ import annotations

from typing import Any


def on_execute(context: Any) -> None:
    """Do nothing."""


def on_success(context: Any) -> None:
    """Do nothing."""


def on_failure(context: Any) -> None:
    """Do nothing."""


def on_retry(context: Any) -> None:
    """Do nothing."""


def on_skipped(context: Any) -> None:
    """Do nothing."""


def on_miss(*arguments: Any) -> None:
    """Do nothing."""


def before(context: Any) -> None:
    """Do nothing."""


def after(context: Any, result: Any) -> None:
    """Do nothing."""


def twice(value: Any) -> Any:
    """Return the value two times."""
    return value * 2


class Notifier:
    """A callback with arguments."""

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments

    def __call__(self, context: Any) -> None:
        """Do nothing."""
