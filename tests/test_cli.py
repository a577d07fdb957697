"""The command line: each command, its exit codes, and what goes to which stream."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete

from dagforge import __version__
from dagforge.cli.options import parse_params
from dagforge.cli.program import COMMANDS, ELSEWHERE, cli
from dagforge.cli.templates import templates
from dagforge.commands.folders import find_root
from dagforge.errors import UsageError
from tests.projects import AIRFLOW, PIPELINES, Ran, run, write_project

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


def test_the_project_is_the_nearest_folder_with_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = root / "sub" / "deep"
    assert find_root(deep) == deep
    (root / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert find_root(deep) == deep
    (root / "pyproject.toml").write_text("[tool.dagforge]\n")
    assert find_root(deep) == root
    (root / "sub" / "conf" / "base").mkdir(parents=True)
    assert find_root(deep) == root / "sub"
    (deep / "dagforge.toml").touch()
    assert find_root(deep) == deep
    monkeypatch.chdir(deep)
    write_project(root, {})
    assert run("list", "--project", "../..").out.startswith("pipeline")


# --- --params, and lists by commas


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["retries=2"], {"retries": 2}),
        (["retries:2"], {"retries": 2}),
        (["a=1,b:2", "c=3"], {"a": 1, "b": 2, "c": 3}),
        (["a.b:c"], {"a": {"b": "c"}}),
        (["a.b=1,a.c=2"], {"a": {"b": 1, "c": 2}}),
        ([" a = 1 , b = 2 "], {"a": 1, "b": 2}),
        (["image=registry:5000/x:1"], {"image": "registry:5000/x:1"}),
        (["image:registry/x=1"], {"image": "registry/x=1"}),
        (["owner=O'Brien,b=1"], {"owner": "O'Brien", "b": 1}),
        (["owner='a, b'"], {"owner": "a, b"}),
        (['owner="a, b",c=1'], {"owner": "a, b", "c": 1}),
        (["tags=[a, b],c=1"], {"tags": ["a", "b"], "c": 1}),
        (["labels={a: '1', b: x}"], {"labels": {"a": "1", "b": "x"}}),
        (["a=true,b=null,c=,d=1.5"], {"a": True, "b": None, "c": None, "d": 1.5}),
        (["day=2024-01-31"], {"day": "2024-01-31"}),
        (["schedule=@daily"], {"schedule": "@daily"}),
        (["a=# 5", "b=x # y", "c='x # y'"], {"a": "# 5", "b": "x # y", "c": "x # y"}),
        (["a=1,"], {"a": 1}),
        ([], {}),
    ],
)
def test_params(texts: list[str], expected: dict[str, Any]) -> None:
    assert parse_params(texts) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("retries", "--params: 'retries' is no key=value"),
        ("=2", "--params: '=2' is no key=value"),
        ("a..b=2", "--params: 'a..b=2' is no key=value"),
        ("a=1,a=2", "--params: 'a' is set twice"),
        ("a=1,a.b=2", "--params: 'a.b' and 'a' cannot both be set"),
        ("a.b=1,a=2", "--params: 'a'"),
        ("a=NO", "--params a: NO is a truth value in YAML 1.1 and text in YAML 1.2"),
        ("a=[1", "--params a: "),
    ],
)
def test_params_that_cannot_be_read(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_params([text])
    assert [problem.code for problem in caught.value.problems] == ["bad-params"]
    assert caught.value.problems[0].message.startswith(says)


def test_params_are_told_of_all_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        parse_params(["a", "b=1,b=2", "c=NO"])
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("options", [["-p", "b,a"], ["-p", "b", "--pipelines", "a"], ["-p=a, b"]])
def test_names_by_commas(root: Path, options: list[str]) -> None:
    names = "".join(f"{name}: {{nodes: [{{name: n, func: 'm:f'}}]}}\n" for name in "abc")
    write_project(root, {PIPELINES: names})
    options = [word.replace("-p=", "--pipeline=") for word in options]
    ran = run("create", *options, "--message-format", "json")
    assert [file["path"] for file in json.loads(ran.out)["files"]] == ["shop_a.py", "shop_b.py"]


# --- each command: what it prints, where, and its exit code


GOOD = {
    PIPELINES: """
        etl:
          nodes:
            - {name: load, func: "team.etl:load", outputs: raw}
            - {name: clean, func: "team.etl:clean", inputs: raw}
        """,
}
BAD = {AIRFLOW: "default: {retries: many}"}
NOT_LOADED = "not loaded in the orchestrator: `dagforge verify dags --python PATH` does that\n"


def test_alone_it_says_what_to_do_first() -> None:
    ran = run()
    assert (ran.code, ran.err) == (0, "")
    assert "dagforge init my_project" in ran.out


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option: str) -> None:
    assert run(option) == Ran(0, f"dagforge {__version__}\n", "")


@pytest.mark.parametrize(
    "command", ["", *COMMANDS, *(f"templates {name}" for name in templates.commands)]
)
def test_help_of_every_command(command: str) -> None:
    for option in ("-h", "--help"):
        ran = run(*command.split(), option)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith(f"Usage: dagforge {command}".rstrip())
        assert max(map(len, ran.out.splitlines())) <= 100
        assert "\\b" not in ran.out, "examples are shown line by line"


@pytest.mark.parametrize("command", ["show", "graph", "advise", "run --dry-run"])
def test_one_pipeline_is_named_as_kedro_names_it_too(root: Path, command: str) -> None:
    write_project(root, GOOD)
    named = re.sub(r"local__\S+", "", run(*command.split(), "-p", "etl").out)
    assert named
    for words in (["etl"], ["etl", "--pipeline", "etl"], []):
        assert re.sub(r"local__\S+", "", run(*command.split(), *words).out) == named


def test_a_dry_run_of_create_is_its_diff(root: Path) -> None:
    write_project(root, GOOD)
    ran = run("create", "--dry-run")
    assert (ran.code, ran.out.splitlines()[1]) == (0, "+++ b/dags/shop_etl.py")
    assert not (root / "dags").exists()


@pytest.mark.parametrize(("word", "command"), ELSEWHERE.items())
def test_what_other_tools_call_a_command(word: str, command: str) -> None:
    assert word not in COMMANDS
    assert run(*command.split(), "--help").code == 0


def test_create_then_nothing_to_do(root: Path) -> None:
    write_project(root, GOOD)
    assert run("create") == Ran(0, "created    dags/shop_etl.py  (2 tasks)\n", NOT_LOADED)
    assert run("create") == Ran(0, "unchanged  1 file\n", "")
    assert run("create", "-q") == Ran(0, "", "")
    verbose = run("create", "-v")
    assert verbose.out == "unchanged  dags/shop_etl.py  (2 tasks)\n"
    assert verbose.err == (
        f"project shop in {root.as_posix()}, environment base, target airflow (Airflow 3.3)\n"
    )
    assert run("create", "--check") == Ran(0, "unchanged  1 file\n", "")


def test_a_check_that_finds_something_ends_with_3(root: Path) -> None:
    write_project(root, GOOD)
    ran = run("create", "--check")
    assert ran.code == 3
    assert ran.out.startswith("--- /dev/null\n+++ b/dags/shop_etl.py\n@@ -0,0 ")
    assert run("create", "--check", "-q") == Ran(3, "", ran.err)
    assert ran.err.startswith("dags/shop_etl.py: error: ")
    assert not (root / "dags").exists()
    told = run("create", "--check", "--message-format", "json")
    assert json.loads(told.out)["files"] == [
        {"path": "shop_etl.py", "status": "missing", "diff": ran.out}
    ]
    assert [each["code"] for each in json.loads(told.out)["problems"]] == ["missing-file"]


def test_a_diff_is_printed_and_nothing_written(root: Path) -> None:
    write_project(root, GOOD)
    ran = run("create", "--diff")
    assert ran.code == 0
    assert ran.out.startswith("--- /dev/null\n+++ b/dags/shop_etl.py\n@@ -0,0 ")
    assert not (root / "dags").exists()
    run("create")
    assert run("create", "--diff").out == ""


def test_a_diff_with_a_check_ends_with_3(root: Path) -> None:
    write_project(root, GOOD)
    run("create")
    assert run("create", "--check", "--diff") == Ran(0, "", "")
    run("create", "--params", "retries=7")
    ran = run("create", "--check", "--diff")
    assert ran.code == 3
    assert ran.out.startswith("--- a/dags/shop_etl.py\n+++ b/dags/shop_etl.py\n")
    assert '-    default_args={"retries": 7},\n' in ran.out
    assert "[stale-file]" in ran.err
    assert run("create", "--diff") == Ran(0, ran.out, "")


def test_the_step_after_create_is_told_where_something_was_written(root: Path) -> None:
    write_project(root, GOOD)
    assert run("create").err == NOT_LOADED
    assert run("create").err == ""
    assert run("create", "--params", "retries=7").err == NOT_LOADED
    assert run("create", "--diff").err == ""


@pytest.mark.parametrize(
    ("words", "option"), [(["etl"], "-p etl"), (["a b", "c"], "-p 'a b,c'"), (["x"], "-p x")]
)
def test_a_pipeline_without_its_option(root: Path, words: list[str], option: str) -> None:
    write_project(root, GOOD)
    for command in ("create", "validate"):
        ran = run(command, *words)
        assert ran.code == 2
        assert ran.err.endswith(f"({' '.join(words)}); a pipeline is named with -p: {option}\n")


def test_validate(root: Path) -> None:
    write_project(root, GOOD)
    says = "1 pipeline, 2 tasks for airflow: nothing wrong\n"
    assert run("validate") == Ran(0, says, "")
    assert run("validate", "-q") == Ran(0, "", "")
    write_project(root, BAD)
    assert run("validate").code == 1


def test_list_leaves_out_what_is_wrong_and_says_so(root: Path) -> None:
    write_project(root, {PIPELINES: "good: {nodes: [{name: a, func: 'm:f'}]}\nbad: {nodes: []}"})
    ran = run("list")
    assert ran.code == 1
    assert ran.out.splitlines() == [
        "pipeline  nodes  tasks  schedule  dag_id     description",
        "good          1      1  -         shop-good  -",
    ]
    assert ran.err == (
        "conf/base/pipelines.yml:2:1: error: pipeline 'bad' has no nodes [empty-pipeline]\n"
    )
    told = run("list", "--format", "json")
    assert [row["pipeline"] for row in json.loads(told.out)] == ["good"]
    assert told.err == ran.err


def test_what_is_wrong_elsewhere_does_not_matter(root: Path) -> None:
    files = {
        PIPELINES: """
            data: {nodes: [{name: science, func: "m:f"}]}
            data.science: {nodes: [{name: a, func: "m:f"}]}
            bad: {nodes: []}
            """,
        AIRFLOW: "data: {retries: 1}\ndata.science: {retries: 2}",
    }
    write_project(root, files)
    assert run("explain", "data.science.retries").out.startswith("data.science.retries = 2\n")
    assert run("explain", "data.retries").out.startswith("data.retries = 1\n")
    assert run("show", "data").out.startswith("pipeline data: 1 task of 1 node")
    assert run("explain", "bad.retries").code == 1
    lost = run("explain", "dta.retries")
    assert (lost.code, lost.out) == (2, "")
    assert lost.err == (
        "error: there is no pipeline 'dta' [unknown-pipeline]\n  fix: did you mean 'data'?\n"
    )
    assert run("explain", "retries").err.endswith("fix: begin with a pipeline: bad.retries\n")


@pytest.mark.parametrize(
    ("command", "prints"),
    [
        ("list", "pipeline"),
        ("show etl", "pipeline etl: 2 tasks"),
        ("show etl --stage plan --format json", "{"),
        ("explain etl.retries", "etl.retries"),
        ("explain etl --format json", "{"),
        ("help", "advice-differs"),
        ("help group-cycle", "[group-cycle]"),
        ("help [group-cycle]", "[group-cycle]"),
        ("templates list", "airflow/dag.py.jinja\n"),
        ("templates show airflow/tasks/pod.py.jinja", "{# "),
        ("schema", "{"),
        ("schema --kind pipelines", "{"),
    ],
)
def test_answers_go_to_standard_output(root: Path, command: str, prints: str) -> None:
    write_project(root, GOOD)
    ran = run(*command.split())
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(prints)
    if ran.out.startswith("{\n"):
        json.loads(ran.out)


def test_files_that_are_copied_are_named_unless_quiet(root: Path) -> None:
    name = "airflow/tasks/pod.py.jinja"
    assert run("templates", "copy", name).out == (
        f"created    templates/{name}\ncreated    templates/templates.yaml\n"
    )
    assert run("templates", "copy", name, "-d", "other", "-q") == Ran(0, "", "")
    assert (root / "other" / name).is_file()
    assert run("init", "new", "-q") == Ran(0, "", "")
    assert run("init", "newer").err == "\nnext: cd newer && dagforge create\n"


@pytest.mark.parametrize("form", ["json", "sarif", "github"])
@pytest.mark.parametrize(
    "command",
    ["create", "create --check", "create --diff", "validate", "create -v", "validate -v"],
)
def test_nothing_stands_between_what_a_program_reads(root: Path, command: str, form: str) -> None:
    for files in (GOOD, BAD, {AIRFLOW: ""}):
        write_project(root, files)
        ran = run(*command.split(), "--message-format", form)
        if form != "github":
            told = json.loads(ran.out)
            assert told.keys() >= ({"problems"} if form == "json" else {"version", "runs"})
        elif files is BAD:
            assert ran.out.startswith("::error file=conf/base/airflow.yml,line=1,col=20,title=")
            assert len(ran.out.splitlines()) == 1


def test_strict_stops_before_anything_is_written(root: Path) -> None:
    write_project(root, GOOD)
    run("create")
    (root / "dags/shop_etl.py").rename(root / "dags/shop_old.py")
    before = (root / "dags/shop_old.py").read_bytes()
    ran = run("create", "--strict", "--all")
    assert ran.code == 1
    assert "[left-over]" in ran.err
    assert [path.name for path in (root / "dags").iterdir()] == ["shop_old.py"]
    assert (root / "dags/shop_old.py").read_bytes() == before
    assert run("create", "--all").code == 0


def test_quiet_leaves_out_warnings(root: Path) -> None:
    write_project(
        root, {PIPELINES: GOOD[PIPELINES].replace("outputs", "tags: [machine.x], outputs")}
    )
    assert "[cannot-express]" in run("validate").err
    assert run("validate", "-q").err == ""
    assert run("validate", "--strict").code == 1
    write_project(root, BAD)
    both = run("validate", "-q").err
    assert "[wrong-type]" in both
    assert "[cannot-express]" not in both


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("create --chek", "--check"),
        ("create --message-format jsn", "'jsn' is not one of 'text', 'json', 'github', 'sarif'"),
        ("show etl --stage plans", "'plans' is not one of"),
        ("lst", "did you mean 'list'?"),
        ("templates shw x", "shw"),
        ("create --all -p etl", "exclude each other"),
        ("create --verify --check", "--check writes none"),
        ("create --python x", "--python is for --verify"),
        ("create --tags x", "--dag-id"),
        ("create --all --dag-id x", "--dag-id names one DAG"),
        ("create -p a,,b", "there is an empty name in the list"),
    ],
)
def test_a_wrong_command_line_ends_with_2(root: Path, command: str, says: str) -> None:
    write_project(root, GOOD)
    ran = run(*command.split())
    assert (ran.code, ran.out) == (2, "")
    assert says in " ".join(ran.err.split())
    assert not (root / "dags").exists()


# --- completion


def completed(*words: str) -> list[str]:
    """Return what a shell is offered for the last word."""
    shell = ShellComplete(cli, {}, "dagforge", "_DAGFORGE_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["cr"], ["create"]),
        (["create", "--accept"], ["--accept-renames"]),
        (["create", "-p", ""], ["etl", "eval", "other"]),
        (["create", "-p", "e"], ["etl", "eval"]),
        (["create", "--pipelines", "etl,e"], ["etl,eval"]),
        (["show", "o"], ["other"]),
        (["explain", "o"], ["other"]),
        (["create", "-e", ""], ["base", "prod"]),
        (["create", "--target", "airflow-"], ["airflow-k8s", "airflow-gke"]),
        (["schema", "--target", "p"], ["prefect"]),
        (["create", "--airflow-version", "2"], ["2.10", "2.11"]),
        (["create", "-g", "m"], ["memory", "module"]),
        (["help", "group-c"], ["group-cycle"]),
        (["init", "--example", "ch"], ["churn"]),
        (["templates", "copy", "airflow/tasks/p"], ["airflow/tasks/pod.py.jinja"]),
        (["create", "--project", "elsewhere", "-p", ""], ["far"]),
        (["create", "--conf", "elsewhere/conf", "-p", ""], ["far"]),
        (["create", "--message-format", "j"], ["json"]),
    ],
)
def test_completion(root: Path, words: list[str], expected: list[str]) -> None:
    names = "".join(f"{name}: {{nodes: []}}\n" for name in ("etl", "eval", "other"))
    write_project(root, {PIPELINES: names, "conf/prod/airflow.yml": ""})
    write_project(root / "elsewhere", {PIPELINES: "far: {nodes: []}"})
    assert completed(*words) == expected


@pytest.mark.parametrize("files", [{PIPELINES: "etl: ["}, {"dagforge.toml": "x"}, {PIPELINES: ""}])
def test_completion_says_nothing_of_what_is_wrong(
    root: Path, files: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    write_project(root, files)
    assert completed("create", "-p", "") == []
    assert capfd.readouterr() == ("", "")


def test_completion_in_bash(root: Path) -> None:
    write_project(root, GOOD)
    script = (
        'eval "$(_DAGFORGE_COMPLETE=bash_source dagforge)"\n'
        "COMP_WORDS=(dagforge create -p e) COMP_CWORD=3\n"
        '_dagforge_completion dagforge\necho "${COMPREPLY[@]}"\n'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, env={"PATH": path}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "etl\n", "")
    help_text = " ".join(run("--help").out.split())
    assert 'eval "$(_DAGFORGE_COMPLETE=bash_source dagforge)"' in help_text
