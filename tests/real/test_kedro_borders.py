"""What lives in memory and crosses the border of a task: refused, or kept so that the run works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.real.kedro_projects import CATALOG, VERSIONS, run_kedro, write_kedro_project

IN_MEMORY = {
    "conf/base/catalog.yml": """
        companies: {type: json.JSONDataset, filepath: data/companies.json}
        shuttles: {type: json.JSONDataset, filepath: data/shuttles.json}
        table: {type: json.JSONDataset, filepath: data/table.json}
        """
}
OVERLAY = "conf/base/catalog_dagforge.yml"


def test_memory_at_a_border_is_refused(tmp_path: Path) -> None:
    root = write_kedro_project(tmp_path, IN_MEMORY)
    ran = run_kedro(root, "create", "-p", "etl")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(
        "src/shop/pipelines/etl/pipeline.py:12:25: error: 'etl' hands over 2 datasets that live in"
        " memory [memory-border]\n"
        "  'more_companies' from task 'prepare' to 'join_both'\n"
        "  'more_shuttles' from task 'add_shuttles' to 'join_both'\n"
        "  fix: give them a place in the catalog; or put the nodes into one task; or let DagForge"
        " keep them: `memory_borders: fix` in the settings, or `create --fix-borders` for once\n"
    )
    assert not (root / "dags").exists()


@pytest.mark.parametrize(
    "arguments",
    [("--params", "memory_borders=allow"), ("--group-by", "memory")],
)
def test_ways_out(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    root = write_kedro_project(tmp_path, IN_MEMORY)
    ran = run_kedro(root, "create", "-p", "etl", *arguments)
    assert ran.code == 0, ran.err
    assert not (root / OVERLAY).exists()


def commands_of(plan: Any, run_id: str) -> list[list[str]]:
    """Return the commands of a plan's tasks, as a run of this id starts them."""

    def word(value: Any) -> str:
        if isinstance(value, dict):
            before, name, after = value["text"]
            assert name == "run_id"
            return f"{before}{run_id}{after}"
        return str(value)

    return [[word(value) for value in task["command"]] for task in plan["tasks"]]


@pytest.mark.parametrize("environment", VERSIONS)
def test_what_is_kept_reaches_the_next_task(tmp_path: Path, environment: str) -> None:
    """The very commands of pods, each a process, give what one `kedro run` gives."""
    store = tmp_path / "disk of all pods"
    settings = f"""
        default:
          image: shop:1
          memory_borders: fix
          store_url: "{store}"
          volumes: [{{name: data, persistentVolumeClaim: {{claimName: data}}}}]
          machines: {{small: {{}}}}
        """
    files = {**IN_MEMORY, "conf/base/dagforge.yml": settings}
    root = write_kedro_project(tmp_path / "shop", files, environment=environment)
    k8s = ("--target", "airflow-k8s")
    created = run_kedro(root, "create", "-p", "etl", *k8s, environment=environment)
    assert (created.code, created.out.splitlines()[0]) == (0, f"created    {OVERLAY}"), created.err

    shown = run_kedro(
        root, "show", "etl", "--stage", "plan", "--format", "json", *k8s, environment=environment
    )
    (plan,) = json.loads(shown.out)["pipelines"]
    for command in commands_of(plan, "scheduled__2024-01-01T00:00:00+00:00"):
        assert command[:2] == ["kedro", "run"]
        ran = run_kedro(root, *command[1:], environment=environment, program="kedro")
        assert ran.code == 0, ran.err + ran.out
    kept = sorted(path.name for path in store.rglob("*.pkl"))
    assert kept == ["more_companies.pkl", "more_shuttles.pkl"]

    other = write_kedro_project(tmp_path / "plain", IN_MEMORY, environment=environment)
    plain = run_kedro(other, "run", "--pipeline", "etl", environment=environment, program="kedro")
    assert plain.code == 0, plain.err
    table = "data/table.json"
    assert json.loads((root / table).read_text()) == json.loads((other / table).read_text())


def test_the_overlay_is_part_of_what_is_generated(tmp_path: Path) -> None:
    files = {**IN_MEMORY, "conf/base/dagforge.yml": "default: {memory_borders: fix}"}
    root = write_kedro_project(tmp_path, files)
    early = run_kedro(root, "run", "etl")
    assert (early.code, "[stale-file]" in early.err) == (1, True)
    assert run_kedro(root, "create", "--all").code == 0
    text = (root / OVERLAY).read_text()
    assert run_kedro(root, "create", "--all", "--check").code == 0
    (root / OVERLAY).unlink()
    stale = run_kedro(root, "create", "--all", "--check")
    assert (stale.code, f"{OVERLAY}: error" in stale.err) == (3, True)
    assert not (root / OVERLAY).exists()
    # A part of the pipelines adds to what the others need.
    (root / OVERLAY).write_text(f"{text}\nelse_where:\n  type: pickle.PickleDataset\n")
    assert run_kedro(root, "create", "-p", "etl").code == 0
    assert "else_where" in (root / OVERLAY).read_text()
    assert run_kedro(root, "create", "--all").code == 0
    assert (root / OVERLAY).read_text() == text
    ran = run_kedro(root, "run", "etl")
    assert ran.code == 0, ran.err


def test_the_overlay_stands_or_falls_with_the_dags(tmp_path: Path) -> None:
    root = write_kedro_project(tmp_path, IN_MEMORY)
    # Known to fail only when it is tried, also for root.
    failed = run_kedro(root, "create", "--fix-borders", "-o", "/proc/dags")
    assert (failed.code, (root / OVERLAY).exists()) == (1, False), failed.err
    stale = run_kedro(root, "create", "--fix-borders", "--check")
    assert stale.code == 3
    assert f"{OVERLAY}: error" in stale.err
    assert "dags/shop.py: error" in stale.err
    assert f"+++ b/{OVERLAY}" in stale.out


def test_a_template_that_starts_kedro_itself_cannot_keep_anything(tmp_path: Path) -> None:
    root = write_kedro_project(tmp_path, {**IN_MEMORY, "dag.j2": "dag = 1\n"})
    ran = run_kedro(root, "create", "--fix-borders", "-j", "dag.j2")
    assert (ran.code, "which a template of -j/--jinja-file" in ran.err) == (2, True), ran.err
    assert not (root / OVERLAY).exists()


def test_a_file_of_the_users_own_stays(tmp_path: Path) -> None:
    files = {**IN_MEMORY, OVERLAY: "mine: {type: MemoryDataset}\n"}
    root = write_kedro_project(tmp_path, files)
    ran = run_kedro(root, "create", "-p", "etl", "--fix-borders")
    assert (ran.code, "[foreign-file]" in ran.err) == (1, True)
    assert run_kedro(root, "create", "-p", "etl", "--group-by", "memory").code == 0
    assert (root / OVERLAY).read_text() == files[OVERLAY]


def test_versioned_and_local_and_shared_paths_are_told(tmp_path: Path) -> None:
    catalog = CATALOG.replace(
        'filepath: "data/more_{what}.json"', 'filepath: "data/more.json", versioned: true'
    ).replace(", credentials: secret", "")
    files = {
        "conf/base/catalog.yml": catalog,
        "conf/base/dagforge.yml": "default: {image: i, machines: {small: {}}}",
    }
    root = write_kedro_project(tmp_path, files)
    ran = run_kedro(root, "validate", "-p", "etl", "--target", "airflow-k8s")
    assert ran.code == 1
    assert "have one path, data/more.json [shared-path]" in ran.err
    (root / "conf/base/catalog.yml").write_text(catalog.replace("more.json", "more_{what}.json"))
    ran = run_kedro(root, "validate", "-p", "etl", "--target", "airflow-k8s")
    assert ran.code == 0
    assert ran.err.count("[versioned-border]") == 2
    assert "[local-path]" in ran.err
