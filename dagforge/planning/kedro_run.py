"""The command that runs the nodes of a task by Kedro itself, and what its pod is told.

Exact: nodes by name and never by tag, the pipeline that holds them, the environment. Kedro reads
lists at commas, so that no name and no value may hold one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dagforge.errors import Problem
from dagforge.ir import NodeGroup, Work
from dagforge.planning.handover import STORE, is_kedro, store_of
from dagforge.planning.planner import Planner, tag_prefixes
from dagforge.planning.variables import CONTRACT, RUN_ID, STRUCTURE, TASK
from dagforge.resolve import Layer
from dagforge.values import Literal, Model, RunText, RunValue

RUN_PARAMETER = "dagforge_run"
"""What `kedro run --params` calls the folder of a run, below that of all runs."""
# `--pipelines` came with 1.2; `--pipeline` works everywhere up to now, and warns since 1.4.
_SEVERAL_PIPELINES = (1, 2)
_DAGFORGE = ["dagforge"]
# kedro-telemetry sends from where it runs, unless one of these is set.
_QUIET = Layer("Kedro tells nobody", {"env_vars": {"DO_NOT_TRACK": "1"}})
Word = str | Literal | RunValue | RunText


def starts_kedro(group: NodeGroup, data: Mapping[str, Any], *, own_machine: bool) -> bool:
    """Say whether a task starts Kedro by a command; in a worker DagForge does, in its process."""
    return is_kedro(group.nodes[0]) and (own_machine or data["entrypoint"] != _DAGFORGE)


def warn_of_colons(planner: Planner) -> None:
    """Warn of beginnings of tags that no tag of Kedro can have: since 0.19 it refuses colons."""
    if not any(is_kedro(node) for node in planner.pipeline.nodes):
        return
    data, layers = planner.settings.for_dag(), planner.settings.dag_layers
    for name in ("grouping_prefix", "resources_tag_prefix"):
        prefixes = tag_prefixes(data, name)
        if all(":" in prefix for prefix in prefixes):
            better = prefixes[0].replace(":", ".")
            planner.problems.warn(
                Problem(
                    "kedro-tag",
                    f"no node has a tag that begins with '{prefixes[0]}': since 0.19 a tag of "
                    "Kedro has no colon",
                    planner.settings.place((name,), layers),
                    fix=f"write '{better}' here and in the tags, such as {better}NAME",
                )
            )


def quiet_layer(planner: Planner, kind: str) -> Layer | None:
    """Return what a pod's environment says for every task of Kedro's, below all settings."""
    setting = planner.target.settings.get("env_vars")
    return _QUIET if setting is not None and kind in (setting.kinds or ()) else None


def command_words(
    planner: Planner, group: NodeGroup, data: Mapping[str, Any], nodes: str, pipelines: str
) -> list[Word]:
    """Return the command, program first.

    Args:
        planner: of the DAG.
        group: the nodes.
        data: settings of the task.
        nodes: their names as the command has them.
        pipelines: names of the pipelines that hold them, in the same spelling.
    """
    words: list[Word] = [*_program(data["entrypoint"])]
    words += [_pipeline_option(planner, group, data), pipelines, "--nodes", nodes]
    if planner.settings_env is not None:
        words += ["--env", planner.settings_env]
    if data.get("conf_source"):
        words += ["--conf-source", data["conf_source"]]
    parameters = _parameters(planner, data)
    if parameters is not None:
        words += ["--params", parameters]
    return words


def pipelines_of(group: NodeGroup) -> list[str]:
    """Return the registered pipelines that hold the nodes of a group, in order."""
    names = [node.action.pipeline for node in group.nodes if isinstance(node.action, Work)]
    return list(dict.fromkeys(names))


def _program(entrypoint: Sequence[str]) -> list[str]:
    """Return the words before the options: a packaged project's own program has no `run`."""
    if list(entrypoint) == _DAGFORGE:
        return ["kedro", "run"]
    last = entrypoint[-1].rpartition("/")[2]
    return [*entrypoint, "run"] if last == "kedro" else list(entrypoint)


def _pipeline_option(planner: Planner, group: NodeGroup, data: Mapping[str, Any]) -> str:
    version = str(data.get("kedro_version") or planner.pipeline.kedro_version or "")
    release = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if release >= _SEVERAL_PIPELINES:
        return "--pipelines"
    names = pipelines_of(group)
    if len(names) > 1 and planner.once("kedro-version", group.name):
        planner.problems.error(
            "kedro-version",
            f"task '{group.name}' has nodes of the pipelines {', '.join(names)}, and "
            f"Kedro {version} runs one at a time",
            group.nodes[0].origin,
            fix="register a pipeline that holds all of them, or set `kedro_version` to that of the "
            "image, if it is 1.2 or newer",
        )
    return "--pipeline"


def own_parameters(planner: Planner, data: Mapping[str, Any]) -> RunText | None:
    """Return the `runtime_params` of a task as one word; None where it has none."""
    given = ",".join(
        f"{name}={text}" for name, text in _texts(planner, data.get("runtime_params") or {})
    )
    return RunText(given) if given else None


def _parameters(planner: Planner, data: Mapping[str, Any]) -> RunText | None:
    """Return what follows `--params`; None where a run has no parameters of its own."""
    given = own_parameters(planner, data)
    if not planner.kept:
        return given
    before = f"{RUN_PARAMETER}={_base_of_runs(planner, data)}/{planner.run_path}/r-"
    return RunText(before, RunValue("run_id"), f",{given.before}" if given else "")


def _base_of_runs(planner: Planner, data: Mapping[str, Any]) -> str:
    """Return where the folders of all runs are, as the catalog is told."""
    url = _store(data)
    if url is ... and planner.once("unknown"):
        planner.problems.error(
            "local-store",
            f"tasks of '{planner.pipeline.name}' hand over '{planner.kept[0]}' by a store that "
            "only the cluster knows, and Kedro must be told where",
            fix="set `store_url: s3://bucket/path` (or gs://...)",
        )
    if not isinstance(url, str):
        return ".dagforge/store"
    if "," in url and planner.once("comma"):
        planner.problems.error(
            "runtime-params",
            f"the store {url} has a comma in it, at which Kedro would part it",
            planner.settings.place(("store_url",), planner.settings.dag_layers),
            fix="give the store another name",
        )
    return url.rstrip("/")


def _store(data: Mapping[str, Any]) -> Any:
    """Return the store of a task as `store_of`, but what `store_url` says where that is set.

    It becomes a variable of the pod's own, before which the variables of a whole secret or config
    map give way; only one of the same name does not.
    """
    named = {secret.get("deploy_target") for secret in data.get("secrets") or ()}
    if data.get("store_url") and STORE not in {*named, *(data.get("env_vars") or {})}:
        return data["store_url"]
    return store_of(data)


def _texts(
    planner: Planner, values: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    """Yield parameters as the command has them, dotted name and text."""
    for name, value in values.items():
        path = (*above, name)
        if isinstance(value, dict) and set(value) != {"literal"}:
            yield from _texts(planner, value, path)
            continue
        text = _text(value)
        if text is None or "," in f"{name}{text}" or "=" in name:
            _refuse(planner, path)
        else:
            yield ".".join(path), text


def _text(value: Any) -> str | None:
    """Return a value as Kedro reads it back, None where no text does."""
    if isinstance(value, dict):
        value = value["literal"]
        if not isinstance(value, str) or "{{" in value or "{%" in value:
            return None
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return repr(value)
    if not isinstance(value, str):
        return None
    # What YAML would read as something else is a text in quotes.
    plain = "{{" in value or re.fullmatch(r"[A-Za-z_/][\w./-]*", value) is not None
    if plain and value.lower() not in ("null", "true", "false", "yes", "no", "on", "off"):
        return value
    quoted = value.replace("'", "''")
    return f"'{quoted}'"


def _refuse(planner: Planner, path: tuple[str, ...]) -> None:
    if not planner.once("runtime-params", *path):
        return
    settings = planner.settings
    planner.problems.error(
        "runtime-params",
        f"the parameter '{'.'.join(path)}' cannot stand in `kedro run --params`, which takes names "
        "and plain values without commas",
        settings.place(("runtime_params", *path), settings.dag_layers),
        fix="put it into a file of parameters, in an environment of its own",
    )


def with_task_variables(
    planner: Planner,
    arguments: Mapping[str, Any],
    data: Mapping[str, Any],
    task_id: str,
    contract: str,
) -> Mapping[str, Any]:
    """Return the arguments of a pod with what its records need, where there is a store for them."""
    if _store(data) is None or "env_vars" not in arguments:
        return arguments
    variables: dict[str, Any] = {
        TASK: f"{planner.dag_path}/{task_id}",
        RUN_ID: RunValue("run_id"),
        CONTRACT: contract,
        STRUCTURE: RunValue("structure"),
    }
    if data.get("store_url"):
        variables[STORE] = data["store_url"]
    given = arguments["env_vars"]
    if isinstance(given, list):
        named = {entry.fields.get("name") for entry in given if isinstance(entry, Model)}
        more = [
            Model("V1EnvVar", {"name": name, "value": value})
            for name, value in variables.items()
            if name not in named
        ]
        return {**arguments, "env_vars": [*given, *more]}
    return {**arguments, "env_vars": {**variables, **given}}
