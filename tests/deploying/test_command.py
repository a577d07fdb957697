"""`dagforge deploy`: what it takes from the project, and what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploying.stores import Store, fresh, gs_store, s3_store
from tests.projects import PIPELINES, TWO_NODES, Ran, run, write_project

FACTS = 'project = "shop"\ntarget = "airflow"\n'
ENVS = {f"conf/{env}/airflow.yml": f"default: {{owner: {env}}}" for env in ("dev", "prod")}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a generated file, in which we are."""
    files = {"dagforge.toml": FACTS, PIPELINES: "etl: {nodes: [{name: load, func: 'shop:load'}]}\n"}
    folder = write_project(tmp_path / "shop", files)
    monkeypatch.chdir(folder)
    assert run("create", "-q").code == 0
    return folder


@pytest.fixture(scope="module")
def s3() -> Iterator[Store]:
    with s3_store() as found:
        yield found


def facts(root: Path, text: str) -> None:
    (root / "dagforge.toml").write_text(FACTS + text)


def there(root: Path, bucket: str = "bucket") -> list[str]:
    """Return the deployed files."""
    folder = root.parent / bucket
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if path.parts[0] != ".dagforge")


def ok(ran: Ran) -> Ran:
    assert ran.code == 0, ran.err
    return ran


# --- what it says


def test_results_on_stdout_and_nothing_else(root: Path) -> None:
    ran = ok(run("deploy", "../bucket"))
    assert ran == Ran(0, "new        shop_etl.py\n../bucket: 1 new\n", "")
    assert ok(run("deploy", "../bucket")).out == "../bucket: 1 unchanged\n"
    told = ok(run("deploy", "../bucket", "-v"))
    assert told.out == "unchanged  shop_etl.py\n../bucket: 1 unchanged\n"
    assert told.err == "project shop, environment base: ../bucket\n"
    assert ok(run("deploy", "../bucket", "-q")) == Ran(0, "", "")
    assert there(root) == ["shop_etl.py"]


def test_json(root: Path) -> None:
    ran = ok(run("deploy", "../bucket", "--message-format", "json", "--dry-run"))
    assert json.loads(ran.out) == {
        "url": "../bucket",
        "dry_run": True,
        "files": [{"path": "shop_etl.py", "action": "new"}],
        "problems": [],
    }
    assert there(root) == []
    (root.parent / "bucket").mkdir()
    (root.parent / "bucket" / "shop_etl.py").write_text("x = 1\n")
    ran = run("deploy", "../bucket", "--message-format", "json")
    assert ran.code == 1
    (problem,) = json.loads(ran.out)["problems"]
    assert (problem["code"], problem["file"]) == ("foreign-file", "dags/shop_etl.py")


@pytest.mark.parametrize(
    ("library", "extra", "url"),
    [
        ("gcsfs", "gs", "gs://bucket/dags"),
        ("s3fs", "s3", "s3://bucket/dags"),
        ("adlfs", "az", "abfss://container@account.dfs.core.windows.net/dags"),
    ],
)
def test_a_library_that_is_missing(root: Path, library: str, extra: str, url: str) -> None:
    # In a process of its own: fsspec remembers what it has found.
    code = (
        f"import sys; sys.modules[{library!r}] = None; sys.argv[1:] = ['deploy', {url!r}]\n"
        "from dagforge.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 2
    scheme = url.partition(":")[0]
    assert done.stderr.startswith(
        f"error: deploying to {scheme}:// needs {library}, which is not installed here"
    )
    assert done.stderr.endswith(f"[missing-library]\n  fix: pip install 'dagforge[{extra}]'\n")


def test_a_whole_story_in_s3(root: Path, s3: Store) -> None:
    store = fresh(s3)
    assert ok(run("deploy", store.url)).out == f"new        shop_etl.py\n{store.url}: 1 new\n"
    assert ok(run("deploy", store.url)).out == f"{store.url}: 1 unchanged\n"
    (root / "conf/base/airflow.yml").write_text("default: {dag_id: sales}\n")
    assert run("deploy", store.url).code == 3
    ok(run("create", "-q", "--all", "--prune", "--accept-renames"))
    ran = ok(run("deploy", store.url))
    assert ran.out == (
        f"new        sales.py\nremoved    shop_etl.py\n{store.url}: 1 new, 1 removed\n"
    )
    assert store.objects() == {"sales.py": (root / "dags/sales.py").read_bytes()}


# --- where to


def test_the_project_says_where_to(root: Path) -> None:
    facts(root, '[deploy]\nurl = "../bucket"\nfolder = "team/shop"\n')
    ok(run("deploy"))
    assert there(root) == ["team/shop/shop_etl.py"]
    ok(run("deploy", "../other"))
    assert there(root, "other") == ["team/shop/shop_etl.py"]
    ok(run("deploy", "--folder", "."))
    assert there(root) == ["shop_etl.py"]


def test_a_folder_in_the_facts_is_relative_to_the_project(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts(root, '[deploy]\nurl = "../bucket"\n')
    monkeypatch.chdir(root / "conf")
    assert ok(run("deploy")).out.endswith(": 1 new\n")
    assert there(root) == ["shop_etl.py"]


def test_environments_have_places_of_their_own(root: Path) -> None:
    write_project(root, ENVS)
    facts(
        root,
        '[deploy]\nurl = "../dev"\nfolder = "shop"\n[deploy.prod]\nurl = "../prod"\nfolder = "."\n',
    )
    for env in ("dev", "prod"):
        ok(run("create", "-q", "--env", env, "-o", f"dags/{env}"))
    ok(run("deploy", "--env", "dev", "-o", "dags/dev"))
    ok(run("deploy", "--env", "prod", "-o", "dags/prod"))
    assert there(root, "dev") == ["shop/shop_etl.py"]
    assert there(root, "prod") == ["shop_etl.py"]
    assert b"owner" in (root.parent / "prod" / "shop_etl.py").read_bytes()
    # What was made for one environment is never deployed as another's.
    assert "[not-written]" in run("deploy", "--env", "prod", "-o", "dags/dev").err


GCLOUD = """#!/bin/sh
echo "$@" >> "{log}"
case "$*" in
  *analytics*) echo gs://bucket/dags ;;
  *) echo 'ERROR: NOT_FOUND' >&2; exit 1 ;;
esac
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_a_composer_environment_is_looked_up(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    (tmp_path / "gcloud").write_text(GCLOUD.format(log=log))
    (tmp_path / "gcloud").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    facts(root, '[deploy]\ncomposer = "analytics"\nlocation = "europe-west1"\n')
    with gs_store() as store:
        assert ok(run("deploy")).out == "new        shop_etl.py\ngs://bucket/dags: 1 new\n"
        assert "dags/shop_etl.py" in store.objects()
    ran = run("deploy", "--composer", "reports", "--composer-project", "acme")
    assert ran.code == 1
    assert ran.err == (
        "error: the bucket of Composer environment 'reports' is not known: ERROR: NOT_FOUND "
        "[no-composer]\n"
        "  fix: see what this says:\n"
        "       gcloud composer environments describe reports --location europe-west1 --project "
        "acme --format 'value(config.dagGcsPrefix)'\n"
    )
    assert log.read_text().splitlines()[0] == (
        "composer environments describe analytics --location europe-west1 "
        "--format value(config.dagGcsPrefix)"
    )


# --- what


def test_supporting_files_and_folders(root: Path) -> None:
    for name in (
        "lib/a.py",
        "lib/deep/b.py",
        "lib/__pycache__/a.pyc",
        "ignore.txt",
        "plugins/p.py",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    facts(
        root,
        '[deploy.files]\nlib = "lib"\n".airflowignore" = "ignore.txt"\n'
        '"../plugins/shop" = "plugins"\n',
    )
    ok(run("deploy", "../bucket/dags"))
    assert there(root) == [
        "dags/.airflowignore",
        "dags/.dagforge/shop.json",
        "dags/lib/a.py",
        "dags/lib/deep/b.py",
        "dags/shop_etl.py",
        "plugins/shop/p.py",
    ]
    facts(root, '[deploy]\nfiles = ["lib/a.py"]\n')
    ok(run("deploy", "../bucket/dags"))
    assert there(root) == ["dags/.dagforge/shop.json", "dags/lib/a.py", "dags/shop_etl.py"]


def test_layout_is_no_edit_and_is_deployed_as_it_is(root: Path) -> None:
    file = root / "dags" / "shop_etl.py"
    file.write_text("# A licence.\n" + file.read_text())
    ok(run("deploy", "../bucket"))
    assert (root.parent / "bucket" / "shop_etl.py").read_bytes() == file.read_bytes()


def test_unchecked_deploys_what_is_there(root: Path) -> None:
    (root / "conf/base/pipelines.yml").write_text("broken: [\n")
    assert run("deploy", "../bucket").code == 1
    assert there(root) == []
    ok(run("deploy", "../bucket", "--unchecked"))
    assert there(root) == ["shop_etl.py"]


@pytest.mark.parametrize("text", ["", "<<<<<<< HEAD\n", "# by hand\n"])
def test_a_file_without_its_header_is_not_taken_for_gone(root: Path, text: str) -> None:
    (root / "conf/base/pipelines.yml").write_text(
        "etl: {nodes: [{name: load, func: 'shop:load'}]}\n"
        "ml: {nodes: [{name: fit, func: 'shop:fit'}]}\n"
    )
    ok(run("create", "-q"))
    ok(run("deploy", "../bucket"))
    file = root / "dags" / "shop_ml.py"
    file.write_text(text)
    ran = run("deploy", "../bucket", "--unchecked")
    assert ran == Ran(
        1,
        "",
        "dags/shop_ml.py: error: this file has no header, so it is not clear whether "
        "../bucket/shop_ml.py is to go [bad-header]\n"
        "  fix: make it again with `dagforge create`; delete it, if its DAG is to go\n",
    )
    assert there(root) == ["shop_etl.py", "shop_ml.py"]
    file.unlink()
    ok(run("deploy", "../bucket", "--unchecked"))
    assert there(root) == ["shop_etl.py"]


@pytest.mark.parametrize("more", ["<<<<<<< HEAD\n", "x = (\n", "x = '\0'\n"])
def test_what_is_no_python_is_not_deployed(root: Path, more: str) -> None:
    file = root / "dags" / "shop_etl.py"
    file.write_text(file.read_text() + more)
    ran = run("deploy", "../bucket", "--unchecked")
    assert (ran.code, there(root)) == (1, [])
    assert ran.err.startswith("dags/shop_etl.py:")
    assert "this is no Python, so it was edited, cut or not merged: " in ran.err


def test_a_pipe_in_the_place_of_a_file(root: Path) -> None:
    ok(run("deploy", "../bucket"))
    file = root.parent / "bucket" / "shop_etl.py"
    file.unlink()
    os.mkfifo(file)
    ran = run("deploy", "../bucket")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("../bucket/shop_etl.py: error: it cannot be read: it is no ordinary")


def test_urls_of_folders(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    place = root.parent.as_posix()
    for url in (f"file://{place}/a/", f"FILE://localhost{place}/b", "~/c", "./gs:/d"):
        assert ok(run("deploy", url)).out.endswith(": 1 new\n")
    assert there(root, "a") == there(root, "b") == there(root, "c") == ["shop_etl.py"]
    assert there(root, "shop/gs:/d") == ["shop_etl.py"]
    facts(root, '[deploy]\nurl = "~/e"\n')
    ok(run("deploy"))
    assert there(root, "e") == ["shop_etl.py"]


def test_other_projects_files_in_the_output_folder_are_left(root: Path) -> None:
    facts(root, "")
    (root / "dagforge.toml").write_text('project = "mail"\n')
    ok(run("create", "-q"))
    ok(run("deploy", "../bucket"))
    assert there(root) == ["mail_etl.py"]


def test_the_last_file_goes_only_when_that_is_meant(root: Path) -> None:
    ok(run("deploy", "../bucket"))
    (root / "dags" / "shop_etl.py").unlink()
    ran = run("deploy", "../bucket")
    assert (ran.code, "[not-written]" in ran.err) == (1, True)
    assert there(root) == ["shop_etl.py"]
    assert ok(run("deploy", "../bucket", "--allow-empty")).out == (
        "removed    shop_etl.py\n../bucket: 1 removed\n"
    )
    assert there(root) == []


def test_warnings_stop_a_strict_deployment(root: Path) -> None:
    write_project(root, {PIPELINES: TWO_NODES})
    ok(run("create", "-q"))
    ran = run("deploy", "../bucket", "--strict")
    assert (ran.code, "[cannot-express]" in ran.err) == (1, True)
    assert there(root) == []
    assert "[cannot-express]" in ok(run("deploy", "../bucket")).err


def test_one_pipeline(root: Path) -> None:
    pipelines = root / "conf/base/pipelines.yml"
    pipelines.write_text(pipelines.read_text() + "more: {include: [etl]}\n")
    ok(run("create", "-q", "--all"))
    ok(run("deploy", "../bucket"))
    (root / "dags" / "shop_etl.py").unlink()
    assert ok(run("deploy", "../bucket", "-p", "more")).out == "../bucket: 1 unchanged\n"
    assert there(root) == ["shop_etl.py", "shop_more.py"]
