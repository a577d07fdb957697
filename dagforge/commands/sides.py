"""The two sides of a comparison, and where each of them is: here, in a commit, in a folder."""

from __future__ import annotations

import datetime
import os
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from dagforge.build import Request, read_source
from dagforge.commands.revisions import (
    Repository,
    Revision,
    find_repository,
    find_revision,
    has_revision,
    merge_base,
    repository_of,
    write_revision,
)
from dagforge.commands.written_dags import holds_generated_files
from dagforge.conf import BASE
from dagforge.errors import DagForgeError, UsageError
from dagforge.frozen import frozen
from dagforge.reading.project import holds_project, read_project

HERE: Final = "working tree"
_HEAD: Final = "HEAD"
_RANGE: Final = re.compile(r"(?P<old>.*?)(?P<dots>\.\.\.?)(?P<new>[^.].*)?")


@frozen
class Side:
    """One of the two states that are compared.

    Attributes:
        label: what it is called.
        request: what to compile; None where the project, or its environment, was not there yet.
        mark: what stands before the path of a file in a message about this side.
        within: folder in front of the path, as messages name it.
        files: folder of generated files, which are read instead of compiled.
        commit: of the revision; None for a folder.
        name: of the project where it says none itself; None for what is here.
    """

    label: str
    request: Request | None
    mark: str = ""
    within: str = ""
    files: Path | None = None
    commit: str | None = None
    name: str | None = None


@frozen
class Asked:
    """What the command line says of the two sides.

    Attributes:
        against: a revision, two of them, or a folder; None for the default.
        fork: compare with the merge base of the revision and HEAD.
        old_version: of the orchestrator, for the old side; None for what its project says.
        after: moment after which next runs are told.
    """

    request: Request
    against: str | None = None
    fork: bool = False
    old_version: str | None = None
    after: datetime.datetime | None = None


def moment_of_text(text: str) -> datetime.datetime:
    """Return the moment that `--now` says; UTC where it names no zone.

    Raises:
        UsageError: it is no date.
    """
    try:
        # Python 3.10 reads no Z.
        moment = datetime.datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text.strip()))
    except ValueError as error:
        raise UsageError.of(
            "wrong-value",
            f"--now is '{text}', which is no date",
            fix="write 2026-01-31, 2026-01-31T06:00 or 2026-01-31T06:00:00+01:00",
        ) from error
    utc = datetime.timezone.utc
    return moment.replace(tzinfo=utc) if moment.tzinfo is None else moment.astimezone(utc)


def sides_of(asked: Asked, folder: Path) -> tuple[Side, Side, datetime.datetime | None]:
    """Return the old and the new side, and when the newest commit of the new one was made.

    Args:
        asked: what they are called.
        folder: empty; takes the files of revisions.

    Raises:
        UsageError: there is nothing of that name to compare with.
    """
    request, against = asked.request, asked.against
    other = Path(against) if against is not None else None
    if against is not None and _is_folder(against, request.root):
        assert other is not None
        return _folder_side(other, asked), Side(HERE, request), date_of_head(request.root)
    versions = request.airflow_version is not None or asked.old_version is not None
    if against is None and versions and not asked.fork:
        return (
            Side(HERE, replace(request, airflow_version=asked.old_version)),
            Side(HERE, request),
            date_of_head(request.root),
        )
    repository = repository_of(request.root)
    first, second = _revisions(repository, against or _HEAD, fork=asked.fork)
    old_request = replace(request, airflow_version=asked.old_version or request.airflow_version)
    old = _revision_side(repository, first, old_request, folder / "old")
    if second is None:
        head = find_revision(repository, _HEAD)
        return old, Side(HERE, request), head.date
    return old, _revision_side(repository, second, request, folder / "new"), second.date


def _is_folder(against: str, root: Path) -> bool:
    """Say whether a folder is meant.

    Raises:
        UsageError: a folder is meant that is not there, or the name is that of a commit too.
    """
    if not against.strip():
        raise UsageError.of(
            "no-comparison",
            "what to compare with is empty",
            fix="name a revision or a folder, or leave it out for HEAD",
        )
    written_as_path = re.match(r"\.{0,2}(/|$)", against) is not None
    if not Path(against).is_dir():
        if written_as_path:
            raise UsageError.of("no-comparison", f"there is no folder '{against}'")
        if Path(against).is_file():
            repository = find_repository(root)
            if repository is None or not has_revision(repository, against):
                raise UsageError.of(
                    "no-comparison",
                    f"'{against}' is a file, and neither a revision nor a folder",
                    fix=f"name its folder, {Path(against).parent.as_posix()}, or a revision",
                )
        return False
    if not written_as_path:
        repository = find_repository(root)
        if repository is not None and has_revision(repository, against):
            raise UsageError.of(
                "no-comparison",
                f"'{against}' is a folder and a revision",
                fix=f"write './{against}' for the folder, 'refs/heads/{against}' for a branch",
            )
    return True


def _revisions(
    repository: Repository, text: str, *, fork: bool
) -> tuple[Revision, Revision | None]:
    """Return the commits of both sides, None for the working tree; spelled as git spells them."""
    parts = _RANGE.fullmatch(text)
    if parts is None or (parts["new"] is None and not text.endswith("..")):
        if fork:
            return merge_base(repository, text, _HEAD), None
        return find_revision(repository, text), None
    one, other = parts["old"] or _HEAD, parts["new"] or _HEAD
    new = find_revision(repository, other)
    if fork or parts["dots"] == "...":
        return merge_base(repository, one, other), new
    return find_revision(repository, one), new


def date_of_head(root: Path) -> datetime.datetime | None:
    """Return when the last commit was made; None where there is none."""
    repository = find_repository(root)
    if repository is None or not has_revision(repository, _HEAD):
        return None
    return find_revision(repository, _HEAD).date


def _revision_side(
    repository: Repository, revision: Revision, request: Request, folder: Path
) -> Side:
    """Return a side whose files are written as a commit holds them."""
    root = write_revision(repository, revision, repository.within, folder)
    side = Side(
        revision.name,
        None,
        mark=f"{revision.name}:",
        within=str(repository.within),
        commit=revision.commit,
        name=request.root.name,
    )
    if not root.is_dir() or not holds_project(root):
        return side

    def at_that_time(path: Path | None) -> Path | None:
        """Return where a folder of the command line was in the commit; others stay as they are."""
        if path is None:
            return None
        inside = _inside(path, repository.top)
        if inside is None:
            return path
        if not (folder / inside).exists():
            write_revision(repository, revision, inside, folder)
        return folder / inside

    moved = replace(
        request,
        root=root,
        conf=at_that_time(request.conf),
        templates=at_that_time(request.templates),
    )
    try:
        project = read_project(root, any_version=True)
    except DagForgeError:
        # It is told, with all else, when the side is compiled.
        return replace(side, request=moved)
    for path in (project.conf, project.templates):
        # What a project has beside its own folder in the repository.
        outside = Path(os.path.normpath(request.root / (path or "")))
        if _inside(outside, request.root) is None:
            at_that_time(outside)
    env = request.env or project.env
    conf = moved.conf or root / project.conf
    if env not in (None, BASE) and (conf / BASE).is_dir() and not (conf / str(env)).is_dir():
        return side if _has_environment(request, str(env)) else replace(side, request=moved)
    return replace(side, request=moved)


def _has_environment(request: Request, env: str) -> bool:
    try:
        return env in read_source(request).conf.environments
    except DagForgeError:
        return False


def _inside(path: Path, top: Path) -> PurePosixPath | None:
    try:
        return PurePosixPath(path.resolve().relative_to(top.resolve()).as_posix())
    except ValueError:
        return None


def _folder_side(folder: Path, asked: Asked) -> Side:
    """Return the side that a folder is: a checkout, of the project or around it, or files.

    Raises:
        UsageError: it holds nothing to compare with.
    """
    root = asked.request.root
    request = replace(
        asked.request, airflow_version=asked.old_version or asked.request.airflow_version
    )
    shown = folder.as_posix()
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        raise UsageError.of("no-comparison", f"{shown} cannot be read: {error.strerror}") from error
    candidates = [folder]
    repository = find_repository(root)
    if repository is not None:
        candidates.append(folder / repository.within)
    for candidate in candidates:
        if holds_project(candidate):
            other = replace(
                request, root=candidate.resolve(), conf=_other(request.conf, root, candidate)
            )
            return Side(shown, other, within=candidate.as_posix(), name=root.name)
    if not holds_generated_files(folder):
        raise UsageError.of(
            "no-comparison",
            f"{shown} holds neither a project nor generated files",
            fix="name a folder with conf/ or dagforge.toml, or the output folder of `create`",
        )
    return Side(shown, request, within=shown, files=folder, name=root.name)


def _other(path: Path | None, root: Path, candidate: Path) -> Path | None:
    """Return a folder of the command line as the other checkout has it."""
    inside = None if path is None else _inside(path, root)
    return path if inside is None else candidate.resolve() / inside
