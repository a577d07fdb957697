"""What can go wrong while a task runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dagforge.errors import DagForgeError

Shape = tuple[str, Sequence[str], Sequence[str]]
"""A node's name, inputs and outputs."""


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


def image_differs(task_id: str, expected: str, found: str, nodes: Iterable[Shape]) -> RunError:
    """Return the error for nodes that have other inputs or outputs here than in the DAG.

    Args:
        task_id: of the task.
        expected: contract of the DAG.
        found: contract of this image.
        nodes: as they are here.
    """
    here = "".join(
        f"\n  here, {name} reads {', '.join(inputs) or 'nothing'} and writes "
        f"{', '.join(outputs) or 'nothing'}"
        for name, inputs, outputs in nodes
    )
    return RunError.of(
        "image-differs",
        f"task '{task_id}': its nodes have other inputs or outputs in this image than in the "
        f"DAG (contract {expected}, here {found}){here}",
        fix="deploy the image and the DAG that belong together, then clear the task",
    )
