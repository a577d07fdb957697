"""`dagforge report`, asked as a user asks it; what a browser makes of it is in `tests/real`."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dagforge.commands.report_page.page import SCRIPTS
from dagforge.commands.report_page.parts import embedded
from tests.git_projects import DATE, commit
from tests.projects import run, write_project
from tests.test_graph import HOSTILE, hostile_pipelines, hostile_settings

PIPELINES = """
    etl:
      description: Feeds the shop.
      nodes:
        - {name: load, func: "team.etl:load", outputs: [orders, rates], tags: ["machine:small"]}
        - name: clean
          func: team.etl:clean
          inputs: orders
          outputs: tidy
          tags: ["airflow:prepare", "machine:large"]
        - name: convert
          func: team.etl:convert
          inputs: [tidy, rates]
          outputs: prices
          tags: ["airflow:prepare", "machine:small"]
        - {name: tell, command: [echo, done], after: [convert]}
    nightly:
      nodes:
        - {name: sweep, func: "team.etl:sweep"}
    """
SETTINGS = """
    default:
      machines:
        large: {requests: {cpu: "4", memory: 8Gi}}
        small: {requests: {cpu: 500m, memory: 1Gi}}
      image: registry.example/shop:1
      namespace: shop
    etl:
      schedule: 0 6 * * *
      start_date: 2026-01-01
      retries: 2
      for_tasks:
        prepare: {retries: 5}
    """


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = write_project(
        tmp_path / "shop",
        {"conf/base/pipelines.yml": PIPELINES, "conf/base/airflow.yml": SETTINGS},
    )
    monkeypatch.chdir(root)
    return root


def report(*arguments: str) -> str:
    """Return the page that `dagforge report` prints, for Airflow's pods unless told otherwise."""
    target = () if "--target" in arguments else ("--target", "airflow-k8s")
    ran = run("report", "-o", "-", "-q", *target, *arguments)
    assert (ran.code, ran.err) == (0, "")
    return ran.out


def data(page: str) -> dict[str, Any]:
    """Return what the page's scripts read."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    read: dict[str, Any] = json.loads(found[1])
    return read


class Words(HTMLParser):
    """The words of a page, without styles and scripts, and its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and not {"script", "style"} & set(self.open):
            self.words.append(data.strip())


@pytest.mark.usefixtures("project")
def test_the_page_says_what_the_project_is() -> None:
    words = Words(report()).words
    head = "airflow-k8s (Airflow 3.3), environment base, 2 pipelines, 5 nodes, 4 tasks"
    assert head in words
    for expected in (
        "Feeds the shop.",
        "conf/base/pipelines.yml:2:3",
        "before grouping: 4 tasks",
        "after grouping: 3 tasks",
        "4 nodes in their tasks",
        "0 6 * * * UTC",
        "first runs",
    ):
        assert expected in words, expected


@pytest.mark.usefixtures("project")
def test_details_of_a_task_and_of_its_nodes() -> None:
    etl = data(report())["pipelines"][0]
    prepare = etl["tasks"]["prepare"]
    facts = dict(prepare["facts"])
    assert prepare["nodes"] == ["clean", "convert"]
    assert facts["runs as"] == ["pod, KubernetesPodOperator"]
    assert facts["machine"] == ["large"]
    assert facts["resources"][0] == 'requests: {"cpu": "4", "memory": "8Gi"}'
    assert "--nodes clean,convert" in facts["command"][0]
    assert "--run-id {run_id}" in facts["command"][0]
    assert prepare["settings"] == [
        ["retries", "5", "conf/base/airflow.yml:12:24", "etl.for_tasks.prepare (base airflow)"]
    ]
    assert ["retries", "2", "conf/base/airflow.yml:10:12", "etl (base airflow)"] in etl["settings"]
    clean = etl["nodes"]["clean"]
    assert clean["task"] == "prepare"
    assert dict(clean["facts"])["runs"] == ["team.etl:clean"]
    assert dict(clean["facts"])["at"] == ["conf/base/pipelines.yml:5:7"]


@pytest.mark.usefixtures("project")
def test_a_task_without_a_pod_has_no_name_of_one() -> None:
    for target, has_pod in (("airflow-k8s", True), ("airflow", False), ("prefect", False)):
        task = data(report("--target", target))["pipelines"][0]["tasks"]["prepare"]
        assert ("pod name" in dict(task["facts"])) == has_pod


@pytest.mark.usefixtures("project")
def test_drawings_are_before_and_after_grouping() -> None:
    views = {view["kind"]: view for view in data(report())["pipelines"][0]["views"]}
    assert views["before"]["shapes"] == ["load", "clean", "convert", "tell"]
    assert views["after"]["shapes"] == ["load", "prepare", "tell"]
    assert views["after"]["arrows"] == [[0, 1, ["orders", "rates"]], [1, 2, []]]
    assert views["nodes"]["arrows"][0] == [0, 1, ["orders"]]


@pytest.mark.usefixtures("project")
def test_machine_totals_before_and_after_grouping() -> None:
    words = Words(report("-p", "etl")).words
    table = words[words.index("Machines") :]
    assert table[5:18] == [
        *("no machine", "1", "1"),
        *("large", "cpu 4, memory 8Gi", "1", "1"),
        *("small", "cpu 500m, memory 1Gi", "2", "1"),
        "all requests together",
        "cpu",
    ]
    assert table[18:20] == ["5", "4500m"]


@pytest.mark.usefixtures("project")
def test_next_runs_are_those_after_a_moment() -> None:
    words = Words(report("-p", "etl", "--now", "2026-03-01T12:00")).words
    at = words.index("next runs after 2026-03-01 12:00")
    assert words[at + 1].startswith("2026-03-02 06:00")
    assert words[at + 5].startswith("2026-03-06 06:00")
    assert "no run by the clock" in Words(report("-p", "nightly")).words


def test_next_runs_are_those_after_the_last_commit(project: Path) -> None:
    commit(project)
    assert f"next runs after {DATE[:10]} {DATE[11:16]}" in Words(report("-p", "etl")).words


@pytest.mark.usefixtures("project")
def test_what_each_target_cannot_express() -> None:
    page = report()
    words = Words(page[page.index('id="targets"') :]).words
    names = [word.split(" ")[0] for word in words if re.match(r"(airflow|prefect)[-\w]* \(", word)]
    assert names == ["airflow-k8s", "airflow", "airflow-gke", "prefect"]
    assert any("airflow has no resources by task" in word for word in words)
    assert words[3] == "It expresses everything that is defined."


@pytest.mark.usefixtures("project")
def test_warnings_stand_on_the_page() -> None:
    page = report("--target", "airflow")
    overview = Words(page[: page.index('id="pipeline-0"')]).words
    assert any("mean nothing" in word for word in overview)


def test_the_same_input_gives_the_same_bytes(project: Path, tmp_path: Path) -> None:
    pages = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "dagforge", "report", "--project", project),
                *("--target", "airflow-k8s", "-o", "-", "-q"),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": f"UTC+{seed}"},
            capture_output=True,
            check=True,
        )
        pages.append(done.stdout)
    assert pages[0] == pages[1] == report().encode()


def test_a_report_is_kept_up_to_date(project: Path) -> None:
    file = project / "public" / "index.html"
    assert run("report", "-o", str(file)).out.startswith("created ")
    assert run("report", "-o", str(file)).out.startswith("unchanged ")
    assert run("report", "-o", str(file), "--check").code == 0
    write_project(project, {"conf/base/pipelines.yml": PIPELINES.replace("shop", "market")})
    assert run("report", "-o", str(file), "--check").code == 3
    assert run("report", "-o", str(file)).out.startswith("updated ")


def test_hostile_names_stay_text(project: Path) -> None:
    write_project(
        project,
        {
            "conf/base/pipelines.yml": hostile_pipelines(),
            "conf/base/airflow.yml": hostile_settings(),
        },
    )
    ran = run("report", "-o", "-", "-q", "--group-by", "none", "--target", "airflow")
    assert ran.code == 0, ran.err
    page = ran.out
    parsed = Words(page)
    assert parsed.tags.count("script") == 1 + len(SCRIPTS)
    assert not {"img", "iframe", "link", "object", "b"} & set(parsed.tags)
    assert not {name for name in parsed.attributes if name.startswith("on")}
    [pipeline] = data(page)["pipelines"]
    assert set(pipeline["nodes"]) == set(HOSTILE)
    assert html.escape(HOSTILE[0]) in page


def test_embedded_data_ends_no_script() -> None:
    value = {"<!--<script>": ["</script>", "&lt;", "\u2028", "größe"]}
    text = embedded(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value


@pytest.mark.usefixtures("project")
def test_the_page_fetches_nothing_and_runs_only_its_own_scripts() -> None:
    page = report()
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", page)
    assert not re.findall(r"url\((?!#)|@import", page)
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; ")
    assert policy.count("sha256-") == len(SCRIPTS)
    assert "unsafe-inline'; script" in policy
    assert not re.findall(r"script-src [^;]*unsafe", policy)
