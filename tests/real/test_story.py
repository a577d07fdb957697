"""The life of generated DAGs: reviewed, checked, merged, deployed to a bucket that two teams share.

Real git, an S3 API on loopback, and the real Airflow for what is in the bucket at the end.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dagforge.resources import templates_dir
from tests.deploying.stores import Store, s3_store
from tests.git import Repository, make_repository
from tests.projects import AIRFLOW, PIPELINES, Ran, run
from tests.real.environments import python_of

EMPTY = "airflow.providers.standard.operators.empty.EmptyOperator"
BY_HAND = """\
import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG(dag_id="by_hand", schedule=None, start_date=pendulum.datetime(2024, 1, 1)):
    EmptyOperator(task_id="only")
"""
SALES = {
    "dagforge.toml": 'project = "sales"\nairflow-version = "3.3"\n',
    PIPELINES: f"""\
daily:
  nodes:
    - {{name: wait, operator: {{type: {EMPTY}}}}}
    - {{name: load, func: "sales.nodes:load", after: wait, outputs: orders}}
    - {{name: audit, func: "sales.nodes:audit", inputs: orders}}
    - {{name: report, func: "sales.nodes:report", inputs: orders}}

yearly:
  nodes:
    - {{name: close, func: "sales.nodes:close"}}
""",
    AIRFLOW: """\
default:
  start_date: "2024-01-31"
  owner: sales

daily:
  schedule: "0 2 * * *"
""",
}
STOCK = {
    "dagforge.toml": 'project = "stock"\nairflow-version = "3.3"\n',
    PIPELINES: f"""\
count:
  nodes:
    - {{name: open, operator: {{type: {EMPTY}}}}}
    - {{name: count, func: "stock.nodes:count", after: open}}
""",
    AIRFLOW: "default: {owner: stock, schedule: '@weekly', start_date: '2024-01-31'}\n",
}

FOR_THE_REVIEWER = (
    "1 DAG removed, 1 changed",
    "- DAG `sales-yearly` is gone: it runs no more, and its history is no longer shown among the "
    "active DAGs",
    "- `sales-daily`: `audit` loses its history of past runs",
    "- `schedule` `0 2 * * * UTC` → `30 1 * * * UTC`",
    "- before: next runs after 2026-01-01 00:00: 2026-01-01 02:00, 2026-01-02 02:00, "
    "2026-01-03 02:00 UTC",
    "- now: next runs after 2026-01-01 00:00: 2026-01-01 01:30, 2026-01-02 01:30, "
    "2026-01-03 01:30 UTC",
    "- removed task `audit`",
)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def teams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with the projects of two teams, their DAGs committed; the working directory."""
    made = make_repository(tmp_path / "platform")
    write(made.root / "sales", SALES)
    write(made.root / "stock", STOCK)
    write(made.root, {".gitignore": ".dagforge/\n"})
    monkeypatch.chdir(made.root)
    for team in ("sales", "stock"):
        assert dagforge("create", team).code == 0
    made.commit("two teams")
    return made


def dagforge(command: str, team: str, *arguments: str) -> Ran:
    return run(command, *arguments, "--project", team)


def loaded(folder: Path, home: Path) -> dict[str, list[str]]:
    """Return the tasks of each DAG that the real DagBag finds in a folder; no file may fail."""
    home.mkdir()
    question, answer = home / "question.json", home / "answer.json"
    files = [str(path) for path in sorted(folder.rglob("*.py"))]
    question.write_text(json.dumps({"folder": str(folder), "files": files}))
    subprocess.run(
        [python_of("airflow-3.3"), templates_dir() / "airflow/verify.py", question, answer],
        env={"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        cwd=home,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    said = [json.loads(line) for line in answer.read_text().splitlines()]
    found = [line for line in said if "loaded" in line]
    assert [line["errors"] for line in found] == [[] for _ in files]
    return {name: dag["tasks"] for line in found for name, dag in line["dags"].items()}


def test_a_pull_request_from_its_branch_to_the_bucket(teams: Repository, tmp_path: Path) -> None:
    with s3_store() as s3:
        bucket = Store(f"{s3.url}/dags", s3.proxy, s3.environment)
        bucket.put("by_hand.py", BY_HAND)
        for team in ("sales", "stock"):
            assert dagforge("deploy", team, bucket.url).code == 0
        before = bucket.objects()
        assert sorted(before) == [
            "by_hand.py",
            "sales_daily.py",
            "sales_yearly.py",
            "stock_count.py",
        ]
        review_and_merge(teams)

        # CI deploys what is on main now, for the team that it belongs to.
        dry = dagforge("deploy", "sales", bucket.url, "--dry-run")
        assert dry.out == (
            "changed    sales_daily.py\n"
            "removed    sales_yearly.py\n"
            f"{bucket.url}: 1 changed, 1 removed, if it were done\n"
        )
        assert bucket.objects() == before
        assert dagforge("deploy", "sales", bucket.url).code == 0
        after = bucket.objects()
        assert sorted(after) == ["by_hand.py", "sales_daily.py", "stock_count.py"]
        assert after["sales_daily.py"] == (teams.root / "sales/dags/sales_daily.py").read_bytes()
        for theirs in ("by_hand.py", "stock_count.py"):
            assert after[theirs] == before[theirs]
        unchanged = dagforge("deploy", "stock", bucket.url)
        assert unchanged.out == f"{bucket.url}: 1 unchanged\n"

    copy = tmp_path / "copy"
    copy.mkdir()
    for name, data in after.items():
        (copy / name).write_bytes(data)
    assert loaded(copy, tmp_path / "airflow") == {
        "by_hand": ["only"],
        "sales-daily": ["load", "report", "wait"],
        "stock-count": ["count", "open"],
    }


def review_and_merge(teams: Repository) -> None:
    """Change a schedule, drop a node and a pipeline on a branch, and bring it to main."""
    teams.git("checkout", "-q", "-b", "earlier")
    pipelines, settings = teams.root / "sales" / PIPELINES, teams.root / "sales" / AIRFLOW
    change(settings, '"0 2 * * *"', '"30 1 * * *"')
    audit = '    - {name: audit, func: "sales.nodes:audit", inputs: orders}\n'
    change(pipelines, audit, "")
    change(pipelines, pipelines.read_text().partition("\nyearly:")[2], "")
    change(pipelines, "\nyearly:", "")
    teams.commit("Earlier, and without the audit")

    # CI: the files were not made again.
    red = dagforge("create", "sales", "--check", "--message-format", "github")
    assert red.code == 3
    assert "-    audit = PythonOperator(\n" in red.out
    assert "--- a/dags/sales_yearly.py\n+++ /dev/null\n" in red.out
    assert "::error file=sales/dags/sales_daily.py,title=stale-file::" in red.out
    assert "::error file=sales/dags/sales_yearly.py,title=left-over::" in red.out
    assert dagforge("create", "stock", "--check").code == 0

    made = dagforge("create", "sales", "--prune")
    assert made.code == 0
    assert "no task_id 'audit': what ran under the old name is lost" in made.err
    assert made.out == (
        "updated    sales/dags/sales_daily.py  (3 tasks)\nremoved    sales/dags/sales_yearly.py\n"
    )
    teams.commit("The DAGs")
    assert dagforge("create", "sales", "--check", "--strict").code == 0

    # For the reviewer.
    said = dagforge("diff", "sales", "main...", "--format", "markdown", "--now", "2026-01-01")
    assert said.code == 0
    assert set(FOR_THE_REVIEWER) <= {line.strip() for line in said.out.splitlines()}
    assert dagforge("diff", "stock", "main...", "--exit-code").code == 0

    teams.git("checkout", "-q", "main")
    teams.git("merge", "-q", "--no-ff", "earlier")
    assert dagforge("create", "sales", "--check").code == 0
    assert teams.git("status", "--porcelain") == ""
