"""What can go wrong while a task runs."""

from __future__ import annotations

from dagforge.errors import DagForgeError


class RunError(DagForgeError):
    """A task cannot do what it was asked for."""


class StoreError(RunError):
    """The store cannot be read or written, or holds something else than was put there."""


class IncompleteError(StoreError):
    """A dataset was never completely written in this run."""


class NodeError(RunError):
    """A node's own function failed; its traceback was printed."""


class CheckError(RunError):
    """A check of severity `error` failed, after its task's outputs were saved."""
