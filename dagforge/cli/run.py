"""The commands `run` and `runs`: pipelines on this machine, and what runs left."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dagforge.cli.options import (
    format_option,
    make_request,
    one_pipeline,
    parse_params,
    project_options,
    selection_options,
    target_options,
)
from dagforge.commands.folders import find_root
from dagforge.errors import Problem, Problems, UsageError, did_you_mean

if TYPE_CHECKING:
    from dagforge.build import Build, Request
    from dagforge.ir import Pipeline
    from dagforge.planning.model import DagPlan
    from dagforge.runtime.local import LocalRun, Outcome
    from dagforge.runtime.places import RunPlace

STORE = "DAGFORGE_STORE_URL"
PROJECT = "DAGFORGE_PROJECT"
PROJECT_FILES = ("conf", "dagforge.toml", "pyproject.toml")
store_option = click.option(
    "--store",
    metavar="URL",
    help=f"Where data are handed over; a folder or any fsspec URL.  [default: {STORE}, the "
    "setting store_url, .dagforge/store]",
)


@click.command()
@one_pipeline
@selection_options
@project_options
@target_options
@click.option(
    "-g",
    "--group-by",
    metavar="HOW",
    help="Which nodes share a task: tags, namespace, memory, module or none.",
)
@click.option(
    "--params",
    multiple=True,
    metavar="K=V,... | JSON",
    help="Parameters of the run, over those of the project; nested keys by dots, or JSON.",
)
@click.option("--run-id", metavar="ID", help="Name of the run; the same one continues it.")
@store_option
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Tasks at a time."
)
@click.option(
    "--resume", is_flag=True, help="Leave tasks whose inputs, code and outputs are unchanged."
)
@click.option("--dry-run", is_flag=True, help="Say what would run, and run nothing.")
@click.option("--task", hidden=True, help="project/dag_id/task_id; what a generated task says.")
@click.option("--contract", hidden=True, help="What the DAG expects of the task.")
@click.option("--structure", hidden=True, help="Hash of the plan that the DAG was made from.")
def run(pipeline: str | None, **options: Any) -> None:
    """Run a pipeline on this machine, task by task as in production.

    Without PIPELINE it is __default__, or the only one that there is.

    \b
    dagforge run data_science                     every task, each in its own process
    dagforge run data_science --jobs 4 --params model_options.test_size=0.3
    dagforge run data_science --from-nodes train_model_node --run-id monday
    dagforge run data_science --resume            go on where the last run stopped

    A generated task starts the same command with --task, and then runs its own nodes only.
    """  # noqa: D301  # click reads the character
    if options["task"] is not None:
        if pipeline is None:
            raise click.UsageError("--task needs PIPELINE")
        _run_task(pipeline, options)
    else:
        _run_here(pipeline, options)


def _parameters(texts: Sequence[str]) -> dict[str, Any]:
    """Return the run's parameters: items as in `create`, or whole JSON objects."""
    from dagforge.frontends.parameters import merged, nested

    found: dict[str, Any] = {}
    for text in texts:
        if text.lstrip().startswith("{"):
            try:
                given = json.loads(text, object_pairs_hook=_each_once)
            except ValueError as error:
                raise UsageError.of("bad-params", f"--params: no JSON: {error}") from error
            found = merged(found, nested(given))
        else:
            found = merged(found, parse_params([text]))
    return found


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a mapping of JSON.

    Raises:
        ValueError: a key is there twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key '{key}' is there twice")
        found[key] = value
    return found


def _root(options: Mapping[str, Any]) -> Path:
    """Return the project's folder: the command's, the environment's, the nearest one around here.

    A worker starts tasks in a folder of its own, so where it runs one project only, its
    environment says which.
    """
    here = Path.cwd()
    return (here / (options["root"] or os.environ.get(PROJECT) or find_root(here))).resolve()


def _run_task(pipeline: str, options: Mapping[str, Any]) -> None:
    from dagforge.runtime.task import TaskRequest, run_task

    if options["run_id"] is None or not options["nodes"]:
        raise click.UsageError("--task needs --run-id and --nodes")
    root = _root(options)
    if options["conf"] is None and not any((root / name).exists() for name in PROJECT_FILES):
        raise UsageError.of(
            "no-project",
            f"task {options['task']} finds no project in {root}",
            fix=f"set {PROJECT} to the project's folder where tasks run, or `project_dir` in the "
            "settings",
        )
    request = TaskRequest(
        root=root,
        pipeline=pipeline,
        nodes=options["nodes"],
        task=options["task"],
        run_id=options["run_id"],
        env=options["env"],
        conf=None if options["conf"] is None else Path.cwd() / options["conf"],
        store=options["store"],
        contract=options["contract"] or None,
        structure=options["structure"] or None,
        parameters=_parameters(options["params"]),
    )
    try:
        run_task(request, _say)
    except (Exception, SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        # What the project's code raises so that no handler of its own catches it.
        from dagforge.runtime.errors import NodeError
        from dagforge.user_code import failure_of

        failure = failure_of(error)
        lines = [f"the task was ended by {failure.type}: {failure.message}".rstrip(": ")]
        lines += [f"  {line}" for line in failure.frames.splitlines()]
        raise NodeError.of("node-failed", "\n".join(lines)) from error
    finally:
        if sys.stdout.closed:
            sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _say(line: str) -> None:
    # A function may have closed the output, and its reader may be gone; neither stops the task.
    with contextlib.suppress(ValueError, OSError):
        click.echo(line)


def _request(pipeline: str | None, options: Mapping[str, Any]) -> Request:
    """Return what to plan: tasks of this machine, whatever machines the target gives them."""
    request = make_request({**options, "pipelines": () if pipeline is None else (pipeline,)})
    return replace(request, params={**request.params, "run_in": "worker"})


def _run_here(pipeline: str | None, options: dict[str, Any]) -> None:
    from dagforge.build import build
    from dagforge.frontends.catalog import read_parameters
    from dagforge.frontends.parameters import check_given, merged, parameters_of
    from dagforge.runtime.errors import RunError
    from dagforge.runtime.execute import store_url_of
    from dagforge.runtime.files import Files
    from dagforge.runtime.local import LocalRun, check_runnable, command_of, run_locally
    from dagforge.runtime.places import RunPlace
    from dagforge.runtime.task import keep_structure

    parameters = _parameters(options["params"])
    _check_run_id(options["run_id"])
    request = _request(pipeline, {**options, "params": ()})
    found = build(request, render_files=False)
    if len(found.dags) > 1:
        raise UsageError.of(
            "which-pipeline",
            "a run is of one pipeline, and this project has several",
            fix="name it: " + ", ".join(dag.pipeline.name for dag in found.dags),
        )
    (dag,) = found.dags
    check_runnable(dag)
    _check_overlay(found)
    values = merged(parameters_of(dag.pipeline, found.conf), parameters)
    problems = Problems()
    check_given(dag.pipeline, values, problems)
    problems.raise_errors(RunError)
    _check_known(dag.pipeline, parameters, read_parameters(found.conf))
    root = request.root
    store_url = store_url_of(options["store"], dag.settings.get("store_url"), root)
    files = Files(store_url)
    if files.is_memory:
        raise RunError.of(
            "store-url",
            f"the store {store_url} is the memory of one process, and each task has its own",
            fix="a folder, or a URL such as s3://bucket/path or gs://bucket/path",
        )
    run_id = options["run_id"] or (_last_run_id(files, dag) if options["resume"] else None)
    place = RunPlace(dag.project, dag.env, dag.dag_id, run_id or new_run_id())
    local = LocalRun(
        dag=dag,
        place=place,
        root=root,
        store_url=store_url,
        jobs=options["jobs"],
        parameters=tuple(options["params"]),
        conf=request.conf,
        resume=options["resume"],
        values=values,
    )
    if options["dry_run"]:
        import shlex

        for task in dag.tasks:
            click.echo(f"{task.task_id}: {shlex.join(command_of(local, task))}")
        return
    if options["resume"] and options["run_id"] and not files.list(place.path):
        click.echo(f"there is no run {place.run_id} to resume: every task runs", err=True)
    keep_structure(files, place, dag.structure_hash, dag.structure)
    click.echo(
        f"run {place.run_id} of {dag.dag_id}: {len(dag.tasks)} tasks, store {store_url}", err=True
    )
    outcome = _with_progress(local, run_locally)
    _report(local, outcome)


def _check_run_id(run_id: str | None) -> None:
    if run_id is not None and not (run_id.strip() and run_id.isprintable()):
        what = "holds unprintable characters" if run_id.strip() else "is empty"
        raise UsageError.of("bad-run-id", f"--run-id {what}", fix="--run-id monday")


def _check_overlay(found: Build) -> None:
    """Refuse to run tasks of Kedro that hand each other what the catalog does not keep yet."""
    from dagforge.output.overlay import overlay_of
    from dagforge.runtime.errors import RunError

    if found.overlay and found.conf.kedro is not None:
        overlay = overlay_of(found.overlay, found.conf.env_folder, found.conf.root)
        if overlay is not None and not overlay.is_current:
            raise RunError([overlay.stale()])


def _check_known(pipeline: Pipeline, given: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
    """Refuse parameters of the command line that nothing knows.

    Raises:
        UsageError: with all of them.
    """
    from dagforge.frontends.parameters import ABSENT, dotted, value_at
    from dagforge.ir import is_parameter

    read = {name for node in pipeline.nodes for name in node.inputs if is_parameter(name)}
    names = {name.removeprefix("params:") for name in read} | {*pipeline.parameters}
    known = {name.partition(".")[0] for name in names} | {*declared}
    if "parameters" in read:
        return
    unknown = []
    for name, _ in dotted(given):
        parts = name.split(".")
        above = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
        below = any(each.startswith(f"{name}.") for each in names)
        if not (above & names or below or value_at(declared, name) is not ABSENT):
            unknown.append(name)
    if unknown:
        raise UsageError(
            Problem(
                "unknown-parameter",
                f"--params: no node reads a parameter '{name}', and none is declared",
                fix=did_you_mean(name, names | known),
            )
            for name in unknown
        )


def new_run_id() -> str:
    """Return an id that sorts by time and that no other run has."""
    import secrets

    moment = datetime.datetime.now(datetime.timezone.utc)
    return f"local__{moment:%Y-%m-%dT%H-%M-%S}-{secrets.token_hex(2)}"


def _last_run_id(files: Any, dag: DagPlan) -> str | None:
    from dagforge.runtime.history import runs
    from dagforge.runtime.places import RunPlace

    found = runs(files, RunPlace(dag.project, dag.env, dag.dag_id, ""))
    return found[-1].run_id if found else None


def _with_progress(local: LocalRun, run_locally: Any) -> Outcome:
    """Run with a progress bar on a terminal, with a line for everything elsewhere."""
    lock = threading.Lock()
    width = max(len(task.task_id) for task in local.dag.tasks)
    ends = ("success in ", "failed in ", "stopped in ", "up to date")
    if not sys.stderr.isatty():

        def tell_line(task_id: str, line: str) -> None:
            # Whoever read the lines, such as `head`, may have gone; the run goes on.
            with lock, contextlib.suppress(OSError):
                click.echo(f"{task_id:<{width}} | {line}", err=True)

        return run_locally(local, tell_line)  # type: ignore[no-any-return]
    running: dict[str, None] = {}
    kept: dict[str, list[str]] = {}
    bar: Any
    with click.progressbar(
        length=len(local.dag.tasks),
        label=local.dag.dag_id,
        file=sys.stderr,
        item_show_func=lambda _: ", ".join(running),
        show_eta=False,
    ) as bar:

        def tell_bar(task_id: str, line: str) -> None:
            with lock:
                kept.setdefault(task_id, []).append(line)
                if line == "started":
                    running[task_id] = None
                    bar.update(0)
                elif line.startswith(ends):
                    running.pop(task_id, None)
                    bar.update(1)

        outcome: Outcome = run_locally(local, tell_bar)
    for task_id in outcome.failed:
        for line in kept.get(task_id, ()):
            click.echo(f"{task_id:<{width}} | {line}", err=True)
    return outcome


def _report(local: LocalRun, outcome: Outcome) -> None:
    width = max(len(task_id) for task_id in outcome.status)
    for task_id, status in outcome.status.items():
        seconds = outcome.seconds.get(task_id)
        click.echo(f"{task_id:<{width}}  {status}" + (f"  {seconds:.1f} s" if seconds else ""))
    click.echo(f"run {local.place.run_id}")
    if outcome.stopped:
        raise KeyboardInterrupt
    if outcome.failed:
        from dagforge.runtime.errors import RunError

        again = f"dagforge run {local.dag.pipeline.name} --resume --run-id {local.place.run_id}"
        raise RunError.of(
            "run-failed",
            f"{len(outcome.failed)} of {len(outcome.status)} tasks failed: "
            + ", ".join(outcome.failed),
            fix=f"mend it, then: {again}",
        )


# --- runs


@click.group()
def runs() -> None:
    """Look at past runs, from what their tasks left in the store."""


def _history_options(function: Any) -> Any:
    for option in (
        format_option,
        store_option,
        target_options,
        project_options,
        click.argument("pipeline"),
    ):
        function = option(function)
    return function


def _place(pipeline: str, options: Mapping[str, Any]) -> tuple[Any, RunPlace, DagPlan]:
    from dagforge.build import build
    from dagforge.runtime.execute import store_url_of
    from dagforge.runtime.files import Files
    from dagforge.runtime.places import RunPlace

    request = _request(pipeline, options)
    (dag,) = build(request, render_files=False).dags
    url = store_url_of(options["store"], dag.settings.get("store_url"), request.root)
    return Files(url), RunPlace(dag.project, dag.env, dag.dag_id, ""), dag


@runs.command(name="list")
@_history_options
def runs_list(pipeline: str, form: str, **options: Any) -> None:
    """List the runs of a pipeline, the oldest first."""
    from dagforge.runtime.history import runs as all_runs
    from dagforge.runtime.show import run_data, runs_table

    files, place, _ = _place(pipeline, options)
    found = all_runs(files, place)
    click.echo(
        json.dumps([run_data(run) for run in found], indent=2)
        if form == "json"
        else runs_table(found)
    )


@runs.command(name="show")
@_history_options
@click.argument("run_id", required=False)
def runs_show(pipeline: str, run_id: str | None, form: str, **options: Any) -> None:
    """Show a run as it was: tasks, datasets, metrics, checks, errors; without RUN_ID the last."""
    from dagforge.runtime.history import datasets, find_run, structure
    from dagforge.runtime.show import run_data, run_page

    files, place, _ = _place(pipeline, options)
    run = find_run(files, place, run_id)
    shape = structure(files, place, run.structure) if run.structure else None
    kept = datasets(files, run)
    if form == "json":
        click.echo(json.dumps(run_data(run, shape, kept), indent=2))
    else:
        click.echo(run_page(run, shape, kept))


@runs.command(name="diff")
@_history_options
@click.argument("first")
@click.argument("second", required=False)
def runs_diff(pipeline: str, first: str, second: str | None, form: str, **options: Any) -> None:
    """Show what differs between two runs: structure, code, data, metrics, times."""
    from dagforge.runtime.history import find_run
    from dagforge.runtime.show import diff_data, diff_page

    files, place, _ = _place(pipeline, options)
    one, other = find_run(files, place, first), find_run(files, place, second)
    data = diff_data(one, other)
    click.echo(json.dumps(data, indent=2) if form == "json" else diff_page(data))


@runs.command(name="lineage")
@_history_options
@click.argument("dataset")
@click.option("--run-id", metavar="ID", help="Which run.  [default: the last]")
def runs_lineage(
    pipeline: str, dataset: str, run_id: str | None, form: str, **options: Any
) -> None:
    """Show where a dataset of a run came from."""
    from dagforge.runtime.history import find_run, lineage
    from dagforge.runtime.show import lineage_data, lineage_page

    files, place, _ = _place(pipeline, options)
    found = lineage(find_run(files, place, run_id), dataset)
    click.echo(json.dumps(lineage_data(found), indent=2) if form == "json" else lineage_page(found))


@runs.command(name="gc")
@_history_options
@click.option("--keep", type=click.IntRange(min=0), required=True, help="Runs to keep, the newest.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
def runs_gc(pipeline: str, keep: int, dry_run: bool, form: str, **options: Any) -> None:
    """Remove the data and records of old runs; one that is running stays."""
    from dagforge.runtime.history import expired
    from dagforge.runtime.history import runs as all_runs

    files, place, _ = _place(pipeline, options)
    gone = expired(all_runs(files, place), keep)
    for run in gone:
        if not dry_run:
            files.remove(run.folder)
            kept = replace(place, run_id=run.run_id).catalog_path
            if ".." not in kept and files.list(kept):
                files.remove(kept)
        if form == "text":
            click.echo(f"{'would remove' if dry_run else 'removed':<12} {run.run_id}")
    if form == "json":
        click.echo(json.dumps([run.run_id for run in gone]))
