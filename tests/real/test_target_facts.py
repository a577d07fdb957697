"""Every line of the `target.yaml` files is true in the real orchestrator of every version."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dagforge.target import Setting, Target, read_target, version_key
from tests.real.environments import python_of

PROJECT = Path(__file__).parents[2]
TEMPLATES = PROJECT / "templates"
PROBES = Path(__file__).parent / "probes"

AIRFLOW = {version: f"airflow-{version}" for version in ("2.10", "2.11", "3.0", "3.1", "3.3")}
OPERATORS = {
    "worker": "PythonOperator",
    "pod": "KubernetesPodOperator",
    "gke": "GKEStartPodOperator",
}
PREFECT = {
    "flow": "prefect.flow",
    "task": "prefect.task",
    "deployment": "prefect.Flow.deploy",
    "source": "prefect.Flow.from_source",
}

# Arguments that are no setting, and why.
BY_THE_PLAN = {"dag_id", "task_id", "name", "default_args", "dag", "task_group", "python_callable",
               "op_args", "op_kwargs", "cmds", "arguments", "container_resources"}  # fmt: skip
SAME_UNDER_ANOTHER_NAME = {"schedule_interval", "timetable", "concurrency", "task_concurrency",
                           "reattach_on_restart", "durable", "progress_callback",
                           "is_delete_operator_pod"}  # fmt: skip
ONE_START_FOR_ALL_TASKS = {"start_date", "end_date"}
NOT_FOR_PEOPLE = {"context", "full_filepath", "self", "__fn", "_FlowDecorator__fn", "_sla"}
TAKEN_AND_NOT_READ = {"DAG": {"sla_miss_callback"}, "BaseOperator": {"sla"}}
PARAMS_ARE_THE_DAGS = {"params"}
THE_CLUSTER_IS_KNOWN = {"in_cluster", "kubernetes_conn_id", "config_file", "cluster_context"}
ONE_SCHEDULE = {"interval", "cron", "rrule", "schedules"}
A_FILE_IS_FOUND_BY_ITS_PATH = {"entrypoint_type"}

IGNORED = {
    "DAG": BY_THE_PLAN | SAME_UNDER_ANOTHER_NAME | NOT_FOR_PEOPLE | TAKEN_AND_NOT_READ["DAG"],
    "BaseOperator": BY_THE_PLAN
    | SAME_UNDER_ANOTHER_NAME
    | ONE_START_FOR_ALL_TASKS
    | PARAMS_ARE_THE_DAGS
    | NOT_FOR_PEOPLE
    | TAKEN_AND_NOT_READ["BaseOperator"],
    "PythonOperator": BY_THE_PLAN,
    "KubernetesPodOperator": BY_THE_PLAN | SAME_UNDER_ANOTHER_NAME,
    "GKEStartPodOperator": BY_THE_PLAN | SAME_UNDER_ANOTHER_NAME | THE_CLUSTER_IS_KNOWN,
    "flow": BY_THE_PLAN | NOT_FOR_PEOPLE,
    "task": BY_THE_PLAN | NOT_FOR_PEOPLE,
    "deployment": NOT_FOR_PEOPLE | ONE_SCHEDULE | A_FILE_IS_FOUND_BY_ITS_PATH,
    "source": {"entrypoint"},
}


@functools.cache
def airflow(version: str) -> Target:
    return read_target("airflow", TEMPLATES, version=version)


@functools.cache
def prefect() -> Target:
    return read_target("prefect", TEMPLATES)


def ask(environment: str, probe: str, question: Mapping[str, Any], home: Path) -> dict[str, Any]:
    """Return the answer of a probe that runs in a real environment."""
    variables = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PREFECT_HOME": str(home),
    }
    run = subprocess.run(
        [str(python_of(environment)), str(PROBES / probe)],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        env=variables,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("orchestrator")


_ANSWERS: dict[str, dict[str, Any]] = {}


def real_airflow(version: str, home: Path) -> dict[str, Any]:
    """Return what the constructors and imports of a real Airflow are like; asked once a version."""
    if version not in _ANSWERS:
        imports = airflow(version).imports
        base = "airflow.sdk" if version_key(version) >= (3, 0) else "airflow.models.baseoperator"
        names = ("DAG", *OPERATORS.values())
        classes = {name: imports[name] for name in names} | {"BaseOperator": f"{base}.BaseOperator"}
        rules = "airflow.sdk" if version_key(version) >= (3, 1) else "airflow.utils.trigger_rule"
        question = {
            "classes": classes,
            "imports": imports,
            "enums": {"trigger_rule": f"{rules}.TriggerRule"},
        }
        _ANSWERS[version] = ask(AIRFLOW[version], "constructors.py", question, home)
    return _ANSWERS[version]


def real_prefect(home: Path) -> dict[str, Any]:
    if "prefect" not in _ANSWERS:
        question = {"classes": PREFECT, "imports": prefect().imports}
        _ANSWERS["prefect"] = ask("prefect", "constructors.py", question, home)
    return _ANSWERS["prefect"]


def takers(setting: Setting) -> list[str]:
    """Return the Airflow classes that are said to take a setting."""
    if setting.scope == "dag":
        return ["DAG"]
    if setting.kinds is None:
        return ["BaseOperator"]
    return [OPERATORS[kind] for kind in sorted(setting.kinds)]


def claimed(target: Target) -> dict[str, set[str]]:
    """Return the arguments that the target says each class takes in its version."""
    by_class: dict[str, set[str]] = {}
    for setting in target.settings.values():
        argument = target.arguments.get(setting.name)
        if argument is None:
            continue
        names = takers(setting)
        if target.orchestrator == "prefect":
            names = [setting.group or "task"]
        for name in names:
            by_class.setdefault(name, set()).add(argument)
    return by_class


def unknown_and_missing(
    target: Target, real: Mapping[str, Any], inherited: frozenset[str] = frozenset()
) -> tuple[set[str], set[str]]:
    """Return what the target claims and no constructor takes, and what it does not mention."""
    unknown, missing = set(), set()
    claims = claimed(target)
    for name, facts in real["classes"].items():
        arguments = set(facts["arguments"])
        unknown |= {f"{name}.{each}" for each in claims[name] - arguments}
        own = arguments if name in ("DAG", "BaseOperator") else arguments - inherited
        missing |= {f"{name}.{each}" for each in own - claims[name] - IGNORED[name]}
    return unknown, missing


@pytest.mark.parametrize("version", AIRFLOW)
def test_airflow_takes_exactly_these_arguments(version: str, home: Path) -> None:
    real = real_airflow(version, home)
    inherited = frozenset(real["classes"]["BaseOperator"]["arguments"])
    unknown, missing = unknown_and_missing(airflow(version), real, inherited)
    assert (unknown, missing) == (set(), set())


def test_prefect_takes_exactly_these_arguments(home: Path) -> None:
    assert unknown_and_missing(prefect(), real_prefect(home)) == (set(), set())


def test_every_ignored_argument_exists(home: Path) -> None:
    answers = [real_airflow(version, home) for version in AIRFLOW] + [real_prefect(home)]
    real = {
        argument
        for answer in answers
        for facts in answer["classes"].values()
        for argument in facts["arguments"]
    }
    assert set().union(*IGNORED.values()) - real == set()


def test_templated_means_in_every_version_and_operator(home: Path) -> None:
    wrong = []
    for setting in airflow("3.3").settings.values():
        if setting.scope != "task" or not setting.argument:
            continue
        fields = [
            (target.arguments.get(setting.name), real_airflow(version, home)["classes"][name])
            for version in AIRFLOW
            if setting.exists_in(version)
            for target in [airflow(version)]
            for name in takers(setting)
        ]
        everywhere = all(argument in facts["template_fields"] for argument, facts in fields)
        if setting.templated != everywhere:
            wrong.append(setting.name)
    assert wrong == []


@pytest.mark.parametrize("version", AIRFLOW)
def test_no_text_is_read_as_a_file(version: str, home: Path) -> None:
    classes = real_airflow(version, home)["classes"]
    endings = {name: facts["template_ext"] for name, facts in classes.items()}
    assert {name: found for name, found in endings.items() if found} == {}
    assert airflow(version).facts["templates"]["file_endings"] == []


@pytest.mark.parametrize("version", AIRFLOW)
def test_airflow_imports_give_no_warning(version: str, home: Path) -> None:
    imports = real_airflow(version, home)["imports"]
    assert imports.keys() == airflow(version).imports.keys()
    assert {name: found for name, found in imports.items() if any(found.values())} == {}


def test_prefect_imports_give_no_warning(home: Path) -> None:
    imports = real_prefect(home)["imports"]
    assert {name: found for name, found in imports.items() if any(found.values())} == {}


@pytest.mark.parametrize("version", ["3.0", "3.1", "3.2", "3.3"])
def test_imports_for_airflow_3_are_those_that_ruff_asks_for(version: str) -> None:
    parted = [path.rpartition(".") for path in airflow(version).imports.values()]
    lines = [
        f"from {module} import {name}" if module else f"import {name}" for module, _, name in parted
    ]
    names = ", ".join(line.split()[-1] for line in lines)
    check = [sys.executable, "-m", "ruff", "check", "--isolated", "--preview", "--select", "AIR,F"]
    run = subprocess.run(
        [*check, "-"],
        input="\n".join([*lines, f"print({names})\n"]),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("version", AIRFLOW)
def test_trigger_rules_are_those_of_the_version(version: str, home: Path) -> None:
    entry = airflow(version).facts["settings"]["trigger_rule"]
    since: Mapping[str, str] = entry["enum_since"]
    rules = {
        rule for rule in entry["enum"] if version_key(since.get(rule, "0")) <= version_key(version)
    }
    real = set(real_airflow(version, home)["enums"]["trigger_rule"])
    deprecated = {"dummy", "none_failed_or_skipped"} if version_key(version) < (3, 0) else set()
    assert rules == real - deprecated


def test_kubernetes_models_are_what_the_clients_have() -> None:
    spec = importlib.util.spec_from_file_location(
        "kubernetes_models", PROJECT / "scripts" / "kubernetes_models.py"
    )
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = script.make([str(python_of(environment)) for environment in AIRFLOW.values()])
    assert (TEMPLATES / "airflow" / "kubernetes.json").read_text(encoding="utf-8") == text


def test_every_model_of_a_setting_is_described() -> None:
    target = airflow("3.3")
    models = {setting.model for setting in target.settings.values() if setting.model}
    rendered = target.facts["templates"]["rendered_fields"]
    assert models - target.kubernetes_models.keys() == set()
    assert [
        f"{model}.{field}"
        for model, fields in rendered.items()
        for field in fields
        if field not in target.kubernetes_models[model]["fields"]
    ] == []
