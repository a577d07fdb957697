"""What each file's fate is, and what stands against it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Final

from dagforge.errors import OutputError, Problems
from dagforge.frozen import frozen
from dagforge.output.collisions import collisions, links_to_one_file
from dagforge.output.files import RenderedFile, Verdict, WriteMode
from dagforge.output.folder import Folder, Found, Program, read_file
from dagforge.output.manifest import (
    Ids,
    Manifest,
    read_manifest,
    seal,
)


@frozen
class Fate:
    """A file as it should be, what is there, and how the two compare.

    Attributes:
        old_ids: those of the file that is there.
    """

    file: RenderedFile
    real: Path
    found: Found | None
    verdict: Verdict
    old_ids: Ids = field(default_factory=Ids)


@frozen
class LeftOver:
    """A file of this project that nothing writes any more.

    Attributes:
        manifest: what its header says.
        replaced_by: the new file of the same pipeline, None when the pipeline is gone.
        edited: by hand, since DagForge wrote it.
        ids: what it defines.
    """

    found: Found
    manifest: Manifest
    replaced_by: RenderedFile | None
    edited: bool
    ids: Ids


def look_at(files: Sequence[RenderedFile], folder: Folder, mode: WriteMode) -> list[Fate]:
    """Compare each file with what is there.

    Raises:
        OutputError: two files have one place, or a place cannot be looked at.
    """
    problems = Problems()
    problems.extend(folder.problems())
    problems.extend(collisions(files, folder))
    problems.raise_errors(OutputError)
    places = [(file, folder.place_of(file.path, problems)) for file in files]
    problems.extend(links_to_one_file(places, folder))
    problems.raise_errors(OutputError)
    fates = []
    for file, real in places:
        found = folder.find(file.path, real, problems, whole=mode.force or mode.diff)
        fates.append(judge(file, real, found, files, mode))
    problems.raise_errors(OutputError)
    return fates


def judge(
    file: RenderedFile,
    real: Path,
    found: Found | None,
    files: Sequence[RenderedFile],
    mode: WriteMode,
) -> Fate:
    """Compare a file that should be with the one that is there.

    `stale`, `conflict` and `missing` are free to be written, the others are not.
    """
    if found is None:
        return Fate(file, real, found, "missing")
    if found.data == file.text.encode():
        return Fate(file, real, found, "unchanged")
    program = found.program()
    verdict = verdict_on(file, found, program, files, mode)
    return Fate(file, real, found, verdict, program.ids if program else Ids())


def verdict_on(
    file: RenderedFile,
    found: Found,
    program: Program | None,
    files: Sequence[RenderedFile],
    mode: WriteMode,
) -> Verdict:
    """Compare two files whose bytes differ."""
    if found.header is None:
        return "foreign"
    if file.text.encode().startswith(found.data.rstrip(b"\0")):
        return "stale"  # cut short, by a crash or a full disk: nothing of anybody's is in it
    theirs, wanted = found.header.manifest, read_manifest(file.text)
    if theirs is not None and not _may_replace(file, theirs, files, mode):
        return "owned"
    if found.is_in_conflict(program):
        return "conflict"
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


@frozen
class Rival:
    """A file that somebody else made, with the DAG of a file of ours.

    Attributes:
        path: within the output folder.
    """

    path: str
    dag_id: str
    ours: RenderedFile


# The id as the first argument of a DAG, which is where people and templates write it.
_DAG: Final = re.compile(r"""\b(?:DAG|dag)\(\s*(?:dag_id\s*=\s*)?["']([^"'\n]+)["']""")


def find_left_overs(
    fates: Sequence[Fate], beside: Sequence[Found], mode: WriteMode
) -> list[LeftOver]:
    """Return this project's files in the folders that are written to which nothing writes now.

    Args:
        fates: of the files that are written.
        beside: of `files_beside`.
        mode: what is done with the folder.
    """
    written = {fate.real for fate in fates}
    identities = {fate.found.identity for fate in fates if fate.found}
    by_manifest = {replace(fate.file.manifest, source=""): fate.file for fate in fates}
    owners = {_owner(fate.file.manifest) for fate in fates}
    pipelines = {(*_owner(fate.file.manifest), fate.file.manifest.pipeline) for fate in fates}
    left_overs = []
    for found in beside:
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
            left_overs.append(LeftOver(found, theirs, new, found.is_edited(program), ids))
    return left_overs


def find_rivals(fates: Sequence[Fate], beside: Sequence[Found]) -> list[Rival]:
    """Return files that somebody else made, with a DAG in them that a file of ours has too."""
    written = {fate.real for fate in fates}
    by_others = [each for each in beside if each.header is None and each.real not in written]
    if not by_others:
        # Most folders hold nothing else, and looking through all that was made takes its time.
        return []
    file_of = {
        match[1]: fate.file
        for fate in fates
        for match in _DAG.finditer(fate.file.text)
        if fate.verdict not in ("foreign", "owned")
    }
    return [
        Rival(found.path, dag_id, file_of[dag_id])
        for found in by_others
        for dag_id in dict.fromkeys(match[1] for match in _DAG.finditer(found.text))
        if dag_id in file_of
    ]


def files_beside(folder: Folder, fates: Sequence[Fate]) -> list[Found]:
    """Return the Python files in the folders that are written to, in order of their names."""
    return list(_files_beside(folder, fates))


def _files_beside(folder: Folder, fates: Sequence[Fate]) -> Iterator[Found]:
    """Give the files one by one.

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
                found = read_file(path, real / name, whole=False)
                if found is not None:
                    yield found


def edited_paths(
    fates: Sequence[Fate], left_overs: Sequence[LeftOver], folder: Folder, mode: WriteMode
) -> list[str]:
    """Return the edited files for which it matters whether git holds them, as real paths."""
    if mode.force or mode.check:
        return []
    edited = [fate.real for fate in fates if fate.verdict == "edited"]
    if mode.prune:
        edited += [left_over.found.real for left_over in left_overs if left_over.edited]
    return [real.relative_to(folder.real).as_posix() for real in edited]


def is_removed(left_over: LeftOver, held: set[str], mode: WriteMode) -> bool:
    """Say whether a left-over file goes: asked for, and no edit is lost with it."""
    may = mode.force or not left_over.edited or left_over.found.path in held
    return mode.prune and mode.complete and may
