"""Put the generated files into the output folder: all of them, or none.

The only stage that touches the output. What is there is read and judged first, and every reason
not to write is reported together; then new files are staged beside the old ones and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import stat
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Final, Literal

from dagforge.errors import OutputError, Problem, Problems, SourceLocation, StaleError, Warn
from dagforge.frozen import frozen
from dagforge.manifest import (
    FileManifest,
    Ids,
    Manifest,
    ids_of,
    parse,
    read_manifest,
    seal,
    tree_hash,
)

if sys.platform != "win32":
    import fcntl

Status = Literal[
    "created", "updated", "unchanged", "removed", "missing", "stale", "edited", "left-over"
]
Verdict = Literal["missing", "unchanged", "stale", "edited", "foreign", "owned"]
Progress = Callable[[int, int], None]

# A header stands at the top; nobody else's file is read further than this.
_HEAD_BYTES: Final = 16_384
_NAMES_SHOWN: Final = 5
_GIT_SECONDS: Final = 20
_GIT_PATHS: Final = 500
_LOCK_SECONDS: Final = 60.0
_UNLOCKED_LEFT_OVER_SECONDS: Final = 3600.0
_BINARY: Final[int] = getattr(os, "O_BINARY", 0)
_TEMPORARY: Final = re.compile(r"\.dagforge-\d+-\d+\.tmp")


@frozen
class RenderedFile:
    """A file as it should be.

    Attributes:
        path: within the output folder, with forward slashes.
        text: the whole file, header included.
        manifest: what the header says.
        catchup: a DAG in it catches up, so that a new dag_id runs the past again.
        selection: it holds a part of its pipeline only.
    """

    path: str
    text: str
    manifest: Manifest
    catchup: bool = False
    selection: bool = False


@frozen
class WriteMode:
    """What to do with the output folder.

    Attributes:
        check: change nothing, raise `StaleOutputError` when something would change.
        diff: change nothing; what would be refused is a warning (not together with `check`).
        force: overwrite edited files, files without a header, and this project's other files.
        accept_renames: a lost dag_id or task_id is intended.
        prune: remove what is left over.
        complete: every pipeline of the project was compiled, so that a file of another one is
            left over; without it nothing is removed.
    """

    check: bool = False
    diff: bool = False
    force: bool = False
    accept_renames: bool = False
    prune: bool = False
    complete: bool = False


@frozen
class FileReport:
    """What happened, or would happen, to one file.

    Attributes:
        path: within the output folder.
        label: as messages name it: relative to the project where it lies in it.
        status: `missing`, `stale` and `edited` come from a check only.
        before: None where there was no file.
        after: None where there is none any more.
    """

    path: str
    label: str
    status: Status
    before: str | None
    after: str | None

    def diff(self) -> str:
        """Return a unified diff, empty when no line differs; line ends are not compared."""
        import difflib

        lines = difflib.unified_diff(
            _lines(self.before),
            _lines(self.after),
            "/dev/null" if self.before is None else f"a/{self.label}",
            "/dev/null" if self.after is None else f"b/{self.label}",
            lineterm="",
        )
        return "".join(f"{line}\n" for line in lines)


@frozen
class WriteReport:
    """What happened, or would happen, to each file, sorted by path."""

    files: tuple[FileReport, ...]

    def paths(self, *statuses: Status) -> list[str]:
        """Return the paths of the files with one of `statuses`."""
        return [file.path for file in self.files if file.status in statuses]


class StaleOutputError(StaleError):
    """A check found files that are not what the definitions give.

    Attributes:
        report: the same files with their diffs.
    """

    def __init__(self, problems: Iterable[Problem], report: WriteReport) -> None:
        super().__init__(problems)
        self.report = report


def write(
    files: Sequence[RenderedFile],
    out: Path,
    mode: WriteMode,
    *,
    root: Path,
    warn: Warn,
    progress: Progress | None = None,
) -> WriteReport:
    """Make the output folder hold `files`, and return what happened to each.

    Args:
        files: in any order.
        out: the output folder; made with its parents where it does not exist.
        mode: what to do with it.
        root: the project's folder, to which paths in messages are relative.
        warn: takes what is odd but stops nothing.
        progress: called with the number of files written so far and of all to write.

    Raises:
        OutputError: the folder cannot be written as it stands; nothing was changed.
        StaleOutputError: only with `mode.check`.
    """
    folder = _Folder.of(out, root)
    fates = _look(sorted(files, key=lambda file: file.path), folder, mode)
    left_overs = _left_overs(fates, folder, mode)
    held = _held_by_git(folder.real, _edited_paths(fates, left_overs, folder, mode))

    problems = Problems()
    only_look = mode.diff and not mode.check
    for problem in _objections(fates, left_overs, held, folder, mode):
        if only_look or problem.severity == "warning":
            warn(replace(problem, severity="warning"))
        else:
            problems.extend([problem])
    problems.raise_errors(OutputError)

    removed = [left_over for left_over in left_overs if _is_removed(left_over, held, mode)]
    report = _report(fates, left_overs, removed, folder, mode)
    if mode.check:
        stale = _stale(fates, left_overs, folder)
        if stale:
            raise StaleOutputError(stale, report)
        return report
    for left_over in left_overs:
        if left_over not in removed:
            warn(replace(_left_over_problem(left_over, folder, mode), severity="warning"))
    if not mode.diff:
        changes = [_change_to(fate, folder) for fate in fates if fate.verdict != "unchanged"]
        changes += [
            _Change(folder.label_of(gone.found.path), gone.found.real, gone.found.data, None)
            for gone in removed
        ]
        _apply(changes, folder, progress)
    return report


# --- what is there


@frozen
class _Found:
    """A file that exists.

    Attributes:
        path: within the output folder.
        real: where it is, links followed.
        data: its bytes; only the head when it is not ours.
        header: None when it has none.
        identity: the same for two names of one file.
    """

    path: str
    real: Path
    data: bytes
    header: FileManifest | None
    identity: tuple[int, int]

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace")

    def program(self) -> _Program | None:
        """Return what its source means, None when it is not valid Python."""
        try:
            tree = parse(self.data.decode())
            return _Program(tree_hash(tree), ids_of(tree))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None

    def is_edited(self, program: _Program | None) -> bool:
        """Say whether its tree or its header's fields are not those it was written with."""
        if self.header is None or self.header.manifest is None or program is None:
            return True
        return seal(self.header.manifest, program.hash) != self.header.hash


@frozen
class _Program:
    """What is kept of a syntax tree: the trees of many files need much memory."""

    hash: str
    ids: Ids


@frozen
class _Folder:
    """The output folder.

    Attributes:
        real: links followed.
        label: as messages name it, None for the project's folder itself.
    """

    real: Path
    label: str | None

    @classmethod
    def of(cls, out: Path, root: Path) -> _Folder:
        """Return the output folder, which need not exist yet."""
        real = Path(os.path.realpath(out))
        try:
            label = real.relative_to(os.path.realpath(root)).as_posix()
        except ValueError:
            label = out.as_posix()
        return cls(real, None if label == "." else label)

    def problems(self) -> Iterator[Problem]:
        """Give the reason why it cannot be a folder."""
        label = self.label or "."
        try:
            is_folder = stat.S_ISDIR(self.real.stat().st_mode)
        except FileNotFoundError:
            return
        except OSError as exc:
            yield _os_problem(exc, label, "cannot use the output folder")
            return
        if not is_folder:
            yield Problem(
                "output",
                "the output folder is a file",
                SourceLocation(label),
                "move the file away, or choose another folder with --output-dir",
            )

    def label_of(self, path: str) -> str:
        return path if self.label is None else f"{self.label}/{path}"

    def at(self, path: str) -> SourceLocation:
        return SourceLocation(self.label_of(path))

    def place_of(self, path: str, problems: Problems) -> Path:
        """Return where a file of that name belongs, links followed; never outside the folder."""
        real = Path(os.path.realpath(self.real / path))
        if not real.is_relative_to(self.real):
            problems.error(
                "output",
                f"it would be written outside the output folder, to '{real.as_posix()}'",
                self.at(path),
                fix="remove the link that leads there, or choose that folder with --output-dir",
            )
        return real

    def find(self, path: str, real: Path, problems: Problems, *, whole: bool) -> _Found | None:
        """Return the file that stands where `path` belongs."""
        try:
            return _read(path, real, whole=whole)
        except OSError as exc:
            problems.extend([_os_problem(exc, self.label_of(path), "cannot replace it")])
            return None


def _read(path: str, real: Path, *, whole: bool) -> _Found | None:
    """Return the file at `real`, None when there is none.

    Args:
        path: its name within the output folder.
        real: where it is.
        whole: read all of it even if it has no header.
    """
    try:
        status = real.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, "a folder is in the way")
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its other end
        raise OSError(errno.EINVAL, "it is no ordinary file")
    with real.open("rb") as file:
        data = file.read(_HEAD_BYTES)
        header = read_manifest(data.decode(errors="replace"))
        if header is not None or whole:
            data += file.read()
    return _Found(path, real, data, header, (status.st_dev, status.st_ino))


# --- what to do


@frozen
class _Fate:
    """A file as it should be, what is there, and how the two compare.

    Attributes:
        old_ids: those of the file that is there.
    """

    file: RenderedFile
    real: Path
    found: _Found | None
    verdict: Verdict
    old_ids: Ids = field(default_factory=Ids)


@frozen
class _LeftOver:
    """A file of this project that nothing writes any more.

    Attributes:
        manifest: what its header says.
        replaced_by: the new file of the same pipeline, None when the pipeline is gone.
        edited: by hand, since DagForge wrote it.
        ids: what it defines.
    """

    found: _Found
    manifest: Manifest
    replaced_by: RenderedFile | None
    edited: bool
    ids: Ids


def _look(files: Sequence[RenderedFile], folder: _Folder, mode: WriteMode) -> list[_Fate]:
    """Compare each file with what is there.

    Raises:
        OutputError: two files have one place, or a place cannot be looked at.
    """
    problems = Problems()
    problems.extend(folder.problems())
    problems.extend(_collisions(files, folder))
    problems.raise_errors(OutputError)
    places = [(file, folder.place_of(file.path, problems)) for file in files]
    problems.extend(_links_to_one_file(places, folder))
    problems.raise_errors(OutputError)
    fates = []
    for file, real in places:
        found = folder.find(file.path, real, problems, whole=mode.force or mode.diff)
        fates.append(_judge(file, real, found, files, mode))
    problems.raise_errors(OutputError)
    return fates


def _judge(
    file: RenderedFile,
    real: Path,
    found: _Found | None,
    files: Sequence[RenderedFile],
    mode: WriteMode,
) -> _Fate:
    """Compare a file that should be with the one that is there.

    `stale` and `missing` are free to be written; `edited`, `foreign` and `owned` are not.
    """
    if found is None:
        return _Fate(file, real, found, "missing")
    if found.data == file.text.encode():
        return _Fate(file, real, found, "unchanged")
    program = found.program()
    verdict = _verdict(file, found, program, files, mode)
    return _Fate(file, real, found, verdict, program.ids if program else Ids())


def _verdict(
    file: RenderedFile,
    found: _Found,
    program: _Program | None,
    files: Sequence[RenderedFile],
    mode: WriteMode,
) -> Verdict:
    """Compare two files whose bytes differ."""
    if found.header is None:
        return "foreign"
    theirs, wanted = found.header.manifest, read_manifest(file.text)
    if theirs is not None and not _may_replace(file, theirs, files, mode):
        return "owned"
    is_wanted = (
        program is not None
        and wanted is not None
        and seal(file.manifest, program.hash) == wanted.hash
    )
    if is_wanted and found.header == wanted:
        return "unchanged"
    if found.is_edited(program) and not is_wanted:
        return "edited"
    return "stale"


def _may_replace(
    file: RenderedFile, theirs: Manifest, files: Sequence[RenderedFile], mode: WriteMode
) -> bool:
    """Say whether `file` is a new version of the file with the header `theirs`."""
    if _owner(file.manifest) != _owner(theirs):
        return False
    if file.manifest.pipeline != theirs.pipeline:
        return mode.complete and not any(
            other.manifest.pipeline == theirs.pipeline
            for other in files
            if _owner(other.manifest) == _owner(theirs)
        )
    return not file.selection or _is_part(theirs)


def _owner(manifest: Manifest) -> tuple[str, str | None, str]:
    return manifest.project, manifest.env, manifest.target


def _is_part(manifest: Manifest) -> bool:
    """Say whether a file holds a part of its pipeline, as its command tells."""
    options = {word.partition("=")[0] for word in manifest.command.split()}
    return not options.isdisjoint(("--tags", "--nodes", "--from-nodes", "--to-nodes"))


def _left_overs(fates: Sequence[_Fate], folder: _Folder, mode: WriteMode) -> list[_LeftOver]:
    """Return this project's files in the folders that are written to which nothing writes now."""
    written = {fate.real for fate in fates}
    identities = {fate.found.identity for fate in fates if fate.found}
    by_manifest = {replace(fate.file.manifest, source=""): fate.file for fate in fates}
    owners = {_owner(fate.file.manifest) for fate in fates}
    pipelines = {(*_owner(fate.file.manifest), fate.file.manifest.pipeline) for fate in fates}
    left_overs = []
    for found in _generated_files(folder, fates):
        theirs = found.header.manifest if found.header else None
        if theirs is None or found.real in written or found.identity in identities:
            continue
        new = by_manifest.get(replace(theirs, source=""))
        is_gone = (
            mode.complete
            and _owner(theirs) in owners
            and (*_owner(theirs), theirs.pipeline) not in pipelines
        )
        if new is not None or is_gone:
            program = found.program()
            ids = program.ids if program else Ids()
            left_overs.append(_LeftOver(found, theirs, new, found.is_edited(program), ids))
    return left_overs


def _generated_files(folder: _Folder, fates: Sequence[_Fate]) -> Iterator[_Found]:
    """Give the files with a header in the folders that are written to, in order of their names.

    Links are not followed: what they lead to is somebody else's.
    """
    for real in sorted({folder.real, *(fate.real.parent for fate in fates)}):
        try:
            with os.scandir(real) as entries:
                names = sorted(
                    entry.name
                    for entry in entries
                    if entry.name.endswith(".py") and entry.is_file(follow_symlinks=False)
                )
        except OSError:
            continue
        for name in names:
            path = (real / name).relative_to(folder.real).as_posix()
            with contextlib.suppress(OSError):
                found = _read(path, real / name, whole=False)
                if found is not None and found.header is not None:
                    yield found


def _edited_paths(
    fates: Sequence[_Fate], left_overs: Sequence[_LeftOver], folder: _Folder, mode: WriteMode
) -> list[str]:
    """Return the edited files for which it matters whether git holds them, as real paths."""
    if mode.force or mode.check:
        return []
    edited = [fate.real for fate in fates if fate.verdict == "edited"]
    if mode.prune:
        edited += [left_over.found.real for left_over in left_overs if left_over.edited]
    return [real.relative_to(folder.real).as_posix() for real in edited]


def _is_removed(left_over: _LeftOver, held: set[str], mode: WriteMode) -> bool:
    may = mode.force or not left_over.edited or left_over.found.path in held
    return mode.prune and mode.complete and may


def _change_to(fate: _Fate, folder: _Folder) -> _Change:
    before = None if fate.found is None else fate.found.data
    return _Change(folder.label_of(fate.file.path), fate.real, before, fate.file.text.encode())


def _report(
    fates: Sequence[_Fate],
    left_overs: Sequence[_LeftOver],
    removed: Sequence[_LeftOver],
    folder: _Folder,
    mode: WriteMode,
) -> WriteReport:
    reports = []
    for fate in fates:
        path, before = fate.file.path, None if fate.found is None else fate.found.text
        status, after = _status(fate.verdict, mode), fate.file.text
        if status == "unchanged" and before is not None:
            after = before
        reports.append(FileReport(path, folder.label_of(path), status, before, after))
    for left_over in left_overs:
        path, before = left_over.found.path, left_over.found.text
        gone = left_over in removed
        reports.append(
            FileReport(
                path,
                folder.label_of(path),
                "removed" if gone and not mode.check else "left-over",
                before,
                None if gone else before,
            )
        )
    return WriteReport(tuple(sorted(reports, key=lambda report: report.path)))


def _status(verdict: Verdict, mode: WriteMode) -> Status:
    if verdict == "unchanged":
        return "unchanged"
    if verdict == "missing":
        return "missing" if mode.check else "created"
    if not mode.check:
        return "updated"
    return "edited" if verdict == "edited" else "stale"


# --- what to say


def _collisions(files: Sequence[RenderedFile], folder: _Folder) -> Iterator[Problem]:
    """Give the files that are one file on some disk: equal, or but for case or accents' form."""
    first_by_name: dict[str, RenderedFile] = {}
    for file in files:
        name = unicodedata.normalize("NFC", file.path).casefold()
        first = first_by_name.setdefault(name, file)
        if first is not file:
            same = file.path == first.path
            beside = "" if same else f", which only some disks tell from '{first.path}'"
            yield _collision(first, file, folder, beside)


def _links_to_one_file(
    places: Sequence[tuple[RenderedFile, Path]], folder: _Folder
) -> Iterator[Problem]:
    first_by_real: dict[Path, RenderedFile] = {}
    for file, real in places:
        first = first_by_real.setdefault(real, file)
        if first is not file:
            yield _collision(first, file, folder, f", a link to the same file as '{first.path}'")


def _collision(first: RenderedFile, second: RenderedFile, folder: _Folder, how: str) -> Problem:
    one, other = first.manifest.pipeline, second.manifest.pipeline
    return Problem(
        "file-collision",
        f"pipelines '{one}' and '{other}' would be written to one file{how}",
        folder.at(second.path),
        f"give one of them another dag_id ({first.manifest.source}, {second.manifest.source})",
    )


def _objections(
    fates: Sequence[_Fate],
    left_overs: Sequence[_LeftOver],
    held: set[str],
    folder: _Folder,
    mode: WriteMode,
) -> Iterator[Problem]:
    """Give what speaks against writing: errors where it must not happen, warnings else."""
    for fate in fates:
        at = folder.at(fate.file.path)
        if fate.verdict == "foreign":
            yield _foreign(at, mode)
            if not mode.force:
                continue
        elif fate.verdict == "owned" and fate.found and fate.found.header:
            problem = _owned(fate.file, fate.found.header.manifest, at, mode)
            yield problem
            if problem.severity == "error":
                continue
        elif fate.verdict == "edited" and not mode.check:
            real = fate.real.relative_to(folder.real).as_posix()
            yield _edited(fate.file, at, real in held, mode)
        if fate.verdict == "missing":
            old = [left.ids for left in left_overs if left.replaced_by is fate.file]
            yield from _lost_ids(fate.file, old, at, mode)
        elif fate.verdict != "unchanged":
            yield from _lost_ids(fate.file, [fate.old_ids], at, mode)


def _foreign(at: SourceLocation, mode: WriteMode) -> Problem:
    if mode.force:
        return Problem(
            "foreign-file",
            "this file was not made by DagForge and is replaced",
            at,
            None,
            "warning",
        )
    return Problem(
        "foreign-file",
        "this file was not made by DagForge and would be replaced",
        at,
        "move it away, choose another dag_id or --output-dir, or replace it with --force",
    )


def _owned(
    file: RenderedFile, theirs: Manifest | None, at: SourceLocation, mode: WriteMode
) -> Problem:
    assert theirs is not None  # a header that cannot be read has no owner
    ours = file.manifest
    facts = [
        (word, old, new)
        for word, old, new in (
            ("project", theirs.project, ours.project),
            ("env", theirs.env, ours.env),
            ("target", theirs.target, ours.target),
            ("pipeline", theirs.pipeline, ours.pipeline),
        )
        if old != new
    ]
    owner = ", ".join(_named(word, old) for word, old, _ in facts)
    taker = ", ".join(_named(word, new) for word, _, new in facts)
    if not facts:
        owner, taker = f"the whole of {_named('pipeline', ours.pipeline)}", "a part of it"
    if theirs.project != ours.project:
        return Problem(
            "owned-file",
            f"this file belongs to {owner}, and {taker} would replace it",
            at,
            "choose another dag_id or --output-dir; --force leaves other projects' files alone",
        )
    if mode.force:
        message = f"this file belonged to {owner} and is replaced by {taker}"
        return Problem("owned-file", message, at, None, "warning")
    return Problem(
        "owned-file",
        f"this file belongs to {owner}, and {taker} would replace it",
        at,
        "choose another dag_id (--dag-id) or --output-dir, or replace it with --force",
    )


def _named(word: str, value: str | None) -> str:
    return f"no {word}" if value is None else f"{word} '{value}'"


def _edited(file: RenderedFile, at: SourceLocation, held: bool, mode: WriteMode) -> Problem:
    if mode.force:
        message = "this file was edited by hand, and the edit is replaced"
        return Problem("edited-file", message, at, None, "warning")
    if held:
        message = "this file was edited by hand, and the edit is replaced; git holds it"
        return Problem("edited-file", message, at, None, "warning")
    return Problem(
        "edited-file",
        "this file was edited by hand, and git does not hold the edit",
        at,
        f"make the change in {file.manifest.source}, its settings or a template; "
        "then commit this file, or replace it with --force",
    )


def _lost_ids(
    file: RenderedFile, old: Sequence[Ids], at: SourceLocation, mode: WriteMode
) -> Iterator[Problem]:
    """Give a problem when ids of the old files are not in the new one."""
    if mode.accept_renames or not any(ids.dag_ids or ids.task_ids for ids in old):
        return
    new = ids_of(file.text)
    dags = sorted({name for ids in old for name in ids.dag_ids} - new.dag_ids)
    tasks = sorted({name for ids in old for name in ids.task_ids} - new.task_ids)
    lost = [_listed(word, names) for word, names in (("dag_id", dags), ("task_id", tasks)) if names]
    if not lost:
        return
    message = f"the new file has no {' and no '.join(lost)}: what ran under the old name is lost"
    if file.catchup and dags:
        message += ", and catchup runs the past again"
    yield Problem(
        "id-change",
        message,
        at,
        "keep the name (setting dag_id, name of the node or group), or say --accept-renames",
        "error" if file.catchup and not mode.check else "warning",
    )


def _listed(word: str, names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{word} {shown}" + (f" and {more} more" if more > 0 else "")


def _stale(
    fates: Sequence[_Fate], left_overs: Sequence[_LeftOver], folder: _Folder
) -> list[Problem]:
    problems = []
    for fate in fates:
        at, ours = folder.at(fate.file.path), fate.file.manifest
        run = f"run '{ours.command}'"
        if fate.verdict == "missing":
            message = f"this file of pipeline '{ours.pipeline}' is missing"
            problems.append(Problem("missing-file", message, at, run))
        elif fate.verdict == "edited":
            fix = f"make the change in {ours.source}, its settings or a template; then {run}"
            problems.append(Problem("edited-file", "this file was edited by hand", at, fix))
        elif fate.verdict != "unchanged":
            message = f"this file is not what pipeline '{ours.pipeline}' gives now"
            problems.append(Problem("stale-file", message, at, run))
    problems += [
        _left_over_problem(left_over, folder, WriteMode(check=True)) for left_over in left_overs
    ]
    return problems


def _left_over_problem(left_over: _LeftOver, folder: _Folder, mode: WriteMode) -> Problem:
    pipeline, new = left_over.manifest.pipeline, left_over.replaced_by
    if new is None:
        message = f"this file is left over from pipeline '{pipeline}', which no longer exists"
    else:
        message = (
            f"this file is left over: pipeline '{pipeline}' is now written to "
            f"'{folder.label_of(new.path)}', and both would be loaded"
        )
    fix = "delete it, or compile all pipelines with --prune"
    if mode.prune and mode.complete:
        fix = "it was edited by hand and git does not hold the edit: delete it, or use --force"
    return Problem("left-over", message, folder.at(left_over.found.path), fix)


def _os_problem(exc: OSError, label: str, what: str) -> Problem:
    """Return what the operating system said, in our form."""
    fix = {
        errno.ENOSPC: "make room on the disk",
        errno.EDQUOT: "make room on the disk, or ask for a larger quota",
        errno.EACCES: "give yourself the permission, or choose another --output-dir",
        errno.EPERM: "give yourself the permission, or choose another --output-dir",
        errno.EROFS: "choose an --output-dir that can be written to",
        errno.ENAMETOOLONG: "choose a shorter dag_id or --output-dir",
        errno.EISDIR: "move the folder away, or choose another dag_id",
        errno.ENOTDIR: "move the file away that stands where a folder is needed",
    }.get(exc.errno or 0)
    reason = exc.strerror or str(exc)
    return Problem("output", f"{what}: {reason}", SourceLocation(label), fix)


# --- git


def _held_by_git(folder: Path, paths: Sequence[str]) -> set[str]:
    """Return those of `paths` whose present content is committed.

    Without git, without a repository, or when git takes too long: none.
    """
    held: set[str] = set()
    for first in range(0, len(paths), _GIT_PATHS):
        some = paths[first : first + _GIT_PATHS]
        tracked = _git(folder, "ls-files", "-z", "--", *some)
        changed = _git(
            folder, "diff", "--name-only", "--relative", "--no-ext-diff", "-z", "HEAD", "--", *some
        )
        if tracked is None or changed is None:
            return set()
        held |= tracked - changed
    return held


def _git(folder: Path, *arguments: str) -> set[str] | None:
    """Return the paths that git lists, None when it fails."""
    import subprocess

    # A hook's environment names its repository by paths that hold in its own folder only.
    repository = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
    environment = {name: os.environ[name] for name in os.environ if name not in repository}
    try:
        result = subprocess.run(
            ["git", "--literal-pathspecs", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=True,
            env=environment | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {os.fsdecode(path) for path in result.stdout.split(b"\0") if path}


# --- writing


@frozen
class _Change:
    """One file that is written, or with `after` None removed.

    Attributes:
        before: what was there when it was judged, None for nothing.
    """

    label: str
    real: Path
    before: bytes | None
    after: bytes | None


@frozen
class _Staged:
    """A change that is ready: one rename away from being done, and one from being undone.

    Attributes:
        new: the temporary file that takes the place, None to remove the file.
        old: another name of the file as it was, None where there was none.
    """

    change: _Change
    new: Path | None
    old: Path | None


def _apply(changes: Sequence[_Change], folder: _Folder, progress: Progress | None) -> None:
    """Make the changes, all or none.

    Everything that can fail for want of space or permission happens before the first rename, and
    nothing that undoes a rename needs space. Killed in between, each file is whole, old or new.
    Nothing is forced to the disk (a sync takes 4 ms a file): after a crash of the machine itself
    the files are made again.

    Raises:
        OutputError: with everything put back.
    """
    folders = sorted({folder.real, *(change.real.parent for change in changes)})
    if not changes and not any(_temporaries_in(real) for real in folders):
        return
    journal = _Journal(folder.label or ".")
    try:
        for real in folders:
            journal.make_folder(real)
        for real in folders:
            journal.take(real)
        staged = [journal.stage(change) for change in changes if journal.is_due(change)]
        for number, each in enumerate(staged, 1):
            journal.replace(each)
            if progress is not None:
                progress(number, len(staged))
    except BaseException as exc:
        with _uninterrupted():
            lost = journal.undo()
        if isinstance(exc, OSError):
            problem = _os_problem(exc, journal.label, "cannot write it")
            detail = "\n    nothing was changed"
            if lost:
                detail = "\n    and these could not be put back: " + ", ".join(lost)
            raise OutputError([replace(problem, message=problem.message + detail)]) from exc
        raise
    finally:
        with _uninterrupted():
            journal.close()


class _Journal:
    """What one run has changed so far, so that it can be undone.

    Attributes:
        label: what is being worked on, for messages.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._made: list[Path] = []
        self._locks: list[int] = []
        self._temporaries: list[Path] = []
        self._replaced: list[_Staged] = []

    def make_folder(self, real: Path) -> None:
        """Make a folder with its parents."""
        missing = []
        while not real.is_dir():
            missing.append(real)
            real = real.parent
        for parent in reversed(missing):
            with contextlib.suppress(FileExistsError):  # another run was quicker
                parent.mkdir()
                self._made.append(parent)

    def take(self, real: Path) -> None:
        """Wait until no other run writes to a folder, and clear what a killed one left there."""
        lock = _lock(real)
        if lock is not None:
            self._locks.append(lock)
        for temporary in _temporaries_in(real):
            age = time.time() - temporary.stat().st_mtime
            if lock is not None or age > _UNLOCKED_LEFT_OVER_SECONDS:
                temporary.unlink(missing_ok=True)

    def is_due(self, change: _Change) -> bool:
        """Say whether a change is still to be made: another run may have made the same.

        Raises:
            OutputError: the file is neither what it was nor what it should be.
        """
        self.label = change.label
        try:
            now = change.real.read_bytes()
        except FileNotFoundError:
            now = None
        if now not in (change.before, change.after):
            raise OutputError.of(
                "output",
                "this file was changed while DagForge ran; nothing was written",
                at=SourceLocation(change.label),
                fix="run the command again",
            )
        return now != change.after

    def stage(self, change: _Change) -> _Staged:
        """Write the new file beside the old one, and give the old one a second name."""
        self.label = change.label
        new = None if change.after is None else self._temporary(change.real, change.after)
        old = None
        if change.before is not None:
            old = self._name_beside(change.real)
            try:
                os.link(change.real, old)
            except OSError:  # a file system without links
                old = self._temporary(change.real, change.before)
        return _Staged(change, new, old)

    def replace(self, staged: _Staged) -> None:
        """Let the new file take its place."""
        self.label = staged.change.label
        self._replaced.append(staged)
        if staged.new is None:
            staged.change.real.unlink()
        else:
            staged.new.replace(staged.change.real)

    def undo(self) -> list[str]:
        """Put everything back, and return what could not be."""
        lost = [
            staged.change.label for staged in reversed(self._replaced) if not self._put_back(staged)
        ]
        self._clear()
        for real in reversed(self._made):
            with contextlib.suppress(OSError):  # somebody else's file is in it
                real.rmdir()
        return sorted(lost)

    def close(self) -> None:
        """Remove the temporary files and let other runs in."""
        self._clear()
        while self._locks:
            os.close(self._locks.pop())

    def _put_back(self, staged: _Staged) -> bool:
        try:
            if staged.old is None:
                staged.change.real.unlink(missing_ok=True)
            else:
                staged.old.replace(staged.change.real)
        except OSError:
            return False
        return True

    def _clear(self) -> None:
        while self._temporaries:
            with contextlib.suppress(OSError):
                self._temporaries.pop().unlink()

    def _name_beside(self, real: Path) -> Path:
        """Return a free name in the folder of `real`; what is made there is removed again."""
        path = real.with_name(f".dagforge-{os.getpid()}-{len(self._temporaries)}.tmp")
        self._temporaries.append(path)
        return path

    def _temporary(self, real: Path, data: bytes) -> Path:
        """Write a file beside `real` that has its permissions, or those of a new file."""
        path = self._name_beside(real)
        # With O_CREAT and 0o666 the umask decides, as it does for any new file.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            with contextlib.suppress(FileNotFoundError):
                _copy_permissions(real.stat(), path)
            file.write(data)
        return path


def _copy_permissions(status: os.stat_result, path: Path) -> None:
    path.chmod(stat.S_IMODE(status.st_mode))
    mine = path.stat()
    if (mine.st_uid, mine.st_gid) != (status.st_uid, status.st_gid):
        with contextlib.suppress(OSError):  # only root may give files away
            os.chown(path, status.st_uid, status.st_gid)


def _temporaries_in(real: Path) -> list[Path]:
    try:
        with os.scandir(real) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            )
    except OSError:
        return []
    return [real / name for name in names]


def _lock(real: Path) -> int | None:
    """Return a descriptor that keeps other runs out of a folder until it is closed.

    None where the system cannot lock folders; two runs at once then each write whole files, but
    one may overwrite the other's.

    Raises:
        OSError: another run holds it for too long.
    """
    if sys.platform == "win32":
        return None
    descriptor = os.open(real, os.O_RDONLY)
    until = time.monotonic() + _LOCK_SECONDS
    locked = _try_lock(descriptor)
    while locked is False and time.monotonic() < until:
        time.sleep(0.02)
        locked = _try_lock(descriptor)
    if locked:
        return descriptor
    os.close(descriptor)
    if locked is False:
        raise OSError(errno.EBUSY, "another run is writing to this folder")
    return None


def _try_lock(descriptor: int) -> bool | None:
    """Return whether the lock was free, None where there are no locks (some network disks)."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C: undoing must not be cut short by a second one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


def _lines(text: str | None) -> list[str]:
    """Return the lines for a diff, with a remark where the last one does not end."""
    if not text:
        return []
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[-1]:
        return [*lines[:-1], lines[-1] + "\n\\ No newline at end of file"]
    return lines[:-1]
