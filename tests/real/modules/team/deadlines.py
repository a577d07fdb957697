"""A deadline of Airflow 3.1 and later."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import AsyncCallback, DeadlineReference


async def tell() -> None:
    """Do nothing."""


AT_NIGHT = DeadlineReference.DAGRUN_QUEUED_AT
AN_HOUR = timedelta(hours=1)
TOLD = AsyncCallback(tell)
