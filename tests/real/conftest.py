"""What the tests of real orchestrators share."""

from __future__ import annotations

from tests.real.prefect_environment import server

__all__ = ["server"]
