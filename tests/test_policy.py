"""Policy: what holds, who is excepted, and the rules of packages."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dagforge.errors import DagForgeError
from dagforge.policy.images import Image, is_below, parse_image
from dagforge.policy.schedules import outside, parse_window, shortest_gap
from dagforge.values import Cron, Every
from tests.projects import AIRFLOW, build_project, run, write_project

RETRIES = {"dagforge.toml": "[policy.retries]\nmax = 3\n"}
PIPELINES = """
    etl:
      nodes:
        - {name: load, func: "team.etl:load", outputs: raw, tags: slow}
        - {name: clean, func: "team.etl:clean", inputs: raw, outputs: tidy}
    other:
      nodes: [{name: alone, func: "team.etl:alone"}]
    """


def problems(root: Path, files: Mapping[str, str], **request: Any) -> list[str]:
    """Return the first line of every problem of a project, rendered for Airflow's workers."""
    request = {"target": "airflow", "every": True, "render": True, **request}
    try:
        found = build_project(root, {"conf/base/pipelines.yml": PIPELINES, **files}, **request)
    except DagForgeError as error:
        return [str(problem).split("\n")[0] for problem in error.problems]
    return [str(problem).split("\n")[0] for problem in found.problems]


ALLOWED = [
    ("etl: {retries: 9, policy_exceptions: {retries: costs nothing}}", {}),
    (
        "etl: {for_tasks: {load: {retries: 9, policy_exceptions: {retries: costs nothing}}}}",
        {},
    ),
    ("etl: {for_tags: {slow: {retries: 9, policy_exceptions: {retries: why not}}}}", {}),
    ("etl: {retries: 9}", {"params": {"policy_exceptions": {"retries": "for a test"}}}),
    # In the environment that breaks the rule, and only there.
    ("etl: {retries: 3}", {"env": "prod"}),
]


@pytest.mark.parametrize(("settings", "request_"), ALLOWED)
def test_an_exception_allows_what_it_gives_a_reason_for(
    settings: str, request_: dict[str, Any], tmp_path: Path
) -> None:
    prod = "etl: {retries: 9, policy_exceptions: {retries: only in prod}}\n"
    files = {**RETRIES, AIRFLOW: settings, "conf/prod/airflow.yml": prod}
    assert problems(tmp_path, files, **request_) == []


def test_an_exception_beside_a_node(tmp_path: Path) -> None:
    pipelines = """
        etl:
          nodes:
            - name: load
              func: "team.etl:load"
              settings:
                retries: 9
                policy_exceptions: {retries: the source answers once in ten times}
            - {name: clean, func: "team.etl:clean", settings: {retries: 8}}
        """
    assert problems(tmp_path, {**RETRIES, "conf/base/pipelines.yml": pipelines}) == [
        "conf/base/pipelines.yml:8:65: error: 'retries' must be at most 3, not 8 [policy]"
    ]


def test_an_exception_for_one_pipeline_is_none_for_another(tmp_path: Path) -> None:
    settings = """
        default: {retries: 9}
        etl: {policy_exceptions: {retries: because}}
        """
    assert problems(tmp_path, {**RETRIES, AIRFLOW: settings}) == [
        "conf/base/airflow.yml:1:20: error: 'retries' must be at most 3, not 9 [policy]"
    ]


def test_a_null_takes_an_exception_back(tmp_path: Path) -> None:
    settings = """
        default: {retries: 9, policy_exceptions: {retries: because}}
        etl: {policy_exceptions: {retries: null}}
        """
    found = problems(tmp_path, {**RETRIES, AIRFLOW: settings})
    assert [line.partition(": ")[2] for line in found] == [
        "error: 'retries' must be at most 3, not 9 [policy]"
    ]


def test_an_exception_is_unused_only_where_all_that_may_use_it_was_seen(tmp_path: Path) -> None:
    settings = """
        default: {policy_exceptions: {retries: because}}
        other: {retries: 9}
        etl: {policy_exceptions: {retries: because}}
        """
    files = {**RETRIES, AIRFLOW: settings}
    of_etl = "conf/base/airflow.yml:3:27: error: nothing here breaks the rule 'retries'"
    assert problems(tmp_path, files) == [f"{of_etl} [policy-exception]"]
    one = {"every": False, "pipelines": ("other",)}
    assert problems(tmp_path, files, **one) == []
    files[AIRFLOW] = "default: {policy_exceptions: {retries: because}}\n"
    assert problems(tmp_path, files, **one) == []
    assert problems(tmp_path, files) == [
        "conf/base/airflow.yml:1:31: error: nothing here breaks the rule 'retries' "
        "[policy-exception]"
    ]


def test_an_exception_from_a_rule_that_looks_at_nothing_here_may_be_needed_elsewhere(
    tmp_path: Path,
) -> None:
    files = {
        "dagforge.toml": "[policy.image]\nlatest = false\n",
        AIRFLOW: "default: {image: 'shop:latest', policy_exceptions: {image: built here}}\n",
    }
    assert problems(tmp_path, files) == []
    assert problems(tmp_path, files, target="airflow-k8s") == []


def test_where_a_value_comes_from_does_not_matter(tmp_path: Path) -> None:
    assert problems(tmp_path, RETRIES, params={"retries": 4}) == [
        "conf/base/pipelines.yml:1:1: error: 'retries' must be at most 3, not 4 [policy]",
        "conf/base/pipelines.yml:5:1: error: 'retries' must be at most 3, not 4 [policy]",
    ]


def test_what_is_missing_is_told_once_a_pipeline(tmp_path: Path) -> None:
    policy = {"dagforge.toml": '[policy.owner]\nrequired = true\nseverity = "warning"\n'}
    assert problems(tmp_path, policy) == [
        "conf/base/pipelines.yml:1:1: warning: 'owner' is not set [policy]",
        "conf/base/pipelines.yml:5:1: warning: 'owner' is not set [policy]",
    ]


def test_a_rule_of_a_setting_that_this_target_lacks_is_kept(tmp_path: Path) -> None:
    policy = {"dagforge.toml": "[policy.trigger_rule]\nrequired = true\n"}
    assert problems(tmp_path, policy, target="prefect") == []


def test_a_rule_holds_for_every_orchestrator_that_knows_the_setting(tmp_path: Path) -> None:
    policy = {"dagforge.toml": '[policy.execution_timeout]\nmax = "6h"\n'}
    airflow = {AIRFLOW: "default: {execution_timeout: 7h}\n"}
    prefect = {"conf/base/prefect.yml": "default: {timeout_seconds: 25200}\n"}
    assert problems(tmp_path / "airflow", {**policy, **airflow}) == [
        "conf/base/airflow.yml:1:30: error: 'execution_timeout' must be at most 6h, not 7h [policy]"
    ]
    assert problems(tmp_path / "prefect", {**policy, **prefect}, target="prefect") == [
        "conf/base/prefect.yml:1:28: error: 'timeout_seconds' must be at most 6h, not 25200s "
        "[policy]"
    ]


def test_what_looks_at_a_project_is_not_stopped_by_its_policy(tmp_path: Path) -> None:
    files = {**RETRIES, AIRFLOW: "default: {retries: 9}\n", "conf/base/pipelines.yml": PIPELINES}
    root = write_project(tmp_path, files)
    for words in (["show", "etl"], ["explain", "etl.retries"], ["list"]):
        assert run(*words, "--project", str(root)).code == 0
    for words in (["validate"], ["create", "--all"], ["create", "--check", "-p", "etl"]):
        ran = run(*words, "--project", str(root))
        assert ran.code == 1
        assert "[policy]" in ran.err
    assert not (root / "dags").exists()


# --- rules of packages

SITE = {
    "acme_rules/__init__.py": "",
    "acme_rules/rules.py": """
        def idle(dag, *, hours=1):
            for task in dag.tasks:
                if task.settings["retries"] > hours:
                    message = f"{dag.target} {dag.version}: {task.kind}, {dag.edges}"
                    yield task.problem(message, setting="retries", fix="try less often")


        def nothing(dag):
            assert dag.dag_id and dag.pipeline and dag.env is None and dag.orchestrator
            assert str(dag.place("retries")) and dag.setting("a", "b") is None
        """,
    "acme_rules/dagforge.toml": """
        [policy]
        acme-idle = {hours = 2, severity = "warning"}
        acme-nothing = {}
        """,
    "acme_rules-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: acme-rules\nVersion: 1\n",
    "acme_rules-1.dist-info/entry_points.txt": """
        [dagforge.policy]
        acme-idle = acme_rules.rules:idle
        acme-nothing = acme_rules.rules:nothing
        """,
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder where Python looks for packages, with `acme_rules` in it."""
    site = write_project(tmp_path / "site", SITE)
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    yield site
    for name in [name for name in sys.modules if name.startswith("acme_rules")]:
        del sys.modules[name]


@pytest.mark.usefixtures("site")
def test_a_rule_of_a_package(tmp_path: Path) -> None:
    settings = """
        default: {retries: 9}
        other: {policy_exceptions: {acme-idle: it is alone}}
        """
    files = {"dagforge.toml": 'extends = ["acme_rules"]\n', AIRFLOW: settings}
    assert problems(tmp_path / "shop", files) == [
        "conf/base/airflow.yml:1:20: warning: airflow 3.3: worker, [('load', 'clean')] [policy]"
    ]


@pytest.mark.usefixtures("site")
def test_a_rule_is_in_force_where_a_policy_names_it(tmp_path: Path) -> None:
    files = {AIRFLOW: "default: {retries: 2}\n"}
    assert problems(tmp_path / "shop", files) == []
    assert "acme_rules" not in sys.modules
    files["dagforge.toml"] = "[policy]\nacme-idle = {}\n"
    assert len(problems(tmp_path / "shop", files)) == 2


@pytest.mark.usefixtures("site")
def test_the_rules_in_force_are_listed_with_their_exceptions(tmp_path: Path) -> None:
    facts = """
        extends = ["acme_rules"]
        [policy]
        retries = {max = 3}
        schedule = {required = true, between = "22:00-06:00", severity = "warning"}
        """
    settings = "etl: {retries: 9, policy_exceptions: {retries: costs nothing}}\n"
    files = {"dagforge.toml": facts, AIRFLOW: settings, "conf/base/pipelines.yml": PIPELINES}
    root = write_project(tmp_path / "shop", files)
    ran = run("policy", "--project", str(root))
    assert (ran.code, ran.err) == (0, "")
    assert [line.rstrip() for line in ran.out.splitlines()] == [
        "rule          demands                          severity  at",
        "acme-idle     hours 2                          warning   acme_rules/dagforge.toml:2:13",
        "acme-nothing                                   error     acme_rules/dagforge.toml:3:16",
        "retries       max 3                            error     dagforge.toml:3:11",
        'schedule      required, between "22:00-06:00"  warning   dagforge.toml:4:12',
        "",
        "1 exception",
        "  retries  conf/base/airflow.yml:1:48  costs nothing",
    ]
    listed = json.loads(run("policy", "--project", str(root), "--format", "json").out)
    assert listed["rules"][0] == {
        "rule": "acme-idle",
        "demands": {"hours": 2},
        "severity": "warning",
        "fix": None,
        "at": "acme_rules/dagforge.toml:2:13",
        "package": "acme_rules",
    }
    assert listed["exceptions"] == [
        {
            "rule": "retries",
            "reason": "costs nothing",
            "layer": "etl (base airflow)",
            "at": "conf/base/airflow.yml:1:48",
        }
    ]


def test_a_project_without_rules_says_so(tmp_path: Path) -> None:
    ran = run("policy", "--project", str(write_project(tmp_path, {})))
    assert (ran.code, ran.out) == (
        0,
        "no rules: neither the project nor a package that it extends has a policy\n",
    )


# --- images and schedules

IMAGES = [
    ("python", "docker.io/library/python", None, False),
    ("python:3.12", "docker.io/library/python", "3.12", False),
    ("acme/x", "docker.io/acme/x", None, False),
    ("localhost/x:1", "localhost/x", "1", False),
    ("host:5000/x", "host:5000/x", None, False),
    ("ghcr.io/a/b:1@sha256:0a", "ghcr.io/a/b", "1", True),
    ("ghcr.io/a/b@sha256:0a", "ghcr.io/a/b", None, True),
    ("ghcr.io/a/b:{{ var.value.tag }}", "ghcr.io/a/b", "{{ var.value.tag }}", False),
]


@pytest.mark.parametrize(("name", "repository", "tag", "digest"), IMAGES)
def test_the_parts_of_an_image(name: str, repository: str, tag: str | None, digest: bool) -> None:
    assert parse_image(name) == Image(repository, tag, digest)


def test_a_registry_ends_at_a_slash() -> None:
    assert is_below("ghcr.io/acme/x", "ghcr.io/acme")
    assert is_below("ghcr.io/acme/x", "ghcr.io/acme/x")
    assert not is_below("ghcr.io/acme-not/x", "ghcr.io/acme")
    assert not is_below("ghcr.io.evil.com/x", "ghcr.io")


GAPS = [
    ("0 3 * * *", datetime.timedelta(days=1)),
    ("*/5 * * * *", datetime.timedelta(minutes=5)),
    ("59 23,0 * * *", datetime.timedelta(hours=1)),
    ("0 3 * * 1", datetime.timedelta(days=7)),
    ("0 0 1 * *", datetime.timedelta(days=28)),
    ("0 0 29 2 *", datetime.timedelta(days=1461)),
    ("0,40 1 * * 1", datetime.timedelta(minutes=40)),
]


@pytest.mark.parametrize(("cron", "gap"), GAPS)
def test_the_shortest_time_between_two_runs(cron: str, gap: datetime.timedelta) -> None:
    assert shortest_gap(Cron(cron, "UTC", "trigger")) == gap
    assert shortest_gap(Every(gap, "interval")) == gap


WINDOWS = [
    ("0 3 * * *", "22:00-06:00", "UTC", None),
    ("0 6 * * *", "22:00-06:00", "UTC", "06:00"),
    ("0 22-23 * * *", "22:00-24:00", "UTC", None),
    ("* * * * *", "00:00-24:00", "UTC", None),
    # Half past four is half past six in a German summer.
    ("30 4 * * *", "22:00-06:00", "Europe/Berlin", "06:30"),
    ("30 3 * * *", "22:00-06:00", "Europe/Berlin", None),
    ("30 20 * * *", "22:00-06:00", "Europe/Berlin", "21:30"),
]


@pytest.mark.parametrize(("cron", "window", "zone", "found"), WINDOWS)
def test_times_outside_of_a_window(cron: str, window: str, zone: str, found: str | None) -> None:
    parsed = parse_window(window)
    assert parsed is not None
    assert outside(Cron(cron, "UTC", "trigger"), [parsed], zone) == found


@pytest.mark.parametrize("text", ["22-6", "22:00", "24:00-06:00", "06:00-06:00", "22:60-23:00"])
def test_what_is_no_window(text: str) -> None:
    assert parse_window(text) is None
