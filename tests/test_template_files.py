"""`dagforge templates`: what is built in, and copies to change."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
import pytest

from dagforge.commands.template_files import (
    blocks,
    copy_template,
    list_templates,
    names,
    read_template,
)
from dagforge.errors import OutputError, UsageError
from dagforge.resources import templates_dir

POD = "airflow/tasks/pod.py.jinja"


def test_list_names_every_template_its_comment_and_its_blocks() -> None:
    lines = list_templates().splitlines()
    assert [line for line in lines if not line.startswith(" ")] == names()
    start = lines.index("airflow/dag.py.jinja")
    assert lines[start + 1].startswith("  An Airflow DAG.")
    found = lines[start + 2].removeprefix("  blocks: ").split(", ")
    assert found == blocks(read_template("airflow/dag.py.jinja"))
    assert {"module_docstring", "dag_arguments", "before_tasks", "task", "edges"} <= set(found)


def test_every_template_says_what_it_is_and_writes_nothing_for_it() -> None:
    for name in names():
        comment, _, rest = read_template(name).partition("\n")
        assert re.fullmatch(r"\{# [A-Z].*\. #\}", comment), name
        environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
        assert environment.from_string(comment + "\nx").render() == "x", name
        assert not rest.startswith("{#"), name


def test_there_is_a_template_of_each_kind() -> None:
    assert {
        path.relative_to(templates_dir()).as_posix()
        for path in templates_dir().glob("*/tasks/*.jinja")
    } <= set(names())


@pytest.mark.parametrize("name", [POD, f"builtin/{POD}"])
def test_show_is_the_file(name: str) -> None:
    assert read_template(name).encode() == (templates_dir() / POD).read_bytes()


@pytest.mark.parametrize("name", [POD, f"builtin/{POD}"])
def test_copy_keeps_the_name_and_says_the_api(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "new" / "templates"
    assert copy_template(name, folder, force=False) == [folder / POD, folder / "templates.yaml"]
    assert (folder / POD).read_bytes() == (templates_dir() / POD).read_bytes()
    assert (folder / "templates.yaml").read_text().splitlines()[-1] == "template_api: 1"


def test_copy_leaves_the_api_of_the_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "templates.yaml").write_text("template_api: 0\n")
    assert copy_template(POD, tmp_path, force=True) == [tmp_path / POD]
    assert (tmp_path / "templates.yaml").read_text() == "template_api: 0\n"


def test_copy_overwrites_only_with_force(tmp_path: Path) -> None:
    copy_template(POD, tmp_path, force=False)
    (tmp_path / POD).write_text("mine")
    with pytest.raises(OutputError) as caught:
        copy_template(POD, tmp_path, force=False)
    assert str(caught.value) == (
        f"{(tmp_path / POD).as_posix()}: error: this file exists and holds something else "
        "[file-exists]\n  fix: --force overwrites it"
    )
    assert (tmp_path / POD).read_text() == "mine"
    copy_template(POD, tmp_path, force=True)
    assert (tmp_path / POD).read_bytes() == (templates_dir() / POD).read_bytes()


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("airflow/task/pod.py.jinja", f"did you mean '{POD}'?"),
        ("pod", "see `dagforge templates list`"),
        ("../pyproject.toml", "see `dagforge templates list`"),
        ("airflow/../../pyproject.toml", "see `dagforge templates list`"),
        ("/etc/passwd", "see `dagforge templates list`"),
        ("settings.yaml", "see `dagforge templates list`"),
        ("", "see `dagforge templates list`"),
    ],
)
def test_only_built_in_templates_have_a_name(tmp_path: Path, name: str, fix: str) -> None:
    expected = f"error: there is no built-in template '{name}' [template-not-found]\n  fix: {fix}"
    for attempt in (lambda: read_template(name), lambda: copy_template(name, tmp_path, force=True)):
        with pytest.raises(UsageError) as caught:
            attempt()
        assert str(caught.value) == expected
    assert not list(tmp_path.iterdir())
