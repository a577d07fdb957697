"""What only several DAGs together can get wrong."""

from __future__ import annotations

from collections.abc import Sequence

from dagforge.errors import PipelineError, Problems
from dagforge.planning.model import DagPlan


def check_dags(dags: Sequence[DagPlan]) -> None:
    """Refuse two DAGs with one dag_id, or with files that one disk cannot tell apart.

    Raises:
        PipelineError: with both sources of each.
    """
    problems = Problems()
    first_by_id: dict[str, DagPlan] = {}
    first_by_file: dict[str, DagPlan] = {}
    for dag in dags:
        at = dag.pipeline.origin
        first = first_by_id.setdefault(dag.dag_id, dag)
        if first is not dag:
            problems.error(
                "id-collision",
                f"pipelines '{first.pipeline.name}' ({first.pipeline.origin.location(key=True)}) "
                f"and '{dag.pipeline.name}' would both be the DAG '{dag.dag_id}'",
                at,
                fix="rename one, or give it a `dag_id` under its name in the settings",
                at_key=True,
            )
            continue
        first = first_by_file.setdefault(dag.stem.casefold(), dag)
        if first is not dag:
            problems.error(
                "file-collision",
                f"the DAGs '{first.dag_id}' and '{dag.dag_id}' would both be written to "
                f"'{dag.stem}.py' where a disk does not tell capitals apart"
                if first.stem != dag.stem
                else f"the DAGs '{first.dag_id}' and '{dag.dag_id}' would both be written to "
                f"'{dag.stem}.py'",
                at,
                fix="give one of them another `dag_id` under its name in the settings",
                at_key=True,
            )
    problems.raise_errors(PipelineError)
