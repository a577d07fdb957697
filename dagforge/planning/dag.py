"""What holds for a DAG as a whole: its id and the arguments of its constructor."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dagforge.planning.deployment import DEPLOYED, Deployment
from dagforge.planning.model import DEFAULT_PIPELINE
from dagforge.planning.names import (
    Identifier,
    digest,
    slug,
)
from dagforge.planning.planner import Planner, argument_of, converted
from dagforge.planning.run_parameters import check_required, parameters_setting, params_of
from dagforge.settings.schema import describe
from dagforge.target import Target
from dagforge.values import Date


def id_of_dag(planner: Planner, project: str) -> str:
    """Return the dag_id: the setting, else the project's and the pipeline's name."""
    settings = planner.settings
    chosen = settings.for_dag().get("dag_id")
    name = planner.pipeline.name
    limits = planner.target.facts["names"]["dag_id"]
    if chosen is None:
        parts = [project] if name == DEFAULT_PIPELINE else [project, name]
        dag_id = "-".join(slug(part) or digest(part) for part in parts)
        if len(dag_id) > limits["max_length"]:
            dag_id = f"{dag_id[: limits['max_length'] - 9]}-{digest(dag_id)}"
        return dag_id
    if (
        not re.fullmatch(limits["pattern"].strip("^$"), chosen)
        or len(chosen) > limits["max_length"]
    ):
        planner.problems.error(
            "bad-dag-id",
            f"{planner.target.orchestrator.capitalize()} does not take {describe(chosen)} as a "
            "dag_id",
            settings.place(("dag_id",), settings.dag_layers),
            fix=f"letters, digits, '-', '_' and '.', at most {limits['max_length']}: "
            f"'{slug(chosen)[: limits['max_length']] or 'my-dag'}'",
        )
    return str(chosen)


def dag_arguments(
    planner: Planner, links: Sequence[Any]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the arguments of the DAG, and what its deployment is given, in the target's order."""
    settings, target = planner.settings, planner.target
    data = dict(settings.for_dag())
    layers = settings.dag_layers
    if "description" not in data and planner.pipeline.description is not None:
        data["description"] = planner.pipeline.description
    _limit_active_runs(planner, data, links)
    dated = len(settings.explain(("start_date",), layers)) > 1 or "start_date" in settings.lost
    if data.get("catchup") is True and not dated:
        planner.problems.error(
            "no-start-date",
            "catchup needs a start_date of its own: Airflow runs everything since then",
            settings.place(("catchup",), layers),
            fix='write start_date: "2024-01-31" beside it',
            at_key=True,
        )
    arguments: dict[str, Any] = {}
    given: dict[str, Any] = {}
    for setting in target.settings_for("dag"):
        if setting.name not in data:
            continue
        argument = argument_of(planner, setting, layers)
        if argument is None:
            continue
        value = converted(planner, setting, data[setting.name], layers, planner.context)
        (given if setting.group in DEPLOYED else arguments)[argument] = value
    _add_parameters(planner, arguments)
    check_required(planner, data.get("schedule"))
    start, end = arguments.get("start_date"), arguments.get("end_date")
    if isinstance(start, Date) and isinstance(end, Date) and _is_before(end, start):
        planner.problems.error(
            "wrong-value",
            "'end_date' is before 'start_date': the DAG would never run",
            settings.place(("end_date",), layers),
            fix="write a later date",
        )
    return arguments, given


def _add_parameters(planner: Planner, arguments: dict[str, Any]) -> None:
    """Add the parameters that the definition declares to those of the settings."""
    argument = planner.target.arguments.get(parameters_setting(planner.target), "")
    given = arguments.get(argument, {})
    if argument and isinstance(given, Mapping):
        params = params_of(planner, given)
        if params:
            arguments[argument] = params


def _is_before(one: Date, other: Date) -> bool:
    """Say whether a date is surely before another: only those of one zone are compared."""
    return one.timezone == other.timezone and one.parts < other.parts


def flow_source(
    deployment: Deployment, target: Target, stem: str, variable: Identifier
) -> Mapping[str, Any] | None:
    """Return what fetches the file for the deployment, with the path of the flow in it."""
    if deployment.source is None:
        return None
    file = str(target.facts["file"]).format(stem=stem)
    folder = deployment.folder.strip("/")
    path = f"{folder}/{file}" if folder else file
    return {**deployment.source, "entrypoint": f"{path}:{variable}"}


def _limit_active_runs(planner: Planner, data: dict[str, Any], links: Sequence[Any]) -> None:
    """Let runs follow each other where two at once would overwrite each other's data."""
    settings = planner.settings
    if "max_active_runs" not in settings.target.settings:
        return
    found = settings.explain(("max_active_runs",), settings.dag_layers)
    chosen = found[0] if found and found[0].at is not None else None
    if chosen is None and found and found[0].layer.label.startswith("--"):
        chosen = found[0]
    if data.get("schedule") == "@continuous":
        if chosen is None:
            data["max_active_runs"] = 1
        elif data["max_active_runs"] != 1:
            planner.problems.error(
                "bad-schedule",
                "'@continuous' needs max_active_runs: 1",
                chosen.at,
                fix="set it to 1, or leave it out",
            )
    border = {dataset for link in links for dataset in link.datasets}
    fixed = sorted(
        name
        for name in border
        if (dataset := planner.pipeline.datasets.get(name)) is not None
        and dataset.persisted
        and dataset.uri is not None
        and not dataset.shared
    )
    if not fixed:
        return
    if chosen is None:
        data["max_active_runs"] = 1
    elif data["max_active_runs"] is None or (
        isinstance(data["max_active_runs"], int) and data["max_active_runs"] > 1
    ):
        first = planner.pipeline.datasets[fixed[0]]
        more = f" (and {len(fixed) - 1} more)" if len(fixed) > 1 else ""
        planner.problems.error(
            "shared-path",
            f"runs of '{planner.pipeline.name}' at once would overwrite each other's "
            f"'{fixed[0]}'{more}, which tasks hand over at the fixed path {first.uri}",
            chosen.at,
            fix="set max_active_runs: 1, or `shared: true` on the dataset "
            f"({first.origin.location(key=True)}) when that is meant",
        )
