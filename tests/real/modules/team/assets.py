"""An asset, whatever this version of Airflow calls it."""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk import Asset
except ImportError:
    from airflow.datasets import Dataset as Asset


def daily_table(region: str) -> Any:
    """Return the asset of a region's table."""
    return Asset(f"s3://tables/{region}")


daily = Asset("s3://tables/all")


def either(first: Any, second: Any, *, late: bool) -> Any:
    """Return what one of two assets fulfils."""
    return second | first if late else first | second
