"""Templates of kedro-airflow give what kedro-airflow gave, and real Airflows load it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from dagforge.output.manifest import HEADER_LINES
from tests.real.environments import python_of
from tests.real.kedro_projects import run_kedro, write_kedro_project
from tests.real.test_migrate import KEDRO
from tests.real.test_target_facts import ask
from tests.test_kedro_template import (
    ARTICLE,
    BY_GROUP,
    BY_NODE,
    CATALOG,
    PARAMETERS,
    TEMPLATES,
    plan_of,
    render,
    settings_text,
)

SETTINGS = """
default:
  start_date: [2023, 6, 1]
  max_active_runs: 2
  schedule_interval: "@daily"
  owner: "airflow-ds"
  retries: 2
  retry_delay: 7
"""
REGISTRY = """
from kedro.pipeline import node, pipeline


def work(*inputs):
    return inputs


def register_pipelines():
    return {
        "__default__": pipeline(
            [
                node(work, "regressor", None, name="report_node"),
                node(work, ["table", "params:model_options"], ["train", "test"], name="split_node"),
                node(work, ["train", "test"], "regressor", name="train_node"),
                node(work, ["companies", "shuttles"], "table", name="join.all"),
                node(work, "companies", None, name="count_node"),
            ]
        )
    }
"""
SAME_NODES = """
__default__:
  nodes:
    - {name: report_node, func: "m:work", inputs: regressor}
    - name: split_node
      func: "m:work"
      inputs: [table, "params:model_options"]
      outputs: [train, test]
    - {name: train_node, func: "m:work", inputs: [train, test], outputs: regressor}
    - {name: join.all, func: "m:work", inputs: [companies, shuttles], outputs: table}
    - {name: count_node, func: "m:work", inputs: companies}
"""


def test_text_is_that_of_the_real_kedro_airflow(tmp_path: Path) -> None:
    """The default template of the installed release, over one pipeline, by both programs."""
    kedro = tmp_path / "kedro"
    for file, text in {
        "pyproject.toml": '[tool.kedro]\npackage_name = "space_flights"\n'
        'project_name = "Space"\nkedro_init_version = "1.0.0"\nsource_dir = "src"\n',
        "src/space_flights/__init__.py": "",
        "src/space_flights/settings.py": "",
        "src/space_flights/pipeline_registry.py": REGISTRY,
        "conf/base/airflow.yml": SETTINGS,
        "conf/base/catalog.yml": CATALOG,
        "conf/base/parameters.yml": PARAMETERS,
        "conf/local/catalog.yml": "",
    }.items():
        (kedro / file).parent.mkdir(parents=True, exist_ok=True)
        (kedro / file).write_text(text)
    python = python_of("kedro-1.7")
    where = "import kedro_airflow; print(kedro_airflow.__file__)"
    package = subprocess.run(
        [str(python), "-c", where], capture_output=True, text=True, check=True
    ).stdout
    subprocess.run(
        [str(python), "-m", "kedro", "airflow", "create", "--target-dir", str(tmp_path / "dags")],
        cwd=kedro,
        env={**os.environ, "DO_NOT_TRACK": "1", "PYTHONPATH": "src"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    theirs = (tmp_path / "dags" / "space_flights_dag.py").read_text()

    stages = plan_of(tmp_path / "ours", SAME_NODES, SETTINGS, name="space-flights")
    template = Path(package.strip()).parent / "airflow_dag_template.j2"
    ours = render(stages, template, "space_flights").text
    assert ours == theirs + "\n"


# What a template can ask for, but `type`, which here is never `namespace`.
EVERYTHING = """\
\"\"\"
{{ dag_name | safe | slugify }} {{ pipeline_name }} {{ package_name | safe }} {{ env }}
{{ conf_source }} {{ owner | safe }} {{ schedule | default(schedule_interval) }} {{ start_date }}
{% include "parts/nodes.j2" %}
{%- for group in node_objs %}
{{ group.name }} {{ group.name | slugify }}
{%- for node in group.nodes %} {{ node }}{% endfor %} after
{%- for name in group.dependencies %} {{ name | slugify }}{% endfor %}
{%- endfor %}
{{ pipeline.all_inputs() | sort | join(" ") }} {{ pipeline.outputs() | sort | join(" ") }}
\"\"\"
"""
NODES = """\
{%- for node in pipeline.nodes %}
{{ node.name }} {{ node.short_name | slugify }} {{ node.namespace }} {{ node.func.__name__ }}
{{ node.inputs | join(" ") }} {{ node.outputs | join(" ") }} {{ node.tags | sort | join(" ") }}
{%- endfor %}
"""


@pytest.mark.parametrize(
    ("template", "options"),
    [
        ("airflow_dag_template.j2", ()),
        ("groups_0_11.j2", ("--params", "retries=4,owner=me")),
        ("everything.j2", ("--conf-source", "conf.tar.gz", "-e", "local")),
        ("everything.j2", ("--group-by", "namespace")),
    ],
)
def test_text_on_a_kedro_project_is_that_of_the_real_kedro_airflow(
    template: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    settings = "default: {owner: me, schedule: '@daily', start_date: [2023, 6, 1]}\n"
    root = write_kedro_project(tmp_path, {**KEDRO, "conf/base/airflow.yml": settings})
    # No tags that group: kedro-airflow knows none.
    shutil.copytree(TEMPLATES, root / "templates")
    (root / "templates/everything.j2").write_text(EVERYTHING)
    (root / "templates/parts/nodes.j2").write_text(NODES)
    where = "import kedro_airflow; print(kedro_airflow.__file__)"
    python = str(python_of("kedro-1.7"))
    package = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True)
    shutil.copy(Path(package.stdout.strip()).parent / "airflow_dag_template.j2", root / "templates")
    given = ("-j", f"templates/{template}", *options)
    theirs = run_kedro(root, "airflow", "create", *given, "-t", "theirs", program="kedro")
    ours = run_kedro(root, "create", *given, "-t", "ours", "--params", "max_active_runs=1")
    assert (theirs.code, ours.code) == (0, 0), theirs.err + ours.err
    # How tasks run is the template's own business: a warning, where DagForge's tasks are refused.
    assert "warning: tasks hand over '" in ours.err
    (old,) = (root / "theirs").iterdir()
    (new,) = (root / "ours").iterdir()
    text = old.read_text().replace("max_active_runs=3", "max_active_runs=1")
    body = "".join(new.read_text().splitlines(keepends=True)[HEADER_LINES:])
    assert body == text.rstrip("\n") + "\n"


def dashed(edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    return sorted([one, other] for one, other in edges)


def underscored(edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    return dashed((one.replace("-", "_"), other.replace("-", "_")) for one, other in edges)


# Airflow 3 has no `schedule_interval`: templates of the earlier releases are for Airflow 2.
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            "airflow-2.11",
            {
                "nodes_0_8": dashed(BY_NODE),
                "names_0_9": dashed(BY_GROUP),
                "objects_0_10": dashed(BY_GROUP),
                "gke_pods": underscored(BY_GROUP),
            },
        ),
        ("airflow-3.1", {"groups_0_11": dashed(BY_GROUP)}),
    ],
)
def test_real_airflow_loads_what_templates_of_every_release_give(
    environment: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    for name in expected:
        own = ARTICLE + f"  dag_id: {name}\n" if name == "gke_pods" else settings_text(dag_id=name)
        stages = plan_of(tmp_path / name, airflow=own)
        text = render(stages, TEMPLATES / f"{name}.j2").text
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    found = ask(environment, "loaded_dags.py", {"folder": str(folder)}, tmp_path / "home")
    assert found["errors"] == {}
    by_id = {dag_id.replace("-", "_"): dag["edges"] for dag_id, dag in found["dags"].items()}
    # The template's own slugify makes 0-8 of 0_8.
    assert by_id == expected
