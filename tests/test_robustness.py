"""Bad input through the command line: the whole message, the exit code, nothing written.

The tables in `tests/robustness/` have a row for each: the command after `$`, the files of the
project, the exit code and what stands on standard error. What a text file cannot hold (bytes,
links, huge files) is made by the function of PREPARATIONS that stands after `@`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from dagforge.cli.program import run_command
from tests.git_projects import commit, git

TABLES = Path(__file__).parent / "robustness"
PIPELINES = "conf/base/pipelines.yml"
SETTINGS = "conf/base/airflow.yml"
ONE_PIPELINE = """\
etl:
  nodes:
    - {name: load, func: "team.etl:load", outputs: raw}
    - {name: clean, func: "team.etl:clean", inputs: raw, outputs: tidy}
"""
# Pods have no disk in common.
STORE = {"conf/base/dagforge_store.yml": "default: {store_url: 's3://bucket/store'}"}
OUTPUT = {"dags/by_hand.py": "# not ours\n", "dags/notes.txt": "keep me\n"}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        command: arguments of `dagforge`.
        preparation: name of a function that changes the project; empty without one.
        files: text by path in the project; ONE_PIPELINE where none of them defines pipelines.
        exit: code that the command ends with.
        says: what stands on standard error.
    """

    table: Path
    name: str
    command: tuple[str, ...]
    preparation: str
    files: Mapping[str, str]
    exit: int
    says: str


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command went."""

    exit: int
    out: str
    err: str


def run(*arguments: str) -> Ran:
    """Run `dagforge` in this process and folder."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command(arguments)
    return Ran(code, out.getvalue(), err.getvalue())


def make_project(root: Path, files: Mapping[str, str]) -> None:
    """Write a project with an output folder that is not to be touched."""
    if not any(name.startswith("conf/base/pipelines") for name in files):
        files = {PIPELINES: ONE_PIPELINE, **STORE, **files}
    for name, text in {**OUTPUT, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")


def snapshot(root: Path) -> dict[str, tuple[bytes | str, int]]:
    """Return every file, link and folder below `root` with its content and time of change."""
    found: dict[str, tuple[bytes | str, int]] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        changed = path.lstat().st_mtime_ns
        if path.is_symlink():
            found[name] = (str(path.readlink()), changed)
        elif path.is_file():
            found[name] = (path.read_bytes(), changed)
        else:
            found[name] = ("a folder", changed)
    return found


def rows() -> Iterator[Row]:
    """Yield the rows of all tables."""
    for table in sorted(TABLES.glob("*.txt")):
        text = table.read_text(encoding="utf-8")
        for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
            name, _, body = part.partition("\n")
            head, *rest = re.split(r"^--- (.*)\n", body, flags=re.MULTILINE)
            command, _, preparation = head.strip().partition("@ ")
            command = command.strip().removeprefix("$").strip() or "create"
            files = dict(zip(rest[::2], rest[1::2], strict=True))
            exits = [key for key in files if key.startswith("exit ")]
            says = files.pop(exits[0]).strip("\n") if exits else ""
            code = int(exits[0].removeprefix("exit ")) if exits else -1
            words = tuple(shlex.split(command))
            yield Row(table, name.strip(), words, preparation, files, code, says)


ROWS = list(rows())


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{row.table.stem}: {row.name}") for row in ROWS]
)
def test_what_is_refused(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    root = tmp_path / "project"
    make_project(root, row.files)
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    if row.preparation:
        PREPARATIONS[row.preparation](root)
    before = snapshot(tmp_path)
    ran = run(*row.command)
    says = ran.err.replace(str(tmp_path), "<tmp>").strip("\n")
    if request.config.getoption("--golden"):
        rewrite(row, ran.exit, says)
        return
    assert says == row.says
    assert ran.exit == row.exit
    # A check says with a diff what is not up to date.
    assert ran.out == "" or (ran.exit == 3 and ran.out.startswith("--- "))
    assert ran.exit != 0
    assert snapshot(tmp_path) == before
    assert "[internal]" not in says
    assert "Traceback" not in says


def rewrite(row: Row, code: int, says: str) -> None:
    """Make `says` what a row of its table expects."""
    assert "PYTEST_XDIST_WORKER" not in os.environ, "several processes would write one file"
    text = row.table.read_text(encoding="utf-8")
    before, mark, rest = text.partition(f"=== {row.name}\n")
    body, next_row, after = rest.partition("\n=== ")
    body = re.split(r"^--- exit .*\n", body + "\n", flags=re.MULTILINE)[0].rstrip("\n")
    body = f"{body}\n--- exit {code}\n{says}\n"
    row.table.write_text(before + mark + body + next_row + after, encoding="utf-8")


def test_names_of_rows_are_unique() -> None:
    names = [(row.table.name, row.name) for row in ROWS]
    assert len(set(names)) == len(names) >= 380
    assert {row.preparation for row in ROWS if row.preparation} == set(PREPARATIONS)


# --- what a table of text cannot hold

PREPARATIONS: dict[str, Callable[[Path], None]] = {}


def preparation(function: Callable[[Path], None]) -> Callable[[Path], None]:
    """Let rows name the function."""
    PREPARATIONS[function.__name__.replace("_", " ")] = function
    return function


def generated(root: Path) -> Path:
    """Run `create` in a project and return the file that it wrote."""
    assert run("create").exit == 0
    return root / "dags" / "project_etl.py"


@preparation
def packages_in_site(root: Path) -> None:
    sys.path.insert(0, str(root / "site"))


@preparation
def pipelines_in_utf_16(root: Path) -> None:
    (root / PIPELINES).write_bytes(ONE_PIPELINE.encode("utf-16"))


@preparation
def settings_in_latin_1(root: Path) -> None:
    (root / SETTINGS).write_bytes("default:\n  owner: Müller\n".encode("latin-1"))


@preparation
def a_zero_byte(root: Path) -> None:
    (root / SETTINGS).write_bytes(b"default:\n  owner: a\0b\n")


@preparation
def half_a_surrogate_pair(root: Path) -> None:
    (root / SETTINGS).write_bytes(b"default:\n  owner: \xed\xa0\x80\n")


@preparation
def facts_in_latin_1(root: Path) -> None:
    (root / "dagforge.toml").write_bytes(b'env = "base"\nproject = "\xff"\n')


@preparation
def thirty_thousand_brackets(root: Path) -> None:
    (root / PIPELINES).write_text("[" * 30_000)


@preparation
def two_hundred_levels(root: Path) -> None:
    (root / PIPELINES).write_text("".join(" " * depth + "a:\n" for depth in range(200)))


@preparation
def a_thousand_brackets_in_toml(root: Path) -> None:
    (root / "dagforge.toml").write_text("pipelines = " + "[" * 5000)


@preparation
def a_million_characters_for_a_number(root: Path) -> None:
    (root / SETTINGS).write_text(f"default:\n  retries: {'x' * 1_000_000}\n")


@preparation
def five_thousand_digits(root: Path) -> None:
    (root / SETTINGS).write_text(f"default:\n  retries: 1{'0' * 5000}\n")


@preparation
def a_key_of_100000_characters(root: Path) -> None:
    (root / SETTINGS).write_text(f"default:\n  {'k' * 100_000}: 1\n")


@preparation
def a_template_of_5000_brackets(root: Path) -> None:
    (root / SETTINGS).write_text(f'default:\n  image: "{{{{ {"(" * 5000} }}}}"\n')


@preparation
def ten_thousand_unknown_tags(root: Path) -> None:
    tags = ", ".join(f'"machine:m{number}"' for number in range(10_000))
    (root / SETTINGS).write_text("default: {image: i, machines: {m0: {}}}\n")
    (root / PIPELINES).write_text(f"etl: {{nodes: [{{name: a, func: m:f, tags: [{tags}]}}]}}\n")


@preparation
def a_chain_of_5000_in_a_circle(root: Path) -> None:
    nodes = [
        f"{{name: n{number}, func: m:f, inputs: d{number}, outputs: d{(number + 1) % 5000}}}"
        for number in range(5000)
    ]
    (root / PIPELINES).write_text(f"etl: {{nodes: [{', '.join(nodes)}]}}\n")


@preparation
def three_thousand_pipelines_of_each_other(root: Path) -> None:
    lines = (f"p{number}: {{include: [p{(number + 1) % 3000}]}}\n" for number in range(3000))
    (root / PIPELINES).write_text("".join(lines))


@preparation
def a_word_of_a_million_characters(root: Path) -> None:
    command = f"[echo, {'x' * 1_000_000}]"
    (root / PIPELINES).write_text(f"etl: {{nodes: [{{name: a, command: {command}}}]}}\n")


@preparation
def a_folder_is_the_file(root: Path) -> None:
    (root / "dags" / "project_etl.py").mkdir()


@preparation
def a_file_of_somebody_else(root: Path) -> None:
    (root / "dags" / "project_etl.py").write_text("import os\n")


@preparation
def a_generated_file(root: Path) -> None:
    # Facts that are refused hold only afterwards.
    facts = root / "dagforge.toml"
    text = facts.read_text() if facts.exists() else None
    facts.unlink(missing_ok=True)
    generated(root)
    if text is not None:
        facts.write_text(text)


@preparation
def a_generated_file_without_programs(root: Path) -> None:
    a_generated_file(root)
    os.environ["PATH"] = str(root)


@preparation
def a_generated_file_of_one_of_two_pipelines(root: Path) -> None:
    generated(root)
    (root / PIPELINES).write_text(ONE_PIPELINE + ONE_PIPELINE.replace("etl:", "more:"))


@preparation
def a_broken_header(root: Path) -> None:
    file = generated(root)
    file.write_text(file.read_text().replace("#   project", "#   projct"))


@preparation
def a_mistake_made_afterwards(root: Path) -> None:
    generated(root)
    (root / SETTINGS).write_text("default: {retires: 3}\n")


@preparation
def an_edited_file(root: Path) -> None:
    file = generated(root)
    file.write_text(file.read_text().replace("catchup=False", "catchup=True"))


@preparation
def a_file_of_another_project(root: Path) -> None:
    generated(root)
    (root / "dagforge.toml").write_text('project = "other"\n')
    (root / SETTINGS).write_text("etl: {dag_id: project-etl}\n")


@preparation
def a_stale_file(root: Path) -> None:
    generated(root)
    (root / SETTINGS).write_text("default: {owner: me}\n")


@preparation
def a_task_that_is_lost_with_catchup(root: Path) -> None:
    schedule = "default: {catchup: true, start_date: 2024-01-01, schedule: '@daily'}\n"
    (root / SETTINGS).write_text(schedule)
    generated(root)
    (root / PIPELINES).write_text(ONE_PIPELINE.replace("name: clean", "name: tidy"))


@preparation
def a_file_left_over(root: Path) -> None:
    generated(root)
    (root / PIPELINES).write_text(ONE_PIPELINE.replace("etl:\n", "new:\n", 1))


@preparation
def a_link_out_of_the_folder(root: Path) -> None:
    (root / "elsewhere.py").write_text("precious = 1\n")
    (root / "dags" / "project_etl.py").symlink_to(root / "elsewhere.py")


@preparation
def a_folder_that_links_to_itself(root: Path) -> None:
    (root / "out").symlink_to(root / "out")


@preparation
def files_that_cannot_be_read(root: Path) -> None:
    # Reading one's own memory at address nought fails for every user, root included.
    (root / SETTINGS).symlink_to("/proc/self/mem")
    (root / "conf" / "base" / "dagforge.yml").symlink_to("nowhere.yml")
    (root / "conf" / "base" / "airflow").mkdir()
    (root / "conf" / "base" / "airflow" / "again").symlink_to("..")


@preparation
def a_file_whose_templates_are_gone(root: Path) -> None:
    file = generated(root)
    file.write_text(file.read_text().replace("3.3\n", "3.3 --templates team\n", 1))


@preparation
def a_generated_file_that_cannot_be_read(root: Path) -> None:
    generated(root)
    (root / "dags" / "project_other.py").symlink_to("/proc/self/mem")


@preparation
def a_pipe(root: Path) -> None:
    os.mkfifo(root / SETTINGS)


def team_templates(root: Path) -> Path:
    """Make a template folder and return the place of a DAG's template in it."""
    (root / "team" / "airflow").mkdir(parents=True)
    (root / "team" / "templates.yaml").write_text("template_api: 1\n")
    return root / "team" / "airflow" / "dag.py.jinja"


@preparation
def a_template_api_that_cannot_be_read(root: Path) -> None:
    team_templates(root)
    (root / "team" / "templates.yaml").unlink()
    (root / "team" / "templates.yaml").symlink_to("/proc/self/mem")


@preparation
def a_template_that_cannot_be_read(root: Path) -> None:
    team_templates(root).symlink_to("/proc/self/mem")


@preparation
def a_template_that_is_a_pipe(root: Path) -> None:
    os.mkfifo(team_templates(root))


@preparation
def a_template_that_is_no_text(root: Path) -> None:
    team_templates(root).write_bytes(b"x = 1\n\xff")


@preparation
def a_kedro_template_that_cannot_be_read(root: Path) -> None:
    (root / "dag.j2").symlink_to("/proc/self/mem")


@preparation
def a_kedro_template_that_is_no_text(root: Path) -> None:
    (root / "dag.j2").write_bytes(b"x = 1\n\xff")


@preparation
def a_git_repository(root: Path) -> None:
    commit(root)
    git(root, "branch", "conf")


@preparation
def a_git_repository_without_commits(root: Path) -> None:
    git(root, "init", "--quiet")


@preparation
def a_git_repository_with_two_roots(root: Path) -> None:
    commit(root)
    git(root, "checkout", "--quiet", "--orphan", "orphan")
    commit(root, "begin again")
    git(root, "checkout", "--quiet", "main")


def wrong_settings(root: Path, text: str) -> None:
    """Commit settings, and take them back."""
    (root / SETTINGS).write_text(text, encoding="utf-8")
    commit(root)
    (root / SETTINGS).unlink()


@preparation
def a_commit_that_is_wrong(root: Path) -> None:
    wrong_settings(root, "default: {retries: many, owner: 5}\n")


@preparation
def a_commit_that_cannot_be_read(root: Path) -> None:
    wrong_settings(root, "default: [\n")


@preparation
def two_states_that_are_wrong(root: Path) -> None:
    wrong_settings(root, "default: {retries: many}\n")
    (root / SETTINGS).write_text("default:\n  retries: few\n", encoding="utf-8")


@preparation
def a_generated_file_with_a_syntax_error(root: Path) -> None:
    file = generated(root)
    file.write_text(file.read_text(encoding="utf-8").replace("with DAG(", "with DAG(("))


# --- what happens to a process


def start(root: Path, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
    """Start `dagforge` as a user's shell does."""
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **more.pop("env", {})}
    command = [sys.executable, "-m", "dagforge", *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen(command, cwd=root, env=environ, **streams)


def ended(process: subprocess.Popen[bytes]) -> Ran:
    """Return how a process ended; one that hangs is an error."""
    out, err = process.communicate(timeout=60)
    return Ran(process.returncode, (out or b"").decode(), (err or b"").decode())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a good project, which is the current folder."""
    root = tmp_path / "project"
    make_project(root, {})
    monkeypatch.chdir(root)
    return root


def test_a_mistake_in_a_process(project: Path) -> None:
    before = snapshot(project)
    assert ended(start(project, "create", "--env", "prod")) == Ran(
        2,
        "",
        "error: there is no environment 'prod': no folder conf/prod [unknown-env]\n"
        "  fix: create the folder, or leave out --env\n",
    )
    assert snapshot(project) == before


def test_a_reader_that_has_seen_enough(project: Path) -> None:
    settings = "".join(f"  v{number}: {'x' * 90}\n" for number in range(5000))
    (project / SETTINGS).write_text(f"default:\n  vars:\n  {settings.replace('  v', '    v')[2:]}")
    process = start(project, "show", "etl", "--stage", "settings")
    assert process.stdout is not None
    assert process.stdout.readline() == b"pipeline etl\n"
    process.stdout.close()
    process.stdout = None
    assert ended(process) == Ran(0, "", "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_a_terminal_that_cannot_show_a_name(encoding: str, project: Path) -> None:
    (project / SETTINGS).write_text("default: {właściciel数: 5}\n", encoding="utf-8")
    process = start(project, "create", env={"PYTHONIOENCODING": encoding})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, b"")
    # click writes UTF-8 where the locale knows ASCII only.
    encoding = {"ascii": "utf-8"}.get(encoding, encoding)
    name = "właściciel数".encode(encoding, "backslashreplace").decode(encoding)
    assert f"there is no setting '{name}'" in err.decode(encoding)


def test_nothing_in_the_environment(project: Path) -> None:
    command = [sys.executable, "-m", "dagforge", "create"]
    path = {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.run(command, cwd=project, env=path, capture_output=True, timeout=60)
    assert (process.returncode, process.stdout) == (
        0,
        b"created    dags/project_etl.py  (2 tasks)\n",
    )


@pytest.mark.parametrize(
    ("arguments", "stdout", "stderr", "code", "says"),
    [
        (
            ("create", "--diff"),
            "/dev/full",
            None,
            1,
            "error: standard output cannot be written: No space left on device [output]\n",
        ),
        (("create", "--env", "prod"), None, "/dev/full", 2, ""),
    ],
    ids=["standard output is full", "standard error is full"],
)
def test_streams_that_are_full(
    arguments: tuple[str, ...],
    stdout: str | None,
    stderr: str | None,
    code: int,
    says: str,
    project: Path,
) -> None:
    with contextlib.ExitStack() as stack:
        streams = {
            name: stack.enter_context(Path(path).open("wb"))
            for name, path in (("stdout", stdout), ("stderr", stderr))
            if path is not None
        }
        assert ended(start(project, *arguments, **streams)) == Ran(code, "", says)


@pytest.mark.parametrize(
    ("closed", "arguments", "code"),
    [("1", "create", 0), ("2", "create --env prod", 2), ("1 2", "create", 0), ("0 1 2", "list", 0)],
)
def test_streams_that_are_closed(closed: str, arguments: str, code: int, project: Path) -> None:
    closing = " ".join(f"{number}>&-" for number in closed.split())
    command = f"{shlex.quote(sys.executable)} -m dagforge {arguments} {closing}"
    ran = subprocess.run(["sh", "-c", command], cwd=project, capture_output=True, timeout=60)
    assert ran.returncode == code
    assert b"Traceback" not in ran.stderr
    if code == 0 and arguments == "create":
        compile((project / "dags" / "project_etl.py").read_text(), "dag", "exec")


def test_a_current_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"rmdir {shlex.quote(str(gone))}; {shlex.quote(sys.executable)} -m dagforge"
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    for arguments in ("create", "init", "templates copy airflow/dag.py.jinja", "verify"):
        gone.mkdir(exist_ok=True)
        ran = subprocess.run(
            ["sh", "-c", f"{script} {arguments}"],
            cwd=gone,
            env=path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (
            2,
            "",
            "error: the current folder cannot be used: No such file or directory [unreadable]\n"
            "  fix: change to a folder that exists\n",
        )


# Runs `dagforge create` and does something to itself before the second file is put in place.
BETWEEN = """
import os, resource, signal, sys
from dagforge.cli import main
{limit}
real, calls = os.replace, []
def replace(*arguments, **more):
    calls.append(arguments)
    if len(calls) == {call}:
        {happens}
    return real(*arguments, **more)
os.replace = os.rename = replace
sys.argv = ["dagforge", "create", "--all"]
main()
"""
TWO_PIPELINES = """\
one: {nodes: [{name: a, func: m:f}]}
two: {nodes: [{name: a, func: m:f}]}
"""


def interrupted(root: Path, happens: str, call: int = 2, limit: str = "") -> Ran:
    """Run `create` and let something happen just before a file is put in place."""
    code = BETWEEN.format(happens=happens, call=call, limit=limit)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environ, capture_output=True, timeout=60
    )
    return Ran(process.returncode, process.stdout.decode(), process.stderr.decode())


def written(root: Path) -> dict[str, str]:
    """Return the whole output folder."""
    return {
        path.name: path.read_text() for path in sorted((root / "dags").iterdir()) if path.is_file()
    }


def test_interrupted_between_two_files(project: Path) -> None:
    (project / PIPELINES).write_text(TWO_PIPELINES)
    before = written(project)
    ran = interrupted(project, "os.kill(os.getpid(), signal.SIGINT)")
    assert (ran.exit, ran.out, ran.err) == (130, "", "\ninterrupted\n")
    assert written(project) == before


def test_a_disk_that_is_full(project: Path) -> None:
    long = "x" * 200_000
    (project / PIPELINES).write_text(
        TWO_PIPELINES + f"three: {{description: {long}, nodes: [{{name: a, func: m:f}}]}}\n"
    )
    before = written(project)
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    ran = interrupted(project, "pass", limit=limit)
    assert (ran.exit, ran.out, ran.err) == (
        1,
        "",
        "dags/project_three.py: error: cannot write it: File too large [output]\n"
        "    nothing was changed\n"
        "  fix: raise the limit for the size of files (ulimit -f)\n",
    )
    assert written(project) == before


@pytest.mark.parametrize("call", [1, 2])
def test_killed_between_two_files(call: int, project: Path) -> None:
    (project / PIPELINES).write_text(TWO_PIPELINES)
    before = written(project)
    ran = interrupted(project, "os.kill(os.getpid(), signal.SIGKILL)", call)
    assert ran.exit == -signal.SIGKILL
    left = written(project)
    for name, text in left.items():
        assert before.get(name, text) == text
        if name.startswith("project_"):
            compile(text, name, "exec")
    # The next run finishes the work and clears what the killed one left.
    assert run("create", "--all").exit == 0
    assert sorted(written(project)) == [
        "by_hand.py",
        "notes.txt",
        "project_one.py",
        "project_two.py",
    ]
    assert run("create", "--all", "--check").exit == 0


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return what a process has used so far; the clock says nothing on a busy machine."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_interrupted_while_reading(project: Path) -> None:
    nodes = ", ".join(f"{{name: n{number}, func: m:f}}" for number in range(40_000))
    (project / PIPELINES).write_text(f"etl: {{nodes: [{nodes}]}}\n")
    before = snapshot(project)
    process = start(project, "create")
    while processor_seconds(process) < 0.6:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    ran = ended(process)
    assert (ran.exit, ran.out, ran.err) == (130, "", "\ninterrupted\n")
    assert snapshot(project) == before


# --- problems told to a program

WRONG = {
    SETTINGS: 'default:\n  retries: "100%"\n  owner: 5\n  "a,b:c\\nd": 1\n',
    PIPELINES: ONE_PIPELINE.replace("inputs: raw", "inputs: rwa"),
}
NOTE = "not loaded in the orchestrator: `dagforge verify dags --python PATH` does that\n"
DOUBTFUL = {SETTINGS: "default:\n  sla: 5m\n"}


def test_errors_as_json(project: Path) -> None:
    make_project(project, WRONG)
    ran = run("create", "--message-format", "json")
    assert (ran.exit, ran.err) == (1, "")
    problems = json.loads(ran.out)["problems"]
    assert [(p["code"], p["severity"], p["file"], p["line"], p["column"]) for p in problems] == [
        ("unknown-dataset", "error", "conf/base/pipelines.yml", 4, 53),
        ("wrong-type", "error", "conf/base/airflow.yml", 3, 10),
        ("wrong-type", "error", "conf/base/airflow.yml", 2, 12),
        ("unknown-setting", "error", "conf/base/airflow.yml", 4, 3),
    ]
    assert set(problems[0]) == {"code", "severity", "message", "file", "line", "column", "fix"}
    assert (
        problems[0]["fix"] == "did you mean 'raw', written by 'load' (conf/base/pipelines.yml:3)?"
    )


@pytest.mark.parametrize(
    ("files", "arguments", "code", "status", "warnings"),
    [
        ({}, (), 0, "created", 0),
        (DOUBTFUL, (), 0, "created", 1),
        ({}, ("--check",), 3, "missing", 0),
        ({}, ("--diff",), 0, "created", 0),
    ],
    ids=["written", "with a warning", "checked", "compared"],
)
def test_results_as_json(
    files: Mapping[str, str],
    arguments: tuple[str, ...],
    code: int,
    status: str,
    warnings: int,
    project: Path,
) -> None:
    make_project(project, files)
    ran = run("create", "--message-format", "json", *arguments)
    assert (ran.exit, ran.err) == (code, NOTE if code == 0 and not arguments else "")
    result = json.loads(ran.out)
    assert result["target"] == "airflow"
    (file,) = result["files"]
    assert (file["path"], file["status"]) == ("project_etl.py", status)
    assert ("diff" in file) == (code == 3 or "--diff" in arguments)
    severities = [problem["severity"] for problem in result["problems"]]
    assert severities.count("warning") == warnings


def test_errors_for_github(project: Path) -> None:
    make_project(project, WRONG)
    ran = run("create", "--message-format", "github")
    assert (ran.exit, ran.err) == (1, "")
    place = "file=conf/base/{}.yml,line={},col={},title={}"
    assert ran.out.splitlines() == [
        f"::error {place.format('pipelines', 4, 53, 'unknown-dataset')}::node 'clean' reads 'rwa', "
        "which nothing writes%0Afix: did you mean 'raw', written by 'load' "
        "(conf/base/pipelines.yml:3)?",
        f"::error {place.format('airflow', 3, 10, 'wrong-type')}::'owner' must be text, not the "
        'number 5%0Afix: quote it: "5"',
        f"::error {place.format('airflow', 2, 12, 'wrong-type')}::'retries' must be a whole "
        "number, not the text '100%25'",
        f"::error {place.format('airflow', 4, 3, 'unknown-setting')}::there is no setting "
        "'a,b:c%0Ad', and no template reads such a variable%0Afix: put it under `vars:`, or "
        "remove it",
    ]


def sarif_schema() -> Any:
    """Return what validates SARIF 2.1.0; of languages we write none."""
    schema = json.loads((Path(__file__).parent / "schemas/sarif-2.1.0.json").read_bytes())
    # "^[a-zA-Z]{2}|^[a-zA-Z]{2}-[a-zA-Z]{2}]?$" is no regular expression to every reader.
    for name in ("run", "toolComponent"):
        del schema["definitions"][name]["properties"]["language"]["pattern"]
    return jsonschema_rs.validator_for(schema)


@pytest.mark.parametrize(
    ("files", "arguments", "levels"),
    [
        ({}, (), []),
        (DOUBTFUL, (), ["warning"]),
        (WRONG, (), ["error"] * 4),
        ({}, ("--check",), ["error"]),
        ({}, ("--env", "prod"), ["error"]),
    ],
    ids=["nothing wrong", "doubtful", "wrong", "stale", "no place"],
)
def test_sarif(
    files: Mapping[str, str], arguments: tuple[str, ...], levels: list[str], project: Path
) -> None:
    make_project(project, files)
    ran = run("create", "--message-format", "sarif", *arguments)
    assert ran.err == ("" if "error" in levels else NOTE)
    log = json.loads(ran.out)
    assert (log["version"], log["$schema"]) == (
        "2.1.0",
        "https://json.schemastore.org/sarif-2.1.0.json",
    )
    assert list(sarif_schema().iter_errors(log)) == []
    assert not sarif_schema().is_valid({**log, "version": "2.0"})
    (one,) = log["runs"]
    assert one["tool"]["driver"]["name"] == "dagforge"
    rules = [rule["id"] for rule in one["tool"]["driver"]["rules"]]
    assert rules == sorted(set(rules))
    assert [result["level"] for result in one["results"]] == levels
    for result in one["results"]:
        assert set(result) <= {"ruleId", "ruleIndex", "level", "message", "locations"}
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["message"]["text"]
        for place in result.get("locations", ()):
            physical = place["physicalLocation"]
            uri = physical["artifactLocation"]["uri"]
            assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", uri), uri
            assert not uri.startswith("/")
            for key, number in physical.get("region", {}).items():
                assert key in ("startLine", "startColumn")
                assert number >= 1


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_the_command_line_itself_is_wrong(form: str) -> None:
    # click has not read the options when it stops: whatever the form, a person reads this.
    ran = run("create", "--message-format", form, "--nonsense")
    assert (ran.exit, ran.out) == (2, "")
    assert "No such option '--nonsense'" in ran.err
