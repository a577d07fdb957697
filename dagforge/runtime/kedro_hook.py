"""What Kedro finds under its entry point `kedro.hooks`: records of the tasks of generated DAGs.

Every `kedro run` of a project imports this module. Without the environment variables of a generated
task nothing else is imported, and nothing is done.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from kedro.framework.hooks import hook_impl

from dagforge.planning.variables import RUN_ID, TASK

if TYPE_CHECKING:
    from dagforge.runtime.kedro_task import KedroTask

F = TypeVar("F", bound=Callable[..., None])
log = logging.getLogger(__name__)


def _hook(method: F) -> F:
    """Return a method as Kedro calls it: what goes wrong with a record never stops a run.

    That the image is not the one that the DAG was generated for does.
    """

    @functools.wraps(method)
    def recording(self: RecordHooks, *args: Any, **kwargs: Any) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:
            problems = getattr(error, "problems", ())
            if any(problem.code == "image-differs" for problem in problems):
                self.end(error)
                raise
            log.warning("DagForge cannot record this task: %s", error)
            self.task = None

    hook_impl(recording)
    return recording  # type: ignore[return-value]


class RecordHooks:
    """Keeps the records of a task while Kedro runs its nodes.

    Attributes:
        task: what runs now; None where nothing is recorded.
    """

    def __init__(self) -> None:
        self.task: KedroTask | None = None

    @_hook
    def after_context_created(self, context: Any) -> None:
        """Begin, in `kedro run`; other commands of Kedro run no task."""
        if self.task is not None:
            self.task.drop()
            self.task = None
        if not (os.environ.get(TASK) and os.environ.get(RUN_ID)):
            return
        import click

        command = click.get_current_context(silent=True)
        if command is not None and command.command.name != "run":
            return
        from dagforge.runtime.kedro_task import KedroTask

        self.task = KedroTask.begin(os.environ, context.env, context.project_path)

    @_hook
    def before_pipeline_run(
        self, run_params: Mapping[str, Any], pipeline: Any, catalog: Any
    ) -> None:
        """Take the nodes that are to run, and the catalog that they use."""
        if self.task is not None:
            self.task.take(pipeline.nodes, run_params.get("node_names"), catalog)

    @_hook
    def before_node_run(self, node: Any) -> None:
        """Look at the clock."""
        if self.task is not None:
            self.task.node_begins(node.name)

    @_hook
    def after_node_run(self, node: Any) -> None:
        """Look at the clock again."""
        if self.task is not None:
            self.task.node_ends(node.name)

    @_hook
    def on_node_error(self, error: Exception, node: Any) -> None:
        """Keep whose fault it was."""
        if self.task is not None:
            self.task.node_fails(node, error)

    @_hook
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Record an input."""
        if self.task is not None:
            self.task.loaded(dataset_name, data)

    @_hook
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Record an output."""
        if self.task is not None:
            self.task.saved(dataset_name, data)

    @_hook
    def after_pipeline_run(self) -> None:
        """Keep the record of a success."""
        self.end()

    @_hook
    def on_pipeline_error(self, error: Exception) -> None:
        """Keep the record of a failure."""
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """Keep the record of how the task ended, unless that was done."""
        task, self.task = self.task, None
        if task is not None:
            task.end(error)


hooks = RecordHooks()
