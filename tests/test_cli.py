"""The command line: each command, its exit codes, and what goes to which stream."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.projects import run, write_project

IMAGE = {"conf/base/dagforge.yml": "default: {image: 'registry/image:1'}"}
BLOCK = '{% extends "builtin/airflow/dag.py.jinja" %}{% block before_tasks %}BODY{% endblock %}\n'
TEMPLATES = {
    "tpl/templates.yaml": "template_api: 1\n",
    "tpl/airflow/dag.py.jinja": BLOCK.replace("BODY", "{{ nope }}"),
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory of the test, a folder for a project."""
    folder = tmp_path / "shop"
    (folder / "sub" / "deep").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


# --- where things are


@pytest.mark.parametrize("here", [".", "sub/deep"])
@pytest.mark.parametrize("option", ["--templates {up}/tpl", "--templates {root}/tpl", ""])
def test_places_in_templates_are_relative_to_the_project(
    root: Path, here: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {} if option else {"dagforge.toml": 'project = "shop"\ntemplates = "tpl"\n'}
    write_project(root, {**TEMPLATES, **facts})
    monkeypatch.chdir(here)
    up = "../.." if here != "." else "."
    ran = run("create", "--message-format", "github", *option.format(up=up, root=root).split())
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.startswith(
        "::error file=tpl/airflow/dag.py.jinja,line=1,title=template-undefined::'nope' is not"
    )


@pytest.mark.parametrize(
    ("files", "option", "says"),
    [
        (
            {},
            "--templates ../../no/such",
            "error: there is no template folder no/such [no-templates]\n",
        ),
        (
            {"dagforge.toml": 'templates = "./no/such"\n'},
            "",
            "dagforge.toml:1:13: error: `templates` names the folder no/such, which does not "
            "exist [no-templates]\n",
        ),
        (
            {"tpl/none.txt": ""},
            "--templates ../../tpl",
            "tpl/templates.yaml: error: the template folder does not say which template API it "
            "is for [template-api]\n  fix: write `template_api: 1` into tpl/templates.yaml\n",
        ),
        (
            {"tpl/templates.yaml": "template_api: 2\n"},
            "--templates ../../tpl",
            "tpl/templates.yaml:1:15: error: these templates are for template API 2, this "
            "DagForge has 1 [template-api]\n"
            "  fix: write `template_api: 1` into tpl/templates.yaml\n",
        ),
        (
            {"tpl/templates.yaml": "- [\n"},
            "--templates ../../tpl",
            "tpl/templates.yaml:1:4: error: the file ends where a value or a closing bracket",
        ),
        (
            {"kedro/dag.j2": "{{ nope(1) }}"},
            "-j ../../kedro/dag.j2",
            "kedro/dag.j2:1: error: 'nope' is undefined [template-undefined]\n",
        ),
        (
            {"kedro/dag.j2": "{% include 'nope.j2' %}"},
            "-j ../../kedro/dag.j2",
            "kedro/dag.j2:1: error: there is no template 'nope.j2' [template-not-found]\n",
        ),
    ],
)
def test_template_folders_are_named_relative_to_the_project(
    root: Path,
    files: Mapping[str, str],
    option: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_project(root, files)
    monkeypatch.chdir("sub/deep")
    ran = run("create", *option.split())
    assert ran.code in (1, 2)
    assert ran.err.startswith(says)


def test_a_template_folder_outside_the_project_is_named_as_it_was_typed(
    root: Path, tmp_path: Path
) -> None:
    write_project(root, {})
    write_project(tmp_path / "other", TEMPLATES)
    folder = tmp_path / "other" / "tpl"
    for typed, shown in ((str(folder), folder.as_posix()), ("../other/tpl", "../other/tpl")):
        ran = run("create", "--templates", typed)
        assert ran.err.startswith(f"{shown}/airflow/dag.py.jinja:1: error: 'nope' is not defined")


def test_folders_of_the_project_are_relative_to_its_root(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = 'project = "shop"\noutput = "out"\ntemplates = "tpl"\nconf = "settings"\n'
    template = {"tpl/airflow/dag.py.jinja": BLOCK.replace("BODY", "    # ours\n")}
    write_project(root, {**TEMPLATES, **template, "dagforge.toml": facts})
    (root / "conf").rename(root / "settings")
    monkeypatch.chdir("sub/deep")
    ran = run("create")
    created = f"created    {(root / 'out/shop_etl.py').as_posix()}  (2 tasks)\n"
    assert (ran.code, ran.out) == (0, created)
    assert "    # ours\n" in (root / "out/shop_etl.py").read_text()
    assert not list((root / "sub").rglob("*.py"))
