"""What Prefect cannot express is said, each with its place; what it can is planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagforge.build import Request, build
from dagforge.errors import DagForgeError
from tests.projects import PIPELINES, build_project, problems_of, write_project

SHARED = "conf/base/dagforge.yml"
OWN = "conf/base/prefect.yml"
ONE_TASK = "etl: {nodes: [{name: load, command: [load]}]}"
POOL = "work_pool_name: kubernetes"


def says(root: Path, files: dict[str, str]) -> list[str]:
    """Return what is said of a project with these files, one task unless told otherwise."""
    return problems_of(root, {PIPELINES: ONE_TASK, **files}, target="prefect")


def test_machine_tags_are_told_once_a_run(tmp_path: Path) -> None:
    pipelines = """
        one: {nodes: [{name: a, func: "m:f", tags: ["machine:small"]}]}
        two: {nodes: [{name: b, func: "m:f", tags: ["machine:large"]}]}
        """
    assert problems_of(tmp_path, {PIPELINES: pipelines}, target="prefect", every=True) == [
        f"{PIPELINES}:1:45: warning: machine tags such as 'machine:small' mean nothing: prefect "
        "has no resources by task [cannot-express]"
    ]


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("owner: me", "owner"),
        ("pool: heavy", "pool"),
        ("catchup: true", "catchup"),
        ("start_date: 2024-01-31", "start_date"),
        ("trigger_rule: all_done", "trigger_rule"),
        ("namespace: jobs", "namespace"),
        ("k8s_service_account: worker", "k8s_service_account"),
        ("queue: fast", "queue"),
        ("on_failure_callback: {import: 'team.alerts:notify'}", "on_failure_callback"),
    ],
)
def test_a_shared_setting_that_only_airflow_knows_is_reported(
    tmp_path: Path, setting: str, name: str
) -> None:
    problem = f"1:11: warning: prefect has no '{name}', a setting of Airflow [cannot-express]"
    assert says(tmp_path, {SHARED: f"default: {{{setting}}}"}) == [f"{SHARED}:{problem}"]


@pytest.mark.parametrize("setting", ["catchup: false", "depends_on_past: false", "owner: null"])
def test_what_is_switched_off_is_not_missed(tmp_path: Path, setting: str) -> None:
    assert says(tmp_path, {SHARED: f"default: {{{setting}}}"}) == []


def test_in_prefects_own_file_such_a_setting_is_unknown(tmp_path: Path) -> None:
    files = {PIPELINES: ONE_TASK, OWN: "default: {owner: me}"}
    with pytest.raises(
        DagForgeError, match=r"prefect\.yml:1:11: error: .*'owner'.*unknown-setting"
    ):
        build_project(tmp_path, files, target="prefect", render=True)


def test_strict_makes_it_an_error(tmp_path: Path) -> None:
    root = write_project(tmp_path, {PIPELINES: ONE_TASK, SHARED: "default: {pool: heavy}"})
    with pytest.raises(DagForgeError) as caught:
        build(Request(root=root, target="prefect"), strict=True)
    assert [str(problem) for problem in caught.value.problems] == [
        f"{SHARED}:1:11: error: prefect has no 'pool', a setting of Airflow [cannot-express]"
    ]


def test_machines_operators_and_templates_are_reported(tmp_path: Path) -> None:
    pipelines = """
        etl:
          nodes:
            - {name: load, command: [load, "{{ ds }}", "{{.Name}}"], tags: ["machine:small"]}
            - name: list
              operator: {type: airflow.providers.amazon.aws.operators.s3.S3ListOperator}
        """
    machines = "default: {machines: {small: {requests: {cpu: 1}}}}"
    assert says(tmp_path, {PIPELINES: pipelines, SHARED: machines}) == [
        "conf/base/pipelines.yml:5:7: error: node 'list' is an operator of Airflow, which prefect "
        "does not have [cannot-express]\n"
        "  fix: compile this pipeline for Airflow, or write the node as `func` or `command`",
        "conf/base/dagforge.yml:1:11: warning: machine tags such as 'machine:small' mean "
        "nothing: prefect has no resources by task [cannot-express]",
        "conf/base/pipelines.yml:3:36: warning: node 'load': the text '{{ ds }}' is a template of "
        "Airflow, which Prefect passes on as it stands [cannot-express]",
    ]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            f"{POOL}, image: team/etl",
            "1:46: error: the image 'team/etl' has no tag: Prefect would make one up from the "
            "time of day [wrong-value]\n  fix: write its tag, such as team/etl:latest",
        ),
        (
            f'{POOL}, image: "example.com:5000/etl@sha256:0123"',
            "1:46: error: Prefect would look for the digest of "
            "'example.com:5000/etl@sha256:0123' as if it were a tag [wrong-value]\n"
            "  fix: name the image by a tag",
        ),
        (
            f"{POOL}, push: true",
            "1:39: error: 'push' needs an `image` [missing-setting]\n"
            "  fix: set `image:` beside it, or leave it out",
        ),
        (
            'schedule: "@daily"',
            "1:11: error: a schedule needs a deployment, and that needs a `work_pool_name` "
            "[missing-setting]\n  fix: set `work_pool_name:` beside it",
        ),
        (
            "tags: [a], image: 'team/etl:1', paused: true",
            "1:22: warning: 'image', 'paused' and 'tags' are left out: without a "
            "`work_pool_name` there is no deployment [cannot-express]",
        ),
        (
            f'{POOL}, schedule: "@once"',
            "1:49: error: Prefect has no schedule '@once' [cannot-express]\n"
            "  fix: write a cron or a duration, or null for never",
        ),
        (
            f"{POOL}, schedule: 6h, cron_meaning: interval",
            "1:49: error: Prefect 3 reads a duration as trigger only [cannot-express]\n"
            "  fix: write a cron, or leave out cron_meaning",
        ),
        (
            "parameters: {class: 1}",
            "1:24: error: 'class' cannot be a parameter of a flow [wrong-value]\n"
            "  fix: a Python name",
        ),
        (
            "parameters: {wait_for: 1}",
            "1:24: error: a flow has a use of its own for 'wait_for' [wrong-value]\n"
            "  fix: give it another name",
        ),
        (
            "parameters: {task_runs: 1}",
            "1:24: error: a flow has a use of its own for 'task_runs' [wrong-value]\n"
            "  fix: give it another name",
        ),
        (
            "parameters: {size: {default: 1, minimum: 0}}",
            "1:24: error: parameter 'size' cannot have a 'minimum' here: a flow's parameter has "
            "a type and a default [wrong-value]\n  fix: remove it",
        ),
    ],
)
def test_what_prefect_would_refuse_or_take_for_something_else(
    tmp_path: Path, settings: str, problem: str
) -> None:
    assert says(tmp_path, {OWN: f"default: {{{settings}}}"}) == [f"{OWN}:{problem}"]


@pytest.mark.parametrize(
    ("settings", "source"),
    [
        ("retries: 1", None),
        (f"{POOL}, image: 'team/etl:1'", None),
        (f"{POOL}, image: team/etl, build: true", None),
        (POOL, {"entrypoint": "project_etl.py:project_etl"}),
        (
            f"{POOL}, image: 'team/etl:1', source: 'https://example.com/r.git', source_folder: f/",
            {
                "source": "https://example.com/r.git",
                "entrypoint": "f/project_etl.py:project_etl",
            },
        ),
    ],
)
def test_where_workers_find_the_file(
    tmp_path: Path, settings: str, source: dict[str, str] | None
) -> None:
    files = {
        "pyproject.toml": '[tool.dagforge]\nproject = "project"',
        PIPELINES: ONE_TASK,
        OWN: f"default: {{{settings}}}",
    }
    [dag] = build_project(tmp_path, files, target="prefect").dags
    assert dag.source == source


@pytest.mark.parametrize(
    ("settings", "limit"),
    [(POOL, 1), (f"{POOL}, max_active_runs: 1", 1), ("retries: 1", None)],
)
def test_runs_that_would_overwrite_each_other_follow_each_other(
    tmp_path: Path, settings: str, limit: int | None
) -> None:
    files = {
        PIPELINES: """
            etl:
              nodes:
                - {name: load, command: [load], outputs: raw}
                - {name: clean, command: [clean], inputs: raw}
            """,
        "conf/base/catalog.yml": "raw: {type: pandas.CSVDataset, filepath: data/raw.csv}",
        OWN: f"default: {{{settings}}}",
    }
    [dag] = build_project(tmp_path, files, target="prefect").dags
    assert dag.deployment.get("concurrency_limit") == limit
    two = files | {OWN: f"default: {{{POOL}, max_active_runs: 2}}"}
    [problem] = problems_of(tmp_path, two, target="prefect")
    assert "[shared-path]" in problem
