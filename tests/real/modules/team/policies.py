"""A retry policy of Airflow 3.3."""

from __future__ import annotations

from typing import Any

from airflow.sdk import RetryPolicy


class Policy(RetryPolicy):
    """Retries always."""

    def serialize(self) -> dict[str, Any]:
        """Return nothing, there is nothing to keep."""
        return {}

    def evaluate(self, *arguments: Any, **more: Any) -> Any:
        """Decide nothing."""
