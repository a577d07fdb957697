"""A project as git holds it, written to a folder beside the working tree, which stays as it is."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from dagforge.errors import OutputError, UsageError
from dagforge.frozen import frozen
from dagforge.output.git import run_git

_SUBMODULE: Final = b"160000 "


@frozen
class Revision:
    """A commit.

    Attributes:
        name: as it was asked for.
        commit: its hash.
        date: when it was made.
    """

    name: str
    commit: str
    date: datetime.datetime


@frozen
class Repository:
    """Where a project lies in a git repository.

    Attributes:
        top: folder of the working tree.
        within: of the project in it; `.` for the whole.
    """

    top: Path
    within: PurePosixPath


def find_repository(folder: Path) -> Repository | None:
    """Return the repository that a folder is part of, None where git knows none."""
    try:
        return _repository(folder)
    except (OSError, subprocess.SubprocessError):
        return None


def repository_of(folder: Path) -> Repository:
    """Return the repository that a folder is part of.

    Raises:
        UsageError: it is in none, or there is no git.
    """
    try:
        return _repository(folder)
    except (OSError, subprocess.SubprocessError) as error:
        said = _said(error)
        why = "" if "not a git repository" in said else f" ({said})"
        fix = "name a folder instead: another checkout, or one with generated files"
        if "dubious ownership" in said:
            # As in containers of CI, whose user is not the one who checked out.
            fix = f"git config --global --add safe.directory {said.rpartition(' ')[2]}"
        raise UsageError.of(
            "no-repository",
            "the project is in no git repository, so there is no revision to compare with" + why,
            fix=fix,
        ) from error


def _repository(folder: Path) -> Repository:
    top = Path(_text(run_git(folder, "rev-parse", "--show-toplevel")))
    within = folder.resolve().relative_to(top.resolve())
    return Repository(top, PurePosixPath(within.as_posix()))


def find_revision(repository: Repository, name: str) -> Revision:
    """Return the commit that git knows by a name.

    Raises:
        UsageError: it knows none.
    """
    try:
        commit = _text(
            run_git(
                repository.top, "rev-parse", "--verify", "--quiet", "--end-of-options",
                f"{name}^{{commit}}",
            )
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError.of(
            "unknown-revision",
            f"git knows no commit '{name}' here",
            fix=_fetch(repository) or _log(repository),
        ) from error
    return _revision(repository, name, commit)


def has_revision(repository: Repository, name: str) -> bool:
    """Say whether git knows a commit by this name."""
    try:
        find_revision(repository, name)
    except UsageError:
        return False
    return True


def merge_base(repository: Repository, one: str, other: str) -> Revision:
    """Return the newest commit that two have in common.

    Raises:
        UsageError: there is no such commit, or none that git has here.
    """
    first, second = find_revision(repository, one), find_revision(repository, other)
    try:
        found = run_git(repository.top, "merge-base", first.commit, second.commit)
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError.of(
            "unknown-revision",
            f"'{one}' and '{other}' have no commit in common here",
            fix=_fetch(repository) or f"compare with '{one}' itself",
        ) from error
    return _revision(repository, f"merge base of {one} and {other}", _text(found))


def write_revision(
    repository: Repository, revision: Revision, within: PurePosixPath, into: Path
) -> Path:
    """Write a folder as a commit holds it, and return where it is.

    Git's own index and working tree are left alone. Nothing is written when the commit has no such
    folder.

    Args:
        repository: that holds the commit.
        revision: the commit.
        within: the folder, relative to the top of the repository.
        into: folder that stands for the top of the repository; made where it is missing.

    Raises:
        UsageError: a submodule's commit is not here.
        OutputError: git cannot write it.
    """
    folder = into / within
    tree = f"{revision.commit}:{'' if within == PurePosixPath() else within}"
    try:
        listed = run_git(repository.top, "ls-tree", "-r", "-z", tree)
    except subprocess.SubprocessError:
        return folder
    try:
        _write_tree(repository.top, tree, folder)
    except subprocess.SubprocessError as error:
        raise OutputError.of(
            "output", f"git cannot write the files of '{revision.name}': {_said(error)}"
        ) from error
    for name, commit in _submodules(listed):
        _write_submodule(repository.top / within / name, commit, folder / name, revision)
    return folder


def _write_tree(top: Path, tree: str, folder: Path) -> None:
    """Write a tree's files to a folder, by an index of their own.

    `git archive` would leave out what `.gitattributes` says is not for export.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / ".git-index"
    run_git(top, "read-tree", f"--index-output={index}", tree, GIT_INDEX_FILE=str(index))
    try:
        prefix = f"--prefix={folder.as_posix()}/"
        # Large files that are kept elsewhere are no definitions.
        run_git(
            top,
            *("checkout-index", "--all", "--force", prefix),
            GIT_INDEX_FILE=str(index),
            GIT_LFS_SKIP_SMUDGE="1",
        )
    finally:
        index.unlink(missing_ok=True)


def _submodules(listed: bytes) -> Iterator[tuple[str, str]]:
    """Yield path and commit of the submodules in what `git ls-tree -z` lists."""
    for entry in listed.split(b"\0"):
        if entry.startswith(_SUBMODULE):
            facts, _, name = entry.partition(b"\t")
            yield name.decode(errors="surrogateescape"), facts.split()[2].decode()


def _write_submodule(place: Path, commit: str, folder: Path, revision: Revision) -> None:
    found = find_repository(place) if place.is_dir() else None
    # Where the submodule is not checked out, git answers for the repository around it.
    top = None if found is None or found.within != PurePosixPath() else found.top
    try:
        if top is None:
            raise FileNotFoundError(place)
        _write_tree(top, f"{commit}:", folder)
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError.of(
            "unknown-revision",
            f"'{revision.name}' has the submodule {place.name} at {commit}, which is not here",
            fix=f"git submodule update --init, or git -C {place.as_posix()} fetch origin",
        ) from error


def _revision(repository: Repository, name: str, commit: str) -> Revision:
    seconds = int(_text(run_git(repository.top, "show", "-s", "--format=%ct", commit)))
    date = datetime.datetime.fromtimestamp(seconds, tz=datetime.timezone.utc)
    return Revision(name, commit, date)


def _log(repository: Repository) -> str:
    try:
        run_git(repository.top, "rev-parse", "--verify", "--quiet", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return "commit first, or name a folder to compare with"
    return "`git log --oneline --all` lists the commits"


def _fetch(repository: Repository) -> str | None:
    """Return how to get what a shallow clone leaves out; None where everything is here."""
    try:
        shallow = _text(run_git(repository.top, "rev-parse", "--is-shallow-repository"))
    except (OSError, subprocess.SubprocessError):
        return None
    if shallow != "true":
        return None
    return "this clone is shallow: git fetch --unshallow, or fetch-depth: 0 for actions/checkout"


def _text(printed: bytes) -> str:
    return printed.decode(errors="surrogateescape").removesuffix("\n")


def _said(error: Exception) -> str:
    """Return the first line of what git complained about."""
    if isinstance(error, FileNotFoundError):
        return "git is not installed"
    if isinstance(error, subprocess.CalledProcessError):
        lines = bytes(error.stderr or b"").decode(errors="replace").splitlines()
        return lines[0].removeprefix("fatal: ") if lines else ""
    return str(error)
