"""What the tests of real orchestrators share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.prefect_environment import server
from tests.runtime.servers import Server, found_by_clients, s3_server

__all__ = ["s3", "server"]


@pytest.fixture
def s3() -> Iterator[Server]:
    """Give an empty S3 of the test's own, which this process uses too."""
    with s3_server() as found, found_by_clients(found.environment, "s3"):
        yield found
