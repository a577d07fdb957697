"""The task that a generated DAG starts: found in this image's own definitions, then executed."""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from dagforge.conf import read_conf, read_project
from dagforge.errors import DagForgeError, Problems, UsageError, did_you_mean
from dagforge.frontends import load
from dagforge.frontends.parameters import check_given, merged, parameters_of
from dagforge.frozen import frozen
from dagforge.ir import Node, Pipeline
from dagforge.planning.contract import contract, must_stop
from dagforge.planning.handover import is_kedro
from dagforge.reading.kedro_project import speak
from dagforge.runtime.errors import RunError, image_differs
from dagforge.runtime.execute import Say, TaskRun, execute, store_url_of
from dagforge.runtime.files import Files
from dagforge.runtime.places import RunPlace
from dagforge.runtime.records import TaskRecord


@frozen
class TaskRequest:
    """What a task's command says.

    Attributes:
        task: `project/dag_id/task_id`.
        parameters: the run's own, laid over the project's.
    """

    root: Path
    pipeline: str
    nodes: tuple[str, ...]
    task: str
    run_id: str
    env: str | None = None
    conf: Path | None = None
    store: str | None = None
    contract: str | None = None
    structure: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


def run_task(request: TaskRequest, say: Say) -> TaskRecord | None:
    """Execute the nodes that a generated task names, and return the record, if there is one.

    Raises:
        DagForgeError: this image does not hold them as the DAG expects, or one of them failed.
    """
    parts = request.task.split("/")
    if len(parts) != 3 or not all(parts):
        raise UsageError.of("bad-task", f"--task {request.task!r} is not project/dag_id/task_id")
    project_name, dag_id, task_id = parts
    # The command line does without; what the nodes' functions leave must be collected.
    gc.enable()
    project = read_project(request.root)
    if project.kedro is not None:
        speak()
    conf = read_conf(request.root, env=request.env, conf=request.conf, project=project)
    pipeline = load(request.pipeline, conf)
    nodes = _nodes(pipeline, request.nodes, task_id)
    warnings = _check_contract(request, nodes, pipeline, task_id)
    settings = store_settings(conf, request.pipeline)
    place = RunPlace(project_name, conf.env, dag_id, request.run_id)
    # The DAG says where its data are; an environment that says otherwise stands nearer.
    store_url = store_url_of(None, request.store or settings.get("store_url"), request.root)
    parameters = merged(parameters_of(pipeline, conf), request.parameters)
    problems = Problems()
    check_given(pipeline, parameters, problems)
    problems.raise_errors(RunError)
    if request.structure is not None:
        _keep_structure(Files(store_url), place, request)
    if conf.kedro is not None and is_kedro(nodes[0]):
        from dagforge.runtime.kedro_session import KedroRun, run_with_kedro

        for warning in warnings:
            say(f"warning: {warning}")
        return run_with_kedro(
            KedroRun(
                nodes=nodes,
                place=place,
                task_id=task_id,
                root=request.root,
                conf=conf.folder,
                env=conf.env,
                store_url=store_url,
                parameters=request.parameters,
                structure=request.structure,
                contract=request.contract,
            )
        )
    run = TaskRun(
        pipeline=pipeline,
        nodes=nodes,
        place=place,
        task_id=task_id,
        root=request.root,
        store_url=store_url,
        parameters=parameters,
        allow_pickle=settings.get("allow_pickle", True),
        preview_rows=settings.get("preview_rows", 0),
        structure=request.structure,
        contract=request.contract,
        warnings=tuple(warnings),
        conf=conf,
    )
    return execute(run, say)


def store_settings(conf: Any, pipeline: str) -> Mapping[str, Any]:
    """Return the settings of the store, which stand in dagforge*.yml, the pipeline's over all."""
    found: dict[str, Any] = {}
    for section in ("default", pipeline):
        for entry in conf.settings_of("dagforge"):
            data = entry.data.get(section) if isinstance(entry.data, dict) else None
            for key in ("store_url", "allow_pickle", "preview_rows"):
                if isinstance(data, dict) and key in data:
                    found[key] = data[key]
    return found


def _nodes(pipeline: Pipeline, names: Sequence[str], task_id: str) -> tuple[Node, ...]:
    by_name = {node.name: node for node in pipeline.nodes}
    absent = [name for name in names if name not in by_name]
    if absent:
        raise RunError.of(
            "image-differs",
            f"task '{task_id}' is to run node '{absent[0]}', which pipeline '{pipeline.name}' of "
            "this image does not have",
            fix=did_you_mean(absent[0], by_name)
            or "deploy the image that this DAG was generated for, then clear the task",
        )
    return tuple(by_name[name] for name in names)


def _check_contract(
    request: TaskRequest, nodes: Sequence[Node], pipeline: Pipeline, task_id: str
) -> list[str]:
    """Return what differs between the DAG and this image, or stop where it must."""
    if request.contract is None:
        return []
    found = contract(nodes, pipeline)
    if found == request.contract:
        return []
    if must_stop(request.contract, found):
        shapes = [(node.name, node.inputs, node.outputs) for node in nodes]
        raise image_differs(task_id, request.contract, found, shapes)
    return [
        f"task '{task_id}': functions or formats of its nodes differ from the DAG's "
        f"(contract {request.contract}, here {found})"
    ]


def _keep_structure(files: Files, place: RunPlace, request: TaskRequest) -> None:
    """Keep the plan that the DAG was generated from, if this image still makes the same one."""
    assert request.structure is not None
    if files.exists(place.structure(request.structure)):
        return
    from dagforge.build import Request, build
    from dagforge.resources import templates_dir
    from dagforge.target import target_names

    for target in target_names(templates_dir()):
        compiled = Request(
            root=request.root,
            pipelines=(request.pipeline,),
            env=request.env,
            target=target,
            conf=request.conf,
        )
        try:
            (dag,) = build(compiled, render_files=False).dags
        except DagForgeError:
            # For another target the settings may not do; the run is recorded all the same.
            continue
        if dag.structure_hash == request.structure:
            keep_structure(files, place, dag.structure_hash, dag.structure)
            return


def keep_structure(
    files: Files, place: RunPlace, digest: str, structure: Mapping[str, Any]
) -> None:
    """Keep a plan in the store, so that its runs can be shown as they were."""
    path = place.structure(digest)
    if not files.exists(path):
        files.write(path, json.dumps(structure, indent=1, sort_keys=True).encode())
