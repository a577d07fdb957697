"""Values of settings, however odd, reach the real Airflow as they are; so do names."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from dagforge.build import Build
from dagforge.target import Setting, Target
from dagforge.values import Date, Instance, Model, Reference
from tests.projects import PIPELINES, build_project
from tests.real.airflow_plans import agrees, ask_probe, home

__all__ = ["home"]

Pair = tuple[Any, Any]
"""A value as YAML has it, and what a DAG or operator is to hold when Airflow has rendered it."""

VERSIONS = ("3.3", "2.11", "2.10", "3.0", "3.1")
TARGETS = ("airflow", "airflow-k8s", "airflow-gke")
TEXTS = (
    'O\'Brien "R&D" \\ {{ ds }}',
    "one\n\ttwo\r\n\nthree ",
    "zażółć 日本 🚀 \u2028 \x07 \x85",
    "__import__('os').system('exit 1')",
    "'''\"\"\" # {# {% %} \\n \\ {{ '{{' }}",
    "",
    "0123",
    "[1, None]",
    "cut off\n",
)
NESTED = {
    "a key": [None, True, -1, 1.5e300, [], {}, {"deep": list(TEXTS)}],
    TEXTS[0]: {TEXTS[1]: TEXTS[2], "class": {"1": 1}},
    "big": 10**40,
    "infinite": -math.inf,
    "none": math.nan,
    "dates": ["2024-01-31", "5m"],
}
DURATIONS = {
    "1h30m": timedelta(minutes=90),
    "250ms": timedelta(milliseconds=250),
    "PT5M": timedelta(minutes=5),
    "2d": timedelta(days=2),
    "61s": timedelta(seconds=61),
    "1w": timedelta(weeks=1),
}
DATES: list[Pair] = [
    ("2032-01-31", Date((2032, 1, 31), "UTC")),
    ("2032-02-29T06:15:07", Date((2032, 2, 29, 6, 15, 7), "UTC")),
    ([2032, 3, 31, 1], Date((2032, 3, 31, 1), "UTC")),
    ("2032-01-31T06:00+02:00", Date((2032, 1, 31, 4), "UTC")),
    ("2032-01-31T06:00:00.25Z", Date((2032, 1, 31, 6, 0, 0, 250000), "UTC")),
]
FUNCTION: Pair = ({"import": "os.path:join"}, Reference("posixpath.join"))
CLASS: Pair = ({"import": "decimal.Decimal"}, Reference("decimal.Decimal"))
INSTANCE: Pair = (
    {"call": "team.alerts:Notifier", "args": {"nested": NESTED, "inner": FUNCTION[0]}},
    Instance("team.alerts.Notifier"),
)

# Where Airflow itself takes less than the schema says.
OWN: dict[str, list[Pair]] = {
    "access_control": [(value := {"Viewer": {"DAGs": ["can_read"]}}, value)],
    "allowed_run_types": [(["manual"], ["manual"])],
    "base_container_name": [({"literal": text}, text) for text in TEXTS if text],
    "callbacks": [({"import": "team.pods:Progress"}, [Reference("team.pods.Progress")])],
    "catchup": [(False, False)],
    "container_logs": [(True, True), (list(TEXTS), list(TEXTS))],
    "configmaps": [],
    "deadline": [],
    "doc_md": [(text, text) for text in TEXTS],
    "env_vars": [
        ({f"T{number}": {"literal": text} for number, text in enumerate(TEXTS)},
         [Model("V1EnvVar", {"name": f"T{n}", "value": text}) for n, text in enumerate(TEXTS)]),
    ],
    "executor": [],
    "full_pod_spec": [],
    "inlets": [],
    "jinja_environment_kwargs": [({"trim_blocks": True}, {"trim_blocks": True})],
    "labels": [({"a.b/c-d_e": "A_b.1"}, {"a.b/c-d_e": "A_b.1"})],
    "node_selector": [({"a.b/c-d_e": "A_b.1"}, {"a.b/c-d_e": "A_b.1"})],
    "outlets": [],
    "owner_links": [({text: "https://example.com/'\"\\?q={{ ds }}" for text in TEXTS},) * 2],
    "pod_overrides": [
        ({"metadata": {"annotations": {str(n): {"literal": text} for n, text in enumerate(TEXTS)}}},
         {"metadata": {"annotations": {str(n): text for n, text in enumerate(TEXTS)}}}),
    ],
    "pool": [("a.b-c_d", "a.b-c_d")],
    "resources": [],
    "retry_policy": [],
    "schedule": [],
    "secrets": [
        ([{"deploy_type": "volume", "deploy_target": text, "secret": text, "key": text}],
         [Instance("Secret", {"deploy_target": text, "secret": text, "key": text})])
        for text in TEXTS if text
    ],
    "start_date": [("2024-02-29T06:15:07", Date((2024, 2, 29, 6, 15, 7), "UTC"))],
    "tags": [(list(TEXTS), sorted(TEXTS))],
    "templates_exts": [([".sql"], [".sql"])],
    "template_searchpath": [(list(TEXTS[:3]), list(TEXTS[:3]))],
    "task_display_name": [(text, text) for text in TEXTS if text],
    "template_undefined": [({"import": "jinja2.Undefined"}, Reference("Undefined"))],
    "user_defined_filters": [({"odd": FUNCTION[0]}, {"odd": FUNCTION[1]})],
    "user_defined_macros": [
        ({**NESTED, "function": FUNCTION[0]}, {**NESTED, "function": FUNCTION[1]}),
    ],
    "weight_rule": [(rule, rule) for rule in ("upstream", "absolute")],
    "xcom_sidecar_container_security_context": [],
}  # fmt: skip
# They exclude others.
LEFT_OUT = {"pod_template_file"}


def as_given(value: Any, setting: Setting) -> Any:
    """Return a value as it is written where Airflow must not read templates in its texts."""
    if not setting.templated:
        return value
    if isinstance(value, str):
        return {"literal": value}
    if isinstance(value, dict):
        return {key: as_given(inner, setting) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_given(inner, setting) for inner in value]
    return value


def values_of(setting: Setting, target: Target) -> list[Pair]:
    """Return values for a setting."""
    if setting.name in OWN:
        return OWN[setting.name]
    schema = setting.schema
    if "enum" in schema:
        return [(each, each) for each in schema["enum"][:2]]
    kinds = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    none: list[Pair] = [(None, None)] if "null" in kinds else []
    if setting.value == "duration":
        if setting.unit:
            return [("90s", 90), ("2m", 120), *none]
        return [*DURATIONS.items(), *none]
    if setting.value == "date":
        return [*DATES, *none]
    if setting.value == "model":
        models = [model_of(setting, text, target) for text in TEXTS]
        several = "array" in kinds
        return [([one], [other]) if several else (one, other) for one, other in models]
    if setting.value == "params":
        return [(NESTED, None)]
    if setting.value == "object" and "string" not in kinds:
        return [FUNCTION, INSTANCE, *none] if "null" in kinds else [FUNCTION]
    nested: Any = NESTED
    if isinstance(inner := schema.get("additionalProperties"), dict) and inner["type"] == "string":
        nested = {f"key{number}": text for number, text in enumerate(TEXTS)}
    numbers = schema.get("items", {}).get("type") == "integer"
    listed: Any = [1, 2] if numbers else list(TEXTS)
    by_kind: dict[str, list[Pair]] = {
        "string": [(as_given(text, setting), text) for text in TEXTS],
        "integer": [(1, 1), (7, 7)],
        "number": [(0.1, 0.1), (2, 2)],
        "boolean": [(True, True), (False, False)],
        "array": [(as_given(listed, setting), listed)],
        "object": [(as_given(nested, setting), nested)],
        "null": none,
    }
    return [pair for kind in kinds for pair in by_kind[kind]]


def model_of(setting: Setting, text: str, target: Target) -> Pair:
    """Return a Kubernetes object with a text in each of its text fields, as YAML and as model."""
    assert setting.model is not None
    yaml_fields: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for name, (argument, kind, *choices) in target.kubernetes_models[setting.model][
        "fields"
    ].items():
        if choices:
            continue
        values = {"str": text, "int": 7, "bool": True, "list[str]": [text, text]}
        if kind == "dict(str, str)":
            fields[argument] = yaml_fields[name] = {"a": text, text: "b"}
        elif kind in values:
            fields[argument] = yaml_fields[name] = values[kind]
            rendered = target.facts["templates"]["rendered_fields"].get(setting.model, ())
            if kind == "str" and name in rendered and setting.templated:
                yaml_fields[name] = {"literal": text}
    for name in target.kubernetes_models[setting.model]["required"]:
        argument, kind, *_ = target.kubernetes_models[setting.model]["fields"][name]
        if argument not in fields:
            yaml_fields[name], fields[argument] = 80, 80
            assert kind == "int_or_str", (setting.model, name, kind)
    return yaml_fields, Model(setting.model, fields)


def rounds(target: Target, kind: str) -> Iterator[dict[str, Pair]]:
    """Give settings with a value each, until every value of every setting had its turn."""
    by_name = {
        name: values
        for name, setting in target.settings.items()
        if name in target.arguments
        and name not in LEFT_OUT
        and (setting.kinds is None or kind in setting.kinds)
        and (values := values_of(setting, target))
    }
    for turn in range(max(map(len, by_name.values()))):
        yield {name: pairs[turn % len(pairs)] for name, pairs in by_name.items()}


def write(found: Build, folder: Path) -> list[Path]:
    """Write the files of a build."""
    folder.mkdir(parents=True)
    for file in found.files:
        (folder / file.path).write_bytes(file.text.encode())
    return [folder / file.path for file in found.files]


def ruff(files: list[Path]) -> None:
    """Check that ruff has nothing to say about generated files."""
    command = [sys.executable, "-m", "ruff"]
    for check in (["format", "--diff"], ["check", "--select", "F,E9"]):
        run = subprocess.run(
            [*command, *check, "--isolated", "--no-cache", *map(str, files)],
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stdout + run.stderr


def build_rounds(
    target_name: str, version: str, folder: Path
) -> tuple[Build, list[dict[str, Pair]]]:
    """Return a pipeline a round, whose settings have the round's values."""
    base = {"image": "image", "project_id": "p", "location": "l", "cluster_name": "c"}
    start = {
        PIPELINES: "start: {nodes: [{name: only, func: 'm:f'}]}",
        "conf/base/airflow.yml": yaml.safe_dump({"default": base}),
    }
    empty = build_project(folder / "empty", start, target=target_name, airflow_version=version)
    kind = empty.dags[0].tasks[0].kind
    turns = list(rounds(empty.target, kind))
    pipelines = {
        f"round_{number:02}": {
            "description": TEXTS[number % len(TEXTS)],
            "nodes": [{"name": "only", "func": "m:f"}],
        }
        for number in range(len(turns))
    }
    newest = {
        "apache-airflow-providers-cncf-kubernetes": "10.25",
        "apache-airflow-providers-google": "22.1",
    }
    settings: dict[str, Any] = {"default": {"providers": {} if version == "2.10" else newest}}
    for number, turn in enumerate(turns):
        settings[f"round_{number:02}"] = {
            **base,
            **{name: value for name, (value, _) in turn.items()},
        }
    files = {
        PIPELINES: yaml.safe_dump(pipelines, allow_unicode=True),
        "conf/base/airflow.yml": yaml.safe_dump(settings, allow_unicode=True),
    }
    found = build_project(
        folder / "project",
        files,
        target=target_name,
        airflow_version=version,
        every=True,
        render=True,
    )
    return found, turns


@pytest.mark.parametrize("version", VERSIONS)
def test_every_setting_holds_exactly_its_value(version: str, home: Path, tmp_path: Path) -> None:
    wrong: list[Any] = []
    asked: list[tuple[Path, Build, dict[str, Pair]]] = []
    for name in TARGETS:
        found, turns = build_rounds(name, version, tmp_path / name)
        assert [str(each) for each in found.warnings] == []
        paths = write(found, tmp_path / name / "dags")
        asked += [(path, found, turn) for path, turn in zip(paths, turns, strict=True)]
    ruff([path for path, *_ in asked])
    target = asked[0][1].target
    arguments = {
        scope: [
            target.arguments[name]
            for name, setting in target.settings.items()
            if setting.scope == scope and name in target.arguments
        ]
        for scope in ("dag", "task")
    }
    answer = ask_probe(version, [str(path) for path, *_ in asked], arguments, home, pods=False)
    for path, found, turn in asked:
        said = answer[str(path)]
        assert said["errors"] == []
        ((dag_id, loaded),) = said["dags"].items()
        dag = next(dag for dag in found.dags if dag.dag_id == dag_id)
        for name, (_, expected) in turn.items():
            setting = found.target.settings[name]
            holder = (
                loaded["arguments"]
                if setting.scope == "dag"
                else loaded["tasks"]["only"]["rendered"]
            )
            held = holder[found.target.arguments[name]]
            if name == "params":
                # The plan adds the hash of the DAG's structure.
                given = {key: each["value"] for key, each in held.items()}
                assert given.pop("dagforge_structure") == dag.structure_hash
                held, expected = given, NESTED
            elif name == "tags":
                held = sorted(held)
            if expected is None and held == []:
                continue
            if not agrees(expected, held, dag) and not agrees([expected], held, dag):
                wrong.append((found.target.name, name, expected, held))
    assert wrong == []


NAMES = [
    *("DAG", "PythonOperator", "pendulum", "timedelta", "literal", "dag", "run_nodes", "k8s"),
    *("print", "str", "list", "command", "arguments", "result", "__name__", "__file__", "self"),
    *("None", "class", "async", "match", "_", "__", "a b c", "a-b", "a.b", "a_b", "A", "a", "1st"),
    *("zażółć", "日本語", "日本", "😀", "it's", 'a "quoted" name', "back\\slash", "{{ ds }}", "{#"),
    *("n" * 250, "n" * 249 + "m", "0123", "1.5", "[1]"),
]


@pytest.mark.parametrize("version", ["3.3", "2.11"])
@pytest.mark.parametrize("native", [False, True])
def test_every_name_arrives_as_it_is(
    version: str, native: bool, home: Path, tmp_path: Path
) -> None:
    nodes = [{"name": name, "func": "m:f", "tags": [f"tag of {name}"[:250]]} for name in NAMES]
    pipelines = {"odd 'pipe\" \\ {{ ds }}": {"nodes": nodes, "description": "\n".join(NAMES)}}
    settings = {"image": "image", "dag_id": "odd", "render_template_as_native_obj": native}
    files = {
        "dagforge.toml": 'project = "it\'s {{ ds }}"',
        PIPELINES: yaml.safe_dump(pipelines),
        "conf/it's {{ ds }}/airflow.yml": "default: {}",
        "conf/base/airflow.yml": yaml.safe_dump({"default": settings}),
    }
    asked: list[tuple[Build, Path]] = []
    for target in TARGETS[:2]:
        found = build_project(
            tmp_path / target,
            files,
            target=target,
            airflow_version=version,
            env="it's {{ ds }}",
            render=True,
        )
        (path,) = write(found, tmp_path / target / "dags")
        asked.append((found, path))
    ruff([path for _, path in asked])
    names = {"dag": [], "task": ["op_args", "arguments", "annotations"]}
    paths = [str(path) for _, path in asked]
    answer = ask_probe(version, paths, names, home, pods=False)
    for found, path in asked:
        said = answer[str(path)]
        assert said["errors"] == []
        (loaded,) = said["dags"].values()
        planned = {task.task_id: task.nodes[0] for task in found.dags[0].tasks}
        assert sorted(planned.values()) == sorted(NAMES)
        assert planned.keys() == loaded["tasks"].keys()
        for task_id, name in planned.items():
            task = loaded["tasks"][task_id]["rendered"]
            words = task["op_args"] if found.target.name == "airflow" else task["arguments"]
            assert words[1:5] == ["odd 'pipe\" \\ {{ ds }}", "--nodes", name, "--env"]
            assert words[5:7] == ["it's {{ ds }}", "--task"]
            if found.target.name != "airflow":
                assert task["annotations"] == {"dagforge/tags": f"tag of {name}"[:250]}


@pytest.mark.parametrize(
    ("version", "operator"),
    [
        ("3.3", "airflow.providers.standard.operators.python.PythonOperator"),
        ("2.11", "airflow.operators.python.PythonOperator"),
    ],
)
def test_arguments_of_operators_arrive_as_they_are(
    version: str, operator: str, home: Path, tmp_path: Path
) -> None:
    setting = build_rounds("airflow", version, tmp_path / "settings")[0].target.settings
    kept = as_given(NESTED, setting["templates_dict"])
    arguments = {
        "python_callable": {"import": "team.alerts:twice"},
        "op_args": ["{{ ds }}", kept, "plain", 1.5, None],
        "op_kwargs": kept,
        "retry_delay": {"call": "datetime.timedelta", "args": {"seconds": 90}},
        "doc_md": "as it {{ is }}",
    }
    nodes = [{"name": "only", "operator": {"type": operator, "arguments": arguments}}]
    found = build_project(
        tmp_path / "project",
        {PIPELINES: yaml.safe_dump({"odd": {"nodes": nodes}})},
        target="airflow",
        airflow_version=version,
        render=True,
    )
    paths = write(found, tmp_path / "dags")
    ruff(paths)
    names = {"dag": [], "task": sorted(arguments)}
    said = ask_probe(version, [str(paths[0])], names, home)[str(paths[0])]
    assert said["errors"] == []
    (loaded,) = said["dags"].values()
    held = loaded["tasks"]["only"]["rendered"]
    expected = {
        "python_callable": Reference("team.alerts.twice"),
        "op_args": ["2024-01-01", NESTED, "plain", 1.5, None],
        "op_kwargs": NESTED,
        "retry_delay": timedelta(seconds=90),
        "doc_md": "as it {{ is }}",
    }
    dag = found.dags[0]
    wrong = [name for name, value in expected.items() if not agrees(value, held[name], dag)]
    assert wrong == [], held
