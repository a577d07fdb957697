"""What all tests share: the option that rewrites the expectations."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--golden`, which `make golden` gives."""
    parser.addoption(
        "--golden",
        action="store_true",
        help="write what came out as the new expectation instead of comparing with it",
    )
