"""The output folder: what is written, refused, reported, and put back."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

import pytest

import dagforge.write as write_module
from dagforge.errors import DagForgeError, OutputError, Problem
from dagforge.output import folder as folder_module
from dagforge.output import git as git_module
from dagforge.output import journal as journal_module
from dagforge.output.files import RenderedFile, StaleOutputError, WriteMode, WriteReport
from dagforge.output.manifest import Manifest, assemble
from dagforge.write import write

Snapshot = dict[str, tuple[str, int, bytes]]


def body_of(name: str, tasks: Sequence[str] = ("load",)) -> str:
    lines = [f'    {task} = Op(task_id="{task}")\n' for task in tasks]
    head = f'"""Doc."""\n\nfrom team import DAG, Op\n\nwith DAG(dag_id="{name}") as dag:\n'
    return head + "".join(lines)


def rendered(
    name: str,
    tasks: Sequence[str] = ("load",),
    *,
    path: str | None = None,
    catchup: bool = False,
    selection: bool = False,
    **fields: str,
) -> RenderedFile:
    """Return the file of a pipeline called `name`, which is also its dag_id."""
    manifest = Manifest(
        "demo", name, None, "airflow", "conf/base/pipelines.yml", f"dagforge create -p {name}"
    )
    for field_name, value in fields.items():
        manifest = with_field(manifest, field_name, value)
    text = assemble(manifest, body_of(name, tasks), f"{name}.py")
    return RenderedFile(path or f"{name}.py", text, manifest, catchup, selection)


def with_field(manifest: Manifest, name: str, value: str) -> Manifest:
    return replace(manifest, **{name: value})


@dataclass
class Project:
    """A project's folder, and what writing to its output folder gave."""

    root: Path
    warnings: list[Problem] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.root / "dags"

    def write(self, *files: RenderedFile, **mode: bool) -> WriteReport:
        return self.write_to(self.out, *files, **mode)

    def write_to(self, out: Path, *files: RenderedFile, **mode: bool) -> WriteReport:
        self.warnings.clear()
        return write(
            files,
            out,
            WriteMode(**mode),
            root=self.root,
            warn=self.warnings.append,
        )

    def refuses(self, *files: RenderedFile, out: Path | None = None, **mode: bool) -> str:
        """Return the message of an error that left everything as it was."""
        before = snapshot(self.root)
        with pytest.raises(DagForgeError) as caught:
            self.write_to(out or self.out, *files, **mode)
        assert snapshot(self.root) == before
        return str(caught.value)

    def stale(self, *files: RenderedFile, **mode: bool) -> StaleOutputError:
        before = snapshot(self.root)
        with pytest.raises(StaleOutputError) as caught:
            self.write(*files, check=True, **mode)
        assert snapshot(self.root) == before
        assert caught.value.exit_code == 3
        return caught.value

    def warned(self) -> list[str]:
        assert all(problem.severity == "warning" for problem in self.warnings)
        return [str(problem) for problem in self.warnings]

    def put(self, name: str, text: str) -> Path:
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.out / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        self.put(name, text.replace(old, new))

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=self.root, check=True, capture_output=True
        )


def snapshot(root: Path) -> Snapshot:
    """Return everything below a folder: kind, mode, time of change, content."""
    found: Snapshot = {}
    for path in sorted(root.rglob("*")):
        if ".git" in path.relative_to(root).parts:
            continue
        status = path.lstat()
        content = str(path.readlink()).encode() if path.is_symlink() else b""
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
        # The time of a folder changes with the temporary files in it.
        changed = status.st_mtime_ns if stat.S_ISREG(status.st_mode) else 0
        found[path.relative_to(root).as_posix()] = (stat.filemode(status.st_mode), changed, content)
    return found


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    yield Project(tmp_path)


A, B = rendered("a"), rendered("b")
NEW_A = rendered("a", ["load", "train"])


class TestCreate:
    def test_makes_the_folder_and_the_files(self, project: Project) -> None:
        out = project.out / "team" / "prod"
        report = project.write_to(out, B, A)
        assert names_in(out) == ["a.py", "b.py"]
        assert (out / "a.py").read_bytes() == A.text.encode()
        assert [(file.path, file.label, file.status) for file in report.files] == [
            ("a.py", "dags/team/prod/a.py", "created"),
            ("b.py", "dags/team/prod/b.py", "created"),
        ]
        assert project.warned() == []

    def test_nothing_changes_the_second_time(self, project: Project) -> None:
        project.write(A, B)
        before = snapshot(project.root)
        report = project.write(A, B)
        assert report.paths("unchanged") == ["a.py", "b.py"]
        assert snapshot(project.root) == before

    def test_equal_files_are_not_parsed(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project.write(A, B)

        def refused(*_: object) -> None:
            raise AssertionError("parsing is slow")

        monkeypatch.setattr(folder_module, "parse", refused)
        assert project.write(A, B, complete=True).paths("unchanged") == ["a.py", "b.py"]

    def test_only_what_differs_is_written(self, project: Project) -> None:
        project.write(A, B)
        before = snapshot(project.root)
        report = project.write(NEW_A, B)
        after = snapshot(project.root)
        assert report.paths("updated") == ["a.py"]
        assert after["dags/a.py"][2] == NEW_A.text.encode()
        assert after["dags/b.py"] == before["dags/b.py"]
        assert project.warned() == []

    def test_nothing_to_write(self, project: Project) -> None:
        assert project.write() == WriteReport(())
        assert not project.out.exists()

    def test_in_subfolders(self, project: Project) -> None:
        project.write(replace(A, path="team/a.py"), B)
        assert names_in(project.out) == ["b.py", "team"]
        assert names_in(project.out / "team") == ["a.py"]

    def test_into_the_project_itself(self, project: Project) -> None:
        report = project.write_to(project.root, A)
        assert report.files[0].label == "a.py"

    def test_outside_the_project(self, tmp_path: Path) -> None:
        inner = Project(tmp_path / "inner")
        inner.root.mkdir()
        report = inner.write_to(tmp_path / "elsewhere", A)
        assert report.files[0].label == (tmp_path / "elsewhere" / "a.py").as_posix()

    def test_progress(self, project: Project) -> None:
        seen: list[tuple[int, int]] = []
        write(
            [A, B],
            project.out,
            WriteMode(),
            root=project.root,
            warn=project.warnings.append,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert seen == [(1, 2), (2, 2)]

    @pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
    def test_new_files_follow_the_umask(self, project: Project, mask: int, mode: int) -> None:
        before = os.umask(mask)
        try:
            project.write(A)
        finally:
            os.umask(before)
        assert stat.S_IMODE((project.out / "a.py").stat().st_mode) == mode

    def test_replaced_files_keep_their_mode(self, project: Project) -> None:
        project.write(A)
        (project.out / "a.py").chmod(0o640)
        project.write(NEW_A)
        assert stat.S_IMODE((project.out / "a.py").stat().st_mode) == 0o640

    def test_a_formatted_file_is_left_alone(self, project: Project) -> None:
        text = A.text.replace('"load"', "'load'").replace("\n", "\r\n") + "\r\n# a note\r\n"
        project.put("a.py", text)
        before = snapshot(project.root)
        assert project.write(A).paths("unchanged") == ["a.py"]
        assert project.write(A, check=True).paths("unchanged") == ["a.py"]
        assert project.write(A, check=True).files[0].diff() == ""
        assert snapshot(project.root) == before

    def test_a_formatted_file_is_replaced_when_something_changed(self, project: Project) -> None:
        project.put("a.py", A.text.replace('"load"', "'load'").replace("\n", "\r\n"))
        assert project.write(NEW_A).paths("updated") == ["a.py"]
        assert (project.out / "a.py").read_bytes() == NEW_A.text.encode()

    def test_a_moved_definition_is_new(self, project: Project) -> None:
        project.write(A)
        moved = rendered("a", source="conf/base/pipelines/a.yml")
        assert project.write(moved).paths("updated") == ["a.py"]


class TestCollisions:
    def test_equal(self, project: Project) -> None:
        assert project.refuses(replace(A, path="x.py"), replace(B, path="x.py")) == (
            "dags/x.py: error: pipelines 'a' and 'b' would be written to one file"
            " [file-collision]\n"
            "  fix: give one of them another dag_id"
            " (conf/base/pipelines.yml, conf/base/pipelines.yml)"
        )

    @pytest.mark.parametrize(
        ("one", "other"), [("Load.py", "load.py"), ("e\u0301.py", "\u00e9.py")]
    )
    def test_equal_on_some_disks(self, project: Project, one: str, other: str) -> None:
        text = project.refuses(replace(A, path=one), replace(B, path=other))
        assert "would be written to one file, which only some disks tell from" in text
        assert "[file-collision]" in text

    def test_linked(self, project: Project) -> None:
        project.out.mkdir()
        (project.out / "a.py").symlink_to("b.py")
        assert "a link to the same file as 'a.py' [file-collision]" in project.refuses(A, B)


class TestForeign:
    @pytest.mark.parametrize("text", ["x = 1\n", "", "# Made by hand\n", "# café", "\x00\x01"])
    def test_refused(self, project: Project, text: str) -> None:
        project.put("a.py", text)
        assert project.refuses(A, B) == (
            "dags/a.py: error: this file was not made by DagForge and would be replaced"
            " [foreign-file]\n"
            "  fix: move it away, choose another dag_id or --output-dir, or replace it with --force"
        )
        assert "[foreign-file]" in project.refuses(A, B, check=True)

    def test_not_text(self, project: Project) -> None:
        project.out.mkdir()
        (project.out / "a.py").write_bytes(b"\xff\xfe\x00" * 100_000)
        assert "[foreign-file]" in project.refuses(A)

    def test_forced(self, project: Project) -> None:
        project.put("a.py", "x = 1\n" * 10_000)
        assert project.write(A, force=True).paths("updated") == ["a.py"]
        assert (project.out / "a.py").read_bytes() == A.text.encode()
        assert project.warned() == [
            "dags/a.py: warning: this file was not made by DagForge and is replaced [foreign-file]"
        ]


class TestOwned:
    @pytest.mark.parametrize(
        ("field_name", "value", "message"),
        [
            ("env", "prod", "env 'prod', and no env would replace it"),
            ("target", "prefect", "target 'prefect', and target 'airflow' would replace it"),
            ("pipeline", "z", "pipeline 'z', and pipeline 'a' would replace it"),
        ],
    )
    def test_same_project(
        self, project: Project, field_name: str, value: str, message: str
    ) -> None:
        theirs = with_field(A.manifest, field_name, value)
        project.write(replace(A, manifest=theirs, text=assemble(theirs, body_of("a"), "a.py")))
        assert project.refuses(A) == (
            f"dags/a.py: error: this file belongs to {message} [owned-file]\n"
            "  fix: choose another dag_id (--dag-id) or --output-dir, or replace it with --force"
        )
        assert "[owned-file]" in project.refuses(A, check=True)
        assert project.write(A, force=True).paths("updated") == ["a.py"]
        assert "is replaced by" in project.warned()[0]

    def test_other_project_even_by_force(self, project: Project) -> None:
        project.write(rendered("a", project="other"))
        for force in (False, True):
            assert project.refuses(A, force=force) == (
                "dags/a.py: error: this file belongs to project 'other', and project 'demo' would"
                " replace it [owned-file]\n"
                "  fix: choose another dag_id or --output-dir; --force leaves other projects'"
                " files alone"
            )

    def test_renamed_pipeline(self, project: Project) -> None:
        """The old pipeline is known to be gone only when all were compiled."""
        project.write(A)
        theirs = with_field(A.manifest, "pipeline", "z")
        renamed = replace(A, manifest=theirs, text=assemble(theirs, body_of("a"), "a.py"))
        assert "[owned-file]" in project.refuses(renamed)
        assert "[owned-file]" in project.refuses(renamed, replace(A, path="b.py"), complete=True)
        assert project.write(renamed, complete=True).paths("updated") == ["a.py"]
        assert project.warned() == []

    def test_a_part_does_not_replace_the_whole(self, project: Project) -> None:
        project.write(A)
        part = rendered("a", ["x"], command="dagforge create -p a --nodes x", selection=True)
        assert project.refuses(part) == (
            "dags/a.py: error: this file belongs to the whole of pipeline 'a', and a part of it"
            " would replace it [owned-file]\n"
            "  fix: choose another dag_id (--dag-id) or --output-dir, or replace it with --force"
        )

    def test_a_part_replaces_itself(self, project: Project) -> None:
        command = "dagforge create -p a --nodes x --dag-id part"
        project.write(rendered("a", ["x"], command=command, selection=True))
        wider = rendered("a", ["x", "y"], command=command.replace("x", "x,y"), selection=True)
        assert project.write(wider).paths("updated") == ["a.py"]


class TestEdited:
    REFUSED = (
        "dags/a.py: error: this file was edited by hand, and git does not hold the edit"
        " [edited-file]\n"
        "  fix: make the change in conf/base/pipelines.yml, its settings or a template;"
        " then commit this file, or replace it with --force"
    )
    REPLACED = (
        "dags/a.py: warning: this file was edited by hand, and the edit is replaced; git holds it"
        " [edited-file]"
    )

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('task_id="load"', 'task_id="load", retries=3'),
            ("with DAG", "with with DAG"),
            ("#   pipeline  a\n", ""),
            ("dagforge create -p a", "dagforge create -p a --force"),
            ('"""Doc."""', '"""Edited."""'),
            ('"""Doc."""', '"""\x00"""'),
        ],
    )
    def test_without_git(self, project: Project, old: str, new: str) -> None:
        project.write(A)
        project.edit("a.py", old, new)
        assert project.refuses(NEW_A, B) == self.REFUSED

    @pytest.mark.parametrize("cut", [75, 300, -20, -1])
    @pytest.mark.parametrize("filled", ["", "\0" * 100])
    def test_a_file_that_was_cut_short(self, project: Project, cut: int, filled: str) -> None:
        project.write(A)
        whole = (project.out / "a.py").read_text()
        project.put("a.py", whole[:cut] + filled)
        assert str(project.stale(A)).startswith("dags/a.py: error: this file is not what pipeline")
        project.write(A)
        assert (project.out / "a.py").read_text() == whole
        assert project.warned() == []

    def test_not_even_when_nothing_else_changed(self, project: Project) -> None:
        project.write(A)
        project.edit("a.py", "load", "train")
        assert project.refuses(A) == self.REFUSED

    def test_no_text_any_more(self, project: Project) -> None:
        project.write(A)
        path = project.out / "a.py"
        path.write_bytes(path.read_bytes() + b"# \xff\n")
        assert project.refuses(A) == self.REFUSED

    def test_forced(self, project: Project) -> None:
        project.write(A)
        project.edit("a.py", "load", "train")
        project.write(A, force=True)
        assert (project.out / "a.py").read_bytes() == A.text.encode()
        assert project.warned()[0] == (
            "dags/a.py: warning: this file was edited by hand, and the edit is replaced"
            " [edited-file]"
        )

    def test_an_edit_that_the_definition_has_too(self, project: Project) -> None:
        """Nothing is lost: the file does what the new one does, only the header is old."""
        project.write(A)
        project.edit("a.py", A.text.split("with DAG")[1], NEW_A.text.split("with DAG")[1])
        assert project.write(NEW_A).paths("updated") == ["a.py"]
        assert project.warned() == []

    @pytest.mark.parametrize("name", ["a.py", "sub/a.py", ":odd *[a] é\n:x.py"])
    def test_committed(self, project: Project, name: str) -> None:
        project.git("init", "-q")
        project.write(replace(A, path=name))
        project.edit(name, "load", "train")
        project.git("add", ".")
        assert "[edited-file]" in project.refuses(replace(A, path=name))
        project.git("commit", "-q", "-m", "edit")
        assert project.write(replace(A, path=name), accept_renames=True).paths("updated") == [name]
        assert [problem.code for problem in project.warnings] == ["edited-file"]
        assert project.warnings[0].message.endswith("git holds it")

    def test_committed_and_asked_from_a_hook(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project.git("init", "-q")
        project.write(A)
        project.edit("a.py", "load", "train")
        project.git("add", ".")
        project.git("commit", "-q", "-m", "edit")
        monkeypatch.setenv("GIT_DIR", ".git")
        monkeypatch.setenv("GIT_INDEX_FILE", ".git/index")
        assert project.write(A, accept_renames=True).paths("updated") == ["a.py"]
        assert project.warned() == [self.REPLACED]

    def test_committed_then_edited_again(self, project: Project) -> None:
        project.git("init", "-q")
        project.write(A)
        project.git("add", ".")
        project.git("commit", "-q", "-m", "generated")
        project.edit("a.py", "load", "train")
        assert project.refuses(A) == self.REFUSED
        project.git("add", ".")
        assert project.refuses(A) == self.REFUSED

    @pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
    def test_git_was_told_not_to_look(self, project: Project, flag: str) -> None:
        project.git("init", "-q")
        project.write(A)
        project.git("add", ".")
        project.git("commit", "-q", "-m", "generated")
        project.git("update-index", flag, "dags/a.py")
        project.edit("a.py", "load", "train")
        assert project.refuses(A) == self.REFUSED

    def test_ignored_by_git(self, project: Project) -> None:
        project.git("init", "-q")
        project.put("../.gitignore", "dags/\n")
        project.git("add", ".")
        project.git("commit", "-q", "-m", "nothing")
        project.write(A)
        project.edit("a.py", "load", "train")
        assert project.refuses(A) == self.REFUSED

    def test_git_is_asked_once_for_all(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project.git("init", "-q")
        files = [rendered(f"p{number}") for number in range(30)]
        project.write(*files)
        for file in files:
            project.edit(file.path, "load", "train")
        project.git("add", ".")
        project.git("commit", "-q", "-m", "edit")
        project.edit("p7.py", "train", "other")
        calls: list[object] = []
        run = subprocess.run

        def counted(*arguments: object, **options: object) -> object:
            calls.append(arguments)
            return run(*arguments, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(subprocess, "run", counted)
        text = project.refuses(*files)
        assert text.count("[edited-file]") == 1
        assert text.startswith("dags/p7.py: error")
        assert len(calls) == 2

    @pytest.mark.parametrize("script", ["exit 1", "exec sleep 30", None])
    def test_git_that_does_not_answer(
        self,
        project: Project,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        script: str | None,
    ) -> None:
        project.write(A)
        project.edit("a.py", "load", "train")
        tools = tmp_path / "bin"
        tools.mkdir()
        if script is not None:
            (tools / "git").write_text(f"#!/bin/sh\n{script}\n")
            (tools / "git").chmod(0o755)
            monkeypatch.setenv("PATH", f"{tools}:/bin:/usr/bin")
        else:
            monkeypatch.setenv("PATH", str(tools))
        monkeypatch.setattr(git_module, "_GIT_SECONDS", 0.2)
        started = time.monotonic()
        assert project.refuses(A) == self.REFUSED
        assert time.monotonic() - started < 10


class TestIdChange:
    def test_task_disappears(self, project: Project) -> None:
        project.write(rendered("a", ["one", "two", "three"]))
        assert project.write(rendered("a", ["one", "four"])).paths("updated") == ["a.py"]
        assert project.warned() == [
            "dags/a.py: warning: the new file has no task_id 'three', 'two': what ran under the old"
            " name is lost [id-change]\n"
            "  fix: keep the name (setting dag_id, name of the node or group), or say"
            " --accept-renames"
        ]

    def test_many_tasks(self, project: Project) -> None:
        project.write(rendered("a", [f"t{number}" for number in range(9)]))
        project.write(A)
        assert "task_id 't0', 't1', 't2', 't3', 't4' and 4 more:" in project.warned()[0]

    def test_new_tasks_are_fine(self, project: Project) -> None:
        project.write(A)
        project.write(NEW_A)
        assert project.warned() == []

    def test_accepted(self, project: Project) -> None:
        project.write(NEW_A)
        project.write(replace(A, catchup=True), accept_renames=True)
        assert project.warned() == []

    def test_catchup(self, project: Project) -> None:
        project.write(A)
        renamed = assemble(A.manifest, body_of("z", ["other"]), "z.py")
        assert project.refuses(replace(A, text=renamed, catchup=True)) == (
            "dags/a.py: error: the new file has no dag_id 'a' and no task_id 'load': what ran under"
            " the old name is lost, and catchup runs the past again [id-change]\n"
            "  fix: keep the name (setting dag_id, name of the node or group), or say"
            " --accept-renames"
        )

    def test_new_file_name(self, project: Project) -> None:
        """A new dag_id is a new file; the old one stays and would be loaded too."""
        project.write(A)
        renamed = replace(
            A, path="z.py", text=assemble(A.manifest, body_of("z"), "z.py"), catchup=True
        )
        assert "dags/z.py: error: the new file has no dag_id 'a'" in project.refuses(renamed)
        report = project.write(replace(renamed, catchup=False))
        assert [(file.path, file.status) for file in report.files] == [
            ("a.py", "left-over"),
            ("z.py", "created"),
        ]
        assert [problem.code for problem in project.warnings] == ["id-change", "left-over"]
        assert project.warned()[1] == (
            "dags/a.py: warning: this file is left over: pipeline 'a' is now written to"
            " 'dags/z.py', and both would be loaded [left-over]\n"
            "  fix: delete it, or compile all pipelines with --prune"
        )
        project.write(replace(renamed, catchup=False))
        assert [problem.code for problem in project.warnings] == ["left-over"]
        project.write(replace(renamed, catchup=False), prune=True)
        assert names_in(project.out) == ["a.py", "z.py"]
        project.write(replace(renamed, catchup=False), prune=True, complete=True)
        assert names_in(project.out) == ["z.py"]


class TestSameDag:
    """A file that somebody else made, with the DAG of a file of ours."""

    @pytest.mark.parametrize(
        "text",
        [
            'with DAG(dag_id="a"):\n    pass\n',
            "dag = airflow.DAG('a', schedule=None)\n",
            '@dag(\n    dag_id="a",\n)\ndef a(): ...\n',
        ],
    )
    def test_reported(self, project: Project, text: str) -> None:
        project.put("a_dag.py", text)
        project.write(A, B)
        assert project.warned() == [
            "dags/a_dag.py: warning: this file, which DagForge did not make, has the DAG 'a' too,"
            " which is in 'dags/a.py': Airflow shows now the one, now the other [same-dag-id]\n"
            "  fix: remove it, or give the pipeline another dag_id"
        ]
        project.write(A, B, check=True)
        assert [problem.code for problem in project.warnings] == ["same-dag-id"]

    @pytest.mark.parametrize(
        "text",
        [
            'with DAG(dag_id="c"):\n    pass\n',
            'TriggerDagRunOperator(trigger_dag_id="a")\n',
            'my_dag("a")\n',
            "DAG(",
        ],
    )
    def test_other_files_are_none_of_our_business(self, project: Project, text: str) -> None:
        project.put("a_dag.py", text)
        project.write(A)
        assert project.warned() == []


class TestLeftOver:
    def test_reported(self, project: Project) -> None:
        project.write(A, B)
        report = project.write(A, complete=True)
        assert [(file.path, file.status) for file in report.files] == [
            ("a.py", "unchanged"),
            ("b.py", "left-over"),
        ]
        assert project.warned() == [
            "dags/b.py: warning: this file is left over from pipeline 'b', which no longer exists"
            " [left-over]\n"
            "  fix: delete it, or compile all pipelines with --prune"
        ]

    def test_removed(self, project: Project) -> None:
        project.write(A, B)
        report = project.write(A, complete=True, prune=True)
        assert report.paths("removed") == ["b.py"]
        assert "+++ /dev/null" in report.files[1].diff()
        assert names_in(project.out) == ["a.py"]
        assert project.warned() == []

    def test_never_on_a_part(self, project: Project) -> None:
        project.write(A, B)
        assert project.write(A, prune=True) == project.write(A)
        assert project.warned() == []
        assert names_in(project.out) == ["a.py", "b.py"]

    def test_nothing_else_is_touched(self, project: Project) -> None:
        project.write(A)
        others = [
            rendered("env", env="prod"),
            rendered("target", target="prefect"),
            rendered("project", project="other"),
            rendered("gone", path="sub/gone.py"),
        ]
        for file in others:
            project.put(file.path, file.text)
        project.put("gone.txt", rendered("gone").text)
        project.put("hand.py", "x = 1\n")
        project.put("damaged.py", rendered("gone").text.replace("#   project   demo\n", ""))
        project.put("quoted.py", '"""\n' + rendered("gone").text.replace('"""', "") + '"""\n')
        (project.out / "binary.py").write_bytes(b"\xff\x00" * 1000)
        (project.out / "huge.py").write_bytes(b"x = 1\n" * 1_000_000)
        (project.out / "folder.py").mkdir()
        (project.out / "link.py").symlink_to("sub/gone.py")
        (project.out / "dangling.py").symlink_to("nowhere.py")
        os.mkfifo(project.out / "pipe.py")
        before = snapshot(project.root)
        report = project.write(A, complete=True, prune=True)
        assert report.paths("unchanged") == ["a.py"]
        assert len(report.files) == 1
        assert snapshot(project.root) == before
        assert project.warned() == []

    def test_folders_that_are_written_to(self, project: Project) -> None:
        project.write(replace(A, path="sub/a.py"), replace(B, path="sub/b.py"))
        project.write(replace(A, path="sub/a.py"), complete=True, prune=True)
        assert names_in(project.out / "sub") == ["a.py"]

    def test_an_edited_one_stays(self, project: Project) -> None:
        project.write(A, B)
        project.edit("b.py", "load", "train")
        assert project.write(A, complete=True, prune=True).paths("left-over") == ["b.py"]
        assert project.warned() == [
            "dags/b.py: warning: this file is left over from pipeline 'b', which no longer exists"
            " [left-over]\n"
            "  fix: it was edited by hand and git does not hold the edit: delete it, or use --force"
        ]
        project.write(A, complete=True, prune=True, force=True)
        assert names_in(project.out) == ["a.py"]

    def test_an_edited_one_that_git_holds(self, project: Project) -> None:
        project.git("init", "-q")
        project.write(A, B)
        project.edit("b.py", "load", "train")
        project.git("add", ".")
        project.git("commit", "-q", "-m", "edit")
        assert project.write(A, complete=True, prune=True).paths("removed") == ["b.py"]

    def test_a_copy_by_hand(self, project: Project) -> None:
        project.write(A)
        project.put("copy.py", A.text)
        assert project.write(A).paths("left-over") == ["copy.py"]
        assert "and both would be loaded" in project.warned()[0]

    def test_a_part_of_a_pipeline_that_exists(self, project: Project) -> None:
        command = "dagforge create -p a --nodes x --dag-id part"
        project.write(rendered("a", ["x"], path="part.py", command=command, selection=True))
        project.write(A, complete=True, prune=True)
        assert names_in(project.out) == ["a.py", "part.py"]

    def test_another_name_of_a_written_file(self, project: Project) -> None:
        """As on a disk that does not tell case apart, where `A.py` is `a.py`."""
        project.write(A)
        os.link(project.out / "a.py", project.out / "A.py")
        report = project.write(A, complete=True, prune=True)
        assert len(report.files) == 1
        assert names_in(project.out) == ["A.py", "a.py"]


class TestCheck:
    def test_up_to_date(self, project: Project) -> None:
        project.write(A, B)
        assert project.write(A, B, check=True, complete=True).paths("unchanged") == ["a.py", "b.py"]

    def test_everything_at_once(self, project: Project) -> None:
        project.write(A, B, rendered("edited"), rendered("gone"))
        project.edit("edited.py", "load", "train")
        error = project.stale(
            NEW_A, B, rendered("edited"), rendered("missing"), complete=True, prune=True
        )
        assert str(error) == (
            "dags/a.py: error: this file is not what pipeline 'a' gives now [stale-file]\n"
            "  fix: run 'dagforge create -p a'\n"
            "dags/edited.py: error: this file was edited by hand [edited-file]\n"
            "  fix: make the change in conf/base/pipelines.yml, its settings or a template; then"
            " run 'dagforge create -p edited'\n"
            "dags/missing.py: error: this file of pipeline 'missing' is missing [missing-file]\n"
            "  fix: run 'dagforge create -p missing'\n"
            "dags/gone.py: error: this file is left over from pipeline 'gone', which no longer"
            " exists [left-over]\n"
            "  fix: delete it, or compile all pipelines with --prune"
        )
        assert [(file.path, file.status) for file in error.report.files] == [
            ("a.py", "stale"),
            ("b.py", "unchanged"),
            ("edited.py", "edited"),
            ("gone.py", "left-over"),
            ("missing.py", "missing"),
        ]
        assert '+    train = Op(task_id="train")\n' in error.report.files[0].diff()
        assert '-    train = Op(task_id="train")\n' in error.report.files[2].diff()

    def test_no_folder(self, project: Project) -> None:
        assert "is missing [missing-file]" in str(project.stale(A))
        assert not project.out.exists()

    def test_lost_ids_are_shown(self, project: Project) -> None:
        project.write(NEW_A)
        project.stale(replace(A, catchup=True))
        assert [problem.code for problem in project.warnings] == ["id-change"]

    def test_committed_edits_count(self, project: Project) -> None:
        project.git("init", "-q")
        project.write(A)
        project.edit("a.py", "load", "train")
        project.git("add", ".")
        project.git("commit", "-q", "-m", "edit")
        assert "[edited-file]" in str(project.stale(A))


class TestDiff:
    def test_new_and_changed(self, project: Project) -> None:
        project.write(A)
        before = snapshot(project.root)
        report = project.write(NEW_A, B, diff=True)
        assert snapshot(project.root) == before
        assert report.paths("updated") == ["a.py"]
        assert report.paths("created") == ["b.py"]
        changed, created = report.files
        assert changed.diff().startswith("--- a/dags/a.py\n+++ b/dags/a.py\n@@ ")
        assert changed.diff().endswith('+    train = Op(task_id="train")\n')
        assert created.diff().startswith("--- /dev/null\n+++ b/dags/b.py\n@@ -0,0 +1,")
        assert len(created.diff().splitlines()) == 3 + B.text.count("\n")

    def test_removed(self, project: Project) -> None:
        project.write(A, B)
        report = project.write(A, diff=True, prune=True, complete=True)
        assert report.paths("removed") == ["b.py"]
        assert names_in(project.out) == ["a.py", "b.py"]

    def test_what_would_be_refused_is_shown(self, project: Project) -> None:
        """The diff is how one finds out what an edit was."""
        project.write(A)
        project.edit("a.py", "load", "train")
        project.put("b.py", "x = 1\n")
        report = project.write(A, replace(B, catchup=True), diff=True)
        assert '-    train = Op(task_id="train")' in report.files[0].diff()
        assert "-x = 1" in report.files[1].diff()
        assert {"edited-file", "foreign-file"} <= {problem.code for problem in project.warnings}

    def test_with_check(self, project: Project) -> None:
        project.write(A)
        error = project.stale(NEW_A, diff=True)
        assert error.report.files[0].diff() != ""
        project.put("b.py", "x = 1\n")
        assert "[foreign-file]" in project.refuses(NEW_A, B, diff=True, check=True)

    def test_line_ends(self, project: Project) -> None:
        project.put("a.py", A.text.replace("\n", "\r\n") + "x = 1")
        diff = project.write(A, diff=True).files[0].diff()
        assert diff.endswith("\n-x = 1\n\\ No newline at end of file\n")
        assert diff.count("\n-") == 1

    def test_can_be_applied(self, project: Project) -> None:
        project.write(A)
        diff = "".join(file.diff() for file in project.write(NEW_A, B, diff=True).files)
        subprocess.run(["git", "apply"], cwd=project.root, input=diff.encode(), check=True)
        assert project.write(NEW_A, B, check=True).paths("unchanged") == ["a.py", "b.py"]


class TestTheDisk:
    """What the operating system refuses; all of it undone."""

    def test_a_file_is_the_folder(self, project: Project) -> None:
        (project.root / "dags").write_text("")
        assert project.refuses(A) == (
            "dags: error: the output folder is a file [output]\n"
            "  fix: move the file away, or choose another folder with --output-dir"
        )

    def test_a_file_is_above_the_folder(self, project: Project) -> None:
        (project.root / "dags").write_text("")
        assert project.refuses(A, out=project.out / "team") == (
            "dags/team: error: cannot use the output folder: Not a directory [output]\n"
            "  fix: move the file away that stands where a folder is needed"
        )

    def test_a_file_is_a_subfolder(self, project: Project) -> None:
        project.put("team", "")
        assert project.refuses(replace(A, path="team/a.py"), B) == (
            "dags/team/a.py: error: cannot replace it: Not a directory [output]\n"
            "  fix: move the file away that stands where a folder is needed"
        )

    def test_a_folder_is_the_file(self, project: Project) -> None:
        (project.out / "a.py").mkdir(parents=True)
        assert project.refuses(A, B) == (
            "dags/a.py: error: cannot replace it: a folder is in the way [output]\n"
            "  fix: move the folder away, or choose another dag_id"
        )

    def test_a_pipe_is_the_file(self, project: Project) -> None:
        project.out.mkdir()
        os.mkfifo(project.out / "a.py")
        assert project.refuses(A) == (
            "dags/a.py: error: cannot replace it: it is no ordinary file [output]"
        )

    def test_all_are_reported(self, project: Project) -> None:
        (project.out / "a.py").mkdir(parents=True)
        (project.out / "b.py").mkdir(parents=True)
        assert project.refuses(A, B).count("[output]") == 2

    def test_too_long_a_name(self, project: Project) -> None:
        file = replace(A, path="x" * 300 + ".py")
        assert project.refuses(file, B).endswith(
            ".py: error: cannot write it: File name too long [output]\n"
            "    nothing was changed\n"
            "  fix: choose a shorter dag_id or --output-dir"
        )
        project.out.mkdir()
        assert project.refuses(file, B).endswith(
            ".py: error: cannot replace it: File name too long [output]\n"
            "  fix: choose a shorter dag_id or --output-dir"
        )

    def test_a_longest_name(self, project: Project) -> None:
        name = "x" * 252 + ".py"
        assert project.write(replace(A, path=name)).paths("created") == [name]

    @pytest.mark.parametrize("path", ["../a.py", "x/../../a.py", "/tmp/a.py"])
    def test_outside(self, project: Project, path: str) -> None:
        text = project.refuses(replace(A, path=path))
        assert "it would be written outside the output folder, to '" in text
        assert text.splitlines()[0].endswith("/a.py' [output]")

    def test_a_link_out_of_the_folder(self, project: Project) -> None:
        project.put("../elsewhere.py", A.text)
        (project.out / "a.py").symlink_to("../elsewhere.py")
        text = project.refuses(NEW_A, force=True)
        assert text.startswith("dags/a.py: error: it would be written outside the output folder")

    def test_a_link_inside_the_folder(self, project: Project) -> None:
        project.put("real/a.py", A.text)
        (project.out / "a.py").symlink_to("real/a.py")
        assert project.write(NEW_A).paths("updated") == ["a.py"]
        assert (project.out / "a.py").is_symlink()
        assert (project.out / "real" / "a.py").read_bytes() == NEW_A.text.encode()

    def test_a_linked_folder(self, project: Project) -> None:
        (project.root / "elsewhere").mkdir()
        project.out.symlink_to("elsewhere")
        assert project.write(A).files[0].label == "elsewhere/a.py"
        assert names_in(project.root / "elsewhere") == ["a.py"]

    def test_links_in_a_circle(self, project: Project) -> None:
        project.out.mkdir()
        (project.out / "a.py").symlink_to("b.py")
        (project.out / "b.py").symlink_to("a.py")
        assert "Too many levels of symbolic links [output]" in project.refuses(A)

    def test_a_file_system_that_is_read_only(self, project: Project) -> None:
        """No permission stops root, but the kernel's own files do."""
        with pytest.raises(
            OutputError, match=r"/proc/dagforge: error: cannot write it: .* \[output\]"
        ):
            project.write_to(Path("/proc/dagforge"), A)

    def test_nothing_to_write_needs_no_permission(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project.write(A)
        monkeypatch.setattr(os, "open", fails_at(os.open, 1, errno.EROFS))
        assert project.write(A).paths("unchanged") == ["a.py"]


def fails_at(call: Callable[..., object], failing: int, number: int) -> Callable[..., object]:
    """Return `call`, which fails once, the `failing`th time."""
    seen = 0

    def stand_in(*arguments: object, **options: object) -> object:
        nonlocal seen
        seen += 1
        if seen == failing:
            raise OSError(number, os.strerror(number))
        return call(*arguments, **options)

    return stand_in


OLD = [rendered("a"), rendered("b"), rendered("gone")]
NEW = [rendered("a", ["load", "more"]), rendered("b", ["load", "more"]), rendered("c")]
NAMES = ["a.py", "b.py", "c.py"]


class TestUndo:
    """A run that fails half way leaves no trace; changed, made and removed files alike."""

    @pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EIO])
    @pytest.mark.parametrize(
        ("owner", "call", "failing"),
        [
            *((os, "open", failing) for failing in (1, 2, 3, 4)),  # the first is the lock
            *((Path, "replace", failing) for failing in (1, 2, 3)),
            (Path, "unlink", 1),
        ],
    )
    def test_a_call_fails(
        self,
        project: Project,
        monkeypatch: pytest.MonkeyPatch,
        owner: object,
        call: str,
        failing: int,
        number: int,
    ) -> None:
        project.write(*OLD)
        before = snapshot(project.root)
        monkeypatch.setattr(owner, call, fails_at(getattr(owner, call), failing, number))
        with pytest.raises(OutputError) as caught:
            project.write(*NEW, complete=True, prune=True)
        monkeypatch.undo()
        assert snapshot(project.root) == before
        text = str(caught.value)
        assert f"cannot write it: {os.strerror(number)} [output]\n    nothing was changed" in text
        project.write(*NEW, complete=True, prune=True)
        assert names_in(project.out) == NAMES

    @pytest.mark.parametrize("failing", [1, 2, 3])
    def test_without_hard_links(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, failing: int
    ) -> None:
        def no_link(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        project.write(*OLD)
        (project.out / "b.py").chmod(0o600)
        before = contents(project.out)
        monkeypatch.setattr(os, "link", no_link)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", fails_at(Path.replace, failing, errno.EIO))
            with pytest.raises(OutputError):
                project.write(*NEW, complete=True, prune=True)
        assert contents(project.out) == before
        assert stat.S_IMODE((project.out / "b.py").stat().st_mode) == 0o600
        project.write(*NEW, complete=True, prune=True)
        assert names_in(project.out) == NAMES

    def test_new_folders_are_removed_again(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Path, "replace", fails_at(Path.replace, 2, errno.ENOSPC))
        text = project.refuses(
            replace(A, path="x/y/a.py"), replace(B, path="x/y/b.py"), out=project.out / "deep"
        )
        assert text.startswith(
            "dags/deep/x/y/b.py: error: cannot write it: No space left on device"
        )
        assert text.endswith("fix: make room on the disk")
        assert names_in(project.root) == []

    def test_what_cannot_be_put_back_is_said(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project.write(*OLD)
        real = Path.replace

        def only_once(path: Path, target: Path) -> Path:
            if (project.out / "a.py").read_bytes() != OLD[0].text.encode():
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(path, target)

        monkeypatch.setattr(Path, "replace", only_once)
        with pytest.raises(OutputError, match=r"could not be put back: dags/a\.py"):
            project.write(*NEW)

    @pytest.mark.parametrize("moment", ["before", "after"])
    @pytest.mark.parametrize("failing", [1, 2, 3])
    def test_interrupted(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, failing: int, moment: str
    ) -> None:
        project.write(*OLD)
        before = snapshot(project.root)
        real, seen = Path.replace, 0

        def interrupted(path: Path, target: Path) -> Path:
            nonlocal seen
            seen += 1
            if moment == "after":
                real(path, target)
            if seen == failing:
                raise KeyboardInterrupt
            # The second Ctrl-C of an impatient person, while everything is put back.
            if seen > failing:
                signal.raise_signal(signal.SIGINT)
            return target if moment == "after" else real(path, target)

        monkeypatch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            project.write(*NEW, complete=True, prune=True)
        assert snapshot(project.root) == before
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_file_size_limit(self, project: Project) -> None:
        """A real refusal of the kernel in the middle of a file, as on a full disk."""
        project.write(*OLD)
        before = snapshot(project.root)
        big = rendered("b", [f"task_{number}" for number in range(1000)])

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

        result = run_elsewhere(project, [NEW[0], big, NEW[2]], preexec=limited)
        assert snapshot(project.root) == before
        assert result == (
            "dags/b.py: error: cannot write it: File too large [output]\n    nothing was changed\n"
            "  fix: raise the limit for the size of files (ulimit -f)"
        )

    def test_changed_meanwhile(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        project.write(*OLD)
        take = journal_module._Journal.take

        def late(journal: journal_module._Journal, real: Path) -> None:
            take(journal, real)
            project.put("b.py", "x = 1\n")

        monkeypatch.setattr(journal_module._Journal, "take", late)
        with pytest.raises(OutputError) as caught:
            project.write(*NEW)
        assert str(caught.value) == (
            "dags/b.py: error: this file was changed while DagForge ran; nothing was written"
            " [output]\n"
            "  fix: run the command again"
        )
        assert names_in(project.out) == ["a.py", "b.py", "gone.py"]
        assert (project.out / "a.py").read_bytes() == OLD[0].text.encode()

    def test_made_meanwhile_by_another_run(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project.write(*OLD)
        take = journal_module._Journal.take

        def late(journal: journal_module._Journal, real: Path) -> None:
            take(journal, real)
            os.utime(project.put("b.py", NEW[1].text), (1, 1))

        monkeypatch.setattr(journal_module._Journal, "take", late)
        project.write(*NEW, complete=True, prune=True)
        assert names_in(project.out) == NAMES
        assert (project.out / "b.py").stat().st_mtime == 1


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


SCRIPT = """
import json, os, signal, sys
from pathlib import Path
from dagforge.errors import DagForgeError
from dagforge.output.manifest import Manifest
from dagforge.output.files import RenderedFile, WriteMode
from dagforge.write import write

root, files, kill_at = json.load(sys.stdin)
files = [RenderedFile(path, text, Manifest(*fields)) for path, text, fields in files]
replace, seen = Path.replace, 0

def killed(path, target):
    global seen
    seen += 1
    if seen == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(path, target)

Path.replace = killed
mode = WriteMode(complete=True, prune=True)
try:
    write(files, Path(root) / "dags", mode, root=Path(root), warn=lambda problem: None)
except DagForgeError as exc:
    print(exc)
"""


def start_elsewhere(
    project: Project,
    files: Sequence[RenderedFile],
    kill_at: int = 0,
    preexec: Callable[[], None] | None = None,
) -> subprocess.Popen[str]:
    """Start another process that writes `files`, and dies before its `kill_at`th rename."""
    given = [(file.path, file.text, astuple(file.manifest)) for file in files]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=preexec,
        env={**os.environ, "PYTHONPATH": str(Path(write_module.__file__).parents[1])},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps((str(project.root), given, kill_at)))
    process.stdin.close()
    process.stdin = None  # `communicate` must not flush it
    return process


def run_elsewhere(
    project: Project,
    files: Sequence[RenderedFile],
    kill_at: int = 0,
    preexec: Callable[[], None] | None = None,
) -> str:
    process = start_elsewhere(project, files, kill_at, preexec)
    text = process.communicate(timeout=120)[0].strip()
    assert process.returncode == (-signal.SIGKILL if kill_at else 0)
    return text


class TestKilled:
    @pytest.mark.parametrize("kill_at", [1, 2, 3])
    def test_each_file_is_old_or_new(self, project: Project, kill_at: int) -> None:
        project.write(*OLD)
        run_elsewhere(project, NEW, kill_at)
        found = contents(project.out)
        left = {name for name in found if name.endswith(".tmp")}
        assert left
        assert all(name.startswith(".dagforge-") for name in left)
        new_by_name = {file.path: file.text.encode() for file in NEW[: kill_at - 1]}
        old_by_name = {file.path: file.text.encode() for file in OLD}
        assert {name: found[name] for name in found if name not in left} == {
            **old_by_name,
            **new_by_name,
        }
        # Looking changes nothing; the next run that may write clears up.
        project.write(*NEW, diff=True)
        assert left <= set(names_in(project.out))
        project.write(*NEW, complete=True, prune=True)
        assert contents(project.out) == {file.path: file.text.encode() for file in NEW}

    def test_cleared_even_when_nothing_changed(self, project: Project) -> None:
        project.write(A)
        project.put(".dagforge-1-0.tmp", "half a fi")
        project.put(".dagforge-x.tmp", "not ours")
        project.write(A)
        assert names_in(project.out) == [".dagforge-x.tmp", "a.py"]


class TestTwoRuns:
    def test_an_unchanged_file_is_looked_at_again(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Judged half-way through another run, whose other half comes later."""
        old = [rendered("a", ["x"]), rendered("b", ["new"])]
        project.write(*old)
        before = contents(project.out)
        other = rendered("b", ["other"]).text.encode()
        take = journal_module._Journal.take

        def late(journal: journal_module._Journal, real: Path) -> None:
            take(journal, real)
            (project.out / "b.py").write_bytes(other)

        monkeypatch.setattr(journal_module._Journal, "take", late)
        with pytest.raises(OutputError, match="was changed while DagForge ran"):
            project.write(rendered("a", ["new"]), rendered("b", ["new"]))
        assert contents(project.out) == {**before, "b.py": other}

    def test_at_once(self, project: Project) -> None:
        """Whoever comes second finds other files than it judged, or the very same."""
        sets = [
            [rendered(f"p{number}", ["load", f"v{version}"]) for number in range(20)]
            for version in range(3)
        ]
        project.write(*(rendered(f"p{number}") for number in range(20)))
        runs = [start_elsewhere(project, files) for files in [*sets, sets[0]]]
        said = [run.communicate(timeout=120)[0] for run in runs]
        assert [run.returncode for run in runs] == [0] * 4
        for text in filter(None, said):
            assert "was changed while DagForge ran" in text
        written = [{file.path: file.text.encode() for file in files} for files in sets]
        assert contents(project.out) in written

    def test_one_waits_for_the_other(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project.out.mkdir()
        monkeypatch.setattr(journal_module, "_LOCK_SECONDS", 0.1)
        lock = journal_module._lock(project.out)
        assert lock is not None
        project.put(".dagforge-1-0.tmp", "of the other run")
        started = time.monotonic()
        assert project.refuses(A) == (
            "dags: error: cannot write it: another run is writing to this folder [output]\n"
            "    nothing was changed"
        )
        assert time.monotonic() - started >= 0.1
        os.close(lock)
        project.write(A)
        assert names_in(project.out) == ["a.py"]

    def test_without_locks(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """Temporary files of the last hour may be those of a run that is not over."""
        monkeypatch.setattr(journal_module, "_lock", lambda _: None)
        young = project.put(".dagforge-1-0.tmp", "")
        old = project.put(".dagforge-1-1.tmp", "")
        os.utime(old, (0, 0))
        project.write(A)
        assert young.exists()
        assert names_in(project.out) == [young.name, "a.py"]


def test_reports_do_not_depend_on_the_order_given(project: Project) -> None:
    old = [rendered(name, ["lost"]) for name in ("c", "a", "b")]
    project.write(*old)
    files = [rendered(name) for name in ("c", "a", "b")]
    first = project.write(*files, diff=True)
    assert first == project.write(*reversed(files), diff=True)
    assert [file.path for file in first.files] == ["a.py", "b.py", "c.py"]
    assert [str(problem.location) for problem in project.warnings] == [
        "dags/a.py",
        "dags/b.py",
        "dags/c.py",
    ]
