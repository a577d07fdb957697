"""What all tests share: the option that rewrites the expectations."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SLOW = frozenset(
    {
        "deploying/test_at_once.py",
        "deploying/test_command.py",
        "deploying/test_deploy.py",
        "runtime/test_faults.py",
        "runtime/test_local.py",
        "runtime/test_object_stores.py",
        "runtime/test_report_runs.py",
        "runtime/test_runs.py",
        "test_advise_search.py",
        "test_ci.py",
        "test_credentials.py",
        "test_diff.py",
        "test_docs.py",
        "test_docs_commands.py",
        "test_docs_demo.py",
        "test_drawing_layout.py",
        "test_examples.py",
        "test_graph.py",
        "test_group.py",
        "test_group_properties.py",
        "test_hamilton_frontend.py",
        "test_import.py",
        "test_kedro_template.py",
        "test_layout.py",
        "test_merge.py",
        "test_odd_projects.py",
        "test_order.py",
        "test_progress.py",
        "test_python_frontend.py",
        "test_render.py",
        "test_robustness_fuzz.py",
    }
)
"""Tests that start processes or servers, or try many cases: `make slow` runs them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--golden`, which `make golden` gives."""
    parser.addoption(
        "--golden",
        action="store_true",
        help="write what came out as the new expectation instead of comparing with it",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make check`, the inner loop, leaves out."""
    for item in items:
        if item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).as_posix() in SLOW:
            item.add_marker("slow")
