"""Odd input that is right: it compiles for every target, and is up to date afterwards."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from dagforge.build import Request, build
from tests.test_robustness import ONE_PIPELINE, PIPELINES, SETTINGS, make_project, run

TARGETS = ("airflow", "airflow-k8s", "airflow-gke", "prefect")
PODS = "image: i, project_id: p, location: l, cluster_name: c"
NASTY = 'O\'Brien "R&D" \\ {{ ds }} {% raw %} {# x #} $HOME %(a)s \u0007 \u2028 🚀'


def created(root: Path, *arguments: str) -> dict[str, str]:
    """Run `create` and return the files."""
    ran = run("create", "-o", str(root / "out"), *arguments)
    assert ran.exit == 0, ran.err
    files = {path.name: path.read_text(encoding="utf-8") for path in (root / "out").iterdir()}
    for name, text in files.items():
        compile(text, name, "exec")
    return files


def strings(text: str) -> set[str]:
    """Return every text that stands in Python source."""
    return {
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def as_yaml(value: object) -> str:
    """Return YAML on one line."""
    return json.dumps(value, ensure_ascii=False).replace("\u2028", "\\u2028")


def nodes(*names: str) -> str:
    """Return pipelines.yml with independent nodes."""
    return as_yaml({"etl": {"nodes": [{"name": name, "func": "m:f"} for name in names]}})


NAMES = {
    "dots beside underscores": ("a.b", "a_b"),
    "one letter apart in case": ("Load", "load", "LOAD"),
    "Polish": ("zażółć gęślą jaźń", "Łódź"),
    "Chinese": ("数据", "加载", "数据加载"),
    "emoji": ("🚀", "🎉", "👩🔬", "a🚀"),
    "right to left": ("שלום", "مرحبا"),
    "keywords": ("class", "lambda", "None", "async", "match", "type", "_"),
    "builtins": ("print", "list", "str", "__import__", "__name__"),
    "what the file imports and binds": (
        *("DAG", "dag", "pendulum", "PythonOperator", "timedelta", "k8s", "datetime", "Cron"),
        *("run_nodes", "run_command", "literal", "flow", "task", "etl", "project", "arguments"),
        *("KubernetesPodOperator", "GKEStartPodOperator", "prefect", "subprocess", "wait"),
    ),
    "quotes and what templates read": ("it's", 'say "hi"', "{{ ds }}", "{% raw %}", "a#b", "c\\d"),
    "paths": ("../../etc/passwd", "/", "a/b", "C:\\x", "..", "."),
    "numbers": ("1", "01", "1e5", "1_000"),
    "shell": ("$(rm -rf /)", "`id`", "a;b", "c&&d", "*", "~", "e f"),
    "long": ("x" * 250, "x" * 249 + "y", "数" * 250),
    "a single node": ("only",),
}


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_names_of_nodes(
    names: tuple[str, ...], target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path, {PIPELINES: nodes(*names), SETTINGS: f"default: {{{PODS}}}\n"})
    monkeypatch.chdir(tmp_path)
    (dag,) = build(Request(root=tmp_path, target=target)).dags
    assert len({task.task_id for task in dag.tasks}) == len(names)
    assert len({task.variable for task in dag.tasks}) == len(names)
    assert len({task.pod_name for task in dag.tasks}) == len(names)
    (text,) = created(tmp_path, "--target", target).values()
    # Each name reaches the command that a task runs, whole.
    assert all(any(name in found for found in strings(text)) for name in names)


def test_a_value_that_is_everything(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "description" if target == "prefect" else "owner"
    settings = {"default": {key: NASTY, "vars": {}}}
    text = as_yaml(settings)[1:-1].replace('"vars": {}', PODS)
    make_project(tmp_path, {"conf/base/dagforge.yml": "{" + text + "}"})
    monkeypatch.chdir(tmp_path)
    (text,) = created(tmp_path, "--target", target).values()
    assert NASTY in strings(text)


PROJECTS: dict[str, tuple[Mapping[str, str], tuple[str, ...], list[str]]] = {
    "Windows line ends": (
        {
            PIPELINES: ONE_PIPELINE.replace("\n", "\r\n"),
            SETTINGS: "default:\r\n  owner: me\r\n",
        },
        (),
        ["project_etl.py"],
    ),
    "a byte order mark": (
        {PIPELINES: "\ufeff" + ONE_PIPELINE, "dagforge.toml": '\ufeffproject = "x"\n'},
        (),
        ["x_etl.py"],
    ),
    "empty settings": (
        {SETTINGS: "", "conf/base/dagforge.yml": "# nothing\n"},
        (),
        ["project_etl.py"],
    ),
    "empty sections": ({SETTINGS: "default:\netl:\n"}, (), ["project_etl.py"]),
    "nothing but null": (
        {SETTINGS: "null\n", "conf/base/catalog.yml": "---\n"},
        (),
        ["project_etl.py"],
    ),
    "no settings at all": ({}, ("--target", "airflow"), ["project_etl.py"]),
    "a catalog only": (
        {"conf/base/catalog.yml": "raw: {type: text, filepath: data/raw.txt}\n"},
        (),
        ["project_etl.py"],
    ),
    "a date as a list": (
        {SETTINGS: "default: {start_date: [2023, 1, 1]}\n"},
        (),
        ["project_etl.py"],
    ),
    "one node": ({PIPELINES: nodes("only")}, (), ["project_etl.py"]),
    "fifty pipelines": (
        {PIPELINES: "".join(f"p{n}: {{nodes: [{{name: a, func: m:f}}]}}\n" for n in range(50))},
        ("--all",),
        sorted(f"project_p{n}.py" for n in range(50)),
    ),
    "a long description": (
        {PIPELINES: f"etl: {{description: {'word ' * 20_000}, nodes: [{{name: a, func: m:f}}]}}\n"},
        (),
        ["project_etl.py"],
    ),
    "a description of quotes": (
        {
            PIPELINES: as_yaml(
                {"etl": {"description": '"""\\', "nodes": [{"name": "a", "func": "m:f"}]}}
            )
        },
        (),
        ["project_etl.py"],
    ),
    "ten thousand tags": (
        {
            PIPELINES: as_yaml(
                {
                    "etl": {
                        "nodes": [
                            {"name": "a", "func": "m:f", "tags": [f"t{n}" for n in range(10_000)]}
                        ]
                    }
                }
            )
        },
        (),
        ["project_etl.py"],
    ),
    "a chain of 5,000": (
        {
            PIPELINES: "etl:\n  nodes:\n"
            + "".join(
                f"    - {{name: n{n}, func: m:f, inputs: d{n}, outputs: d{n + 1}}}\n"
                if n
                else "    - {name: n0, func: m:f, outputs: d1}\n"
                for n in range(5000)
            )
        },
        (),
        ["project_etl.py"],
    ),
    "a million characters": (
        {SETTINGS: f"default: {{doc_md: {'x' * 1_000_000}}}\n"},
        (),
        ["project_etl.py"],
    ),
    "a hundred levels": (
        {SETTINGS: "default:\n  vars:\n    deep: " + "[" * 90 + "]" * 90 + "\n"},
        (),
        ["project_etl.py"],
    ),
    "a project that is called like a path": (
        {"dagforge.toml": 'project = "../../x y"\n'},
        (),
        ["x_y_etl.py"],
    ),
    "a name that nobody can spell": (
        {"dagforge.toml": 'project = "🚀"\n', PIPELINES: '"🎉": {nodes: [{name: a, func: m:f}]}\n'},
        (),
        ["ebbc0b28_6146299c.py"],
    ),
}


@pytest.mark.parametrize(("files", "arguments", "expected"), PROJECTS.values(), ids=PROJECTS)
def test_projects(
    files: Mapping[str, str],
    arguments: tuple[str, ...],
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "project"
    make_project(root, files)
    monkeypatch.chdir(root)
    assert sorted(created(root, *arguments)) == expected
    assert run("create", "-o", str(root / "out"), *arguments, "--check").exit == 0


def test_a_folder_with_blanks_and_letters_of_all_kinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "mój projekt 数据 🚀 'x' \"y\""
    make_project(root, {})
    below = root / "a" / "b c"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    ran = run("create")
    assert (ran.exit, ran.out) == (
        0,
        f"created    {root}/dags/moj_projekt_shu_ju_x_y_etl.py  (2 tasks)\n",
    )


def test_a_configuration_behind_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project(tmp_path / "real", {SETTINGS: "default: {owner: me}\n"})
    root = tmp_path / "project"
    root.mkdir()
    (root / "conf").symlink_to(tmp_path / "real" / "conf", target_is_directory=True)
    (root / "dags").symlink_to(tmp_path / "real" / "dags", target_is_directory=True)
    monkeypatch.chdir(root)
    ran = run("create")
    assert (ran.exit, ran.out) == (0, "created    dags/project_etl.py  (2 tasks)\n")
    text = (tmp_path / "real" / "dags" / "project_etl.py").read_text()
    assert "conf/base/pipelines.yml" in text
    assert str(tmp_path) not in text


def test_the_same_bytes_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "project"
    make_project(root, {})
    texts: set[bytes] = set()
    for folder, arguments in (
        (root, ()),
        (root / "conf" / "base", ()),
        (tmp_path, ("--project", "project")),
        (Path("/"), ("--project", str(root), "--conf", str(root / "conf"))),
    ):
        monkeypatch.chdir(folder)
        out = tmp_path / f"out{len(texts)}{os.urandom(4).hex()}"
        assert run("create", "-o", str(out), *arguments).exit == 0
        texts.add((out / "project_etl.py").read_bytes())
    assert len(texts) == 1
