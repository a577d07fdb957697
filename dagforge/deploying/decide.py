"""What is to be done with each file in a bucket, and what speaks against it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Literal

from dagforge.deploying.bucket import Stored
from dagforge.deploying.inventory import Entry, Inventory
from dagforge.deploying.local import LocalFile
from dagforge.errors import OutputError, Problem, Problems, SourceLocation
from dagforge.frozen import frozen
from dagforge.output.folder import is_edited, program_of
from dagforge.output.manifest import parse, read_manifest

Action = Literal["new", "changed", "removed", "unchanged"]
_FORCE = "or replace it with --force"


@frozen
class Scope:
    """Whose files a deployment is about.

    Attributes:
        env: `base` for none.
        pipelines: those that alone are deployed; None for all of the project in that environment,
            so that a file which is not deployed any more is removed.
        force: replace what DagForge did not write, and what was changed since.
        unclear: files here that have no header, by the path that they would have there: a file
            that was cut or could not be merged does not say that its DAG is gone.
    """

    project: str
    env: str
    pipelines: frozenset[str] | None = None
    force: bool = False
    unclear: Mapping[str, SourceLocation] = field(default_factory=dict)


@frozen
class View:
    """What there is in the bucket, of the paths that matter.

    Attributes:
        url: of the DAGs' root.
        stored: what a listing shows.
        inventory: the project's own.
        contents: of those objects that had to be read to know whose they are.
    """

    url: str
    stored: Mapping[str, Stored]
    inventory: Inventory
    contents: Mapping[str, bytes]


@frozen
class Step:
    """What happens to one path.

    Attributes:
        expected: version of the object that is there, None for none.
        file: as it should be, None when it goes.
    """

    path: str
    action: Action
    expected: str | None
    file: LocalFile | None


def gone(files: Iterable[LocalFile], inventory: Inventory, scope: Scope) -> list[str]:
    """Return the paths that were deployed in this scope and are not any more, sorted."""
    wanted = {file.path for file in files}
    return sorted(
        path
        for path, entry in inventory.files.items()
        if path not in wanted
        and scope.env in entry.envs
        and (scope.pipelines is None or entry.pipeline in scope.pipelines)
    )


def unclear(files: Sequence[LocalFile], view: View, scope: Scope) -> list[str]:
    """Return the paths of objects whose content the listing does not tell."""
    wanted: dict[str, LocalFile | None] = {file.path: file for file in files}
    wanted.update(dict.fromkeys(gone(files, view.inventory, scope)))
    return [
        path for path, file in wanted.items() if path in view.stored and not _told(path, file, view)
    ]


def _told(path: str, file: LocalFile | None, view: View) -> str | None:
    """Return the SHA-256 of an object that is there, None where it must be read first."""
    stored = view.stored[path]
    if file is not None and stored.md5 is not None and stored.md5 == file.md5:
        return file.sha256
    entry = view.inventory.files.get(path)
    if entry is not None and entry.version == stored.version and len(entry.hashes) == 1:
        return entry.hashes[0]
    content = view.contents.get(path)
    return None if content is None else hashlib.sha256(content).hexdigest()


def decide(files: Sequence[LocalFile], view: View, scope: Scope) -> tuple[Step, ...]:
    """Return a step for each path, sorted.

    Args:
        files: as they should be.
        view: with the contents that are `unclear`.
        scope: whose they are.

    Raises:
        OutputError: with every file that must not be touched.
    """
    problems = Problems()
    problems.extend(_twice(files, view, scope))
    steps = []
    for file in files:
        stored = view.stored.get(file.path)
        action: Action = "new"
        if stored is not None:
            same = _told(file.path, file, view) == file.sha256
            action = "unchanged" if same else "changed"
            if not same:
                problems.extend(_objections(file, view, scope))
        if action != "unchanged" and file.manifest is not None:
            problems.extend(_no_python(file))
        steps.append(Step(file.path, action, stored.version if stored else None, file))
    for path in gone(files, view.inventory, scope):
        stored, entry = view.stored.get(path), view.inventory.files[path]
        if stored is None or entry.envs != (scope.env,):
            continue
        if _told(path, None, view) not in entry.hashes and not scope.force:
            what = "this object was changed since it was deployed, and is not removed"
            fix = "take the change over where it belongs, then remove it with --force"
            at = SourceLocation(f"{view.url}/{path}")
            problems.error("edited-file", what, at, fix=fix)
        if path in scope.unclear:
            what = f"this file has no header, so it is not clear whether {view.url}/{path} is to go"
            fix = "make it again with `dagforge create`; delete it, if its DAG is to go"
            problems.error("bad-header", what, scope.unclear[path], fix=fix)
        steps.append(Step(path, "removed", stored.version, None))
    problems.raise_errors(OutputError)
    return tuple(sorted(steps, key=lambda step: step.path))


def _no_python(file: LocalFile) -> Iterator[Problem]:
    """Give a problem for a DAG file that Python cannot read: Airflow would show an error."""
    try:
        parse(file.content.decode(), file.at.file)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = error.lineno if isinstance(error, SyntaxError) else None
        says = error.msg if isinstance(error, SyntaxError) else str(error)
        yield Problem(
            "edited-file",
            f"this is no Python, so it was edited, cut or not merged: {says}",
            replace(file.at, line=line),
            "make it again with `dagforge create`",
        )


def _objections(file: LocalFile, view: View, scope: Scope) -> Iterator[Problem]:
    """Give the reason why an object with another content must not be replaced."""
    there = f"{view.url}/{file.path}"
    entry = view.inventory.files.get(file.path)
    if entry is not None and scope.env not in entry.envs and not scope.force:
        yield Problem(
            "owned-file",
            f"environment '{', '.join(entry.envs)}' of this project has other content at {there}",
            file.at,
            f"deploy the environments to different URLs or folders, {_FORCE}",
        )
        return
    if entry is not None and _told(file.path, file, view) in entry.hashes:
        return
    content = view.contents.get(file.path, b"")
    header = read_manifest(content.decode(errors="replace"))
    if header is not None and header.manifest is not None:
        if header.manifest.project != scope.project:
            yield _of_another(file, there, header.manifest.project)
            return
        if not is_edited(header, program_of(content)) and entry is None:
            theirs = header.manifest.env or "base"
            if theirs != scope.env and not scope.force:
                yield Problem(
                    "owned-file",
                    f"environment '{theirs}' of this project has a file at {there}",
                    file.at,
                    f"deploy the environments to different URLs or folders, {_FORCE}",
                )
            return
        if not is_edited(header, program_of(content)):
            return
    if scope.force:
        return
    if entry is not None or header is not None:
        yield Problem(
            "edited-file",
            f"{there} was changed since it was deployed",
            file.at,
            f"take the change over where it belongs, {_FORCE}",
        )
    else:
        yield Problem(
            "foreign-file",
            f"{there} was not deployed by DagForge and would be replaced",
            file.at,
            f"choose another URL or folder, {_FORCE}",
        )


def _of_another(file: LocalFile, there: str, project: str) -> Problem:
    return Problem(
        "owned-file",
        f"{there} belongs to project '{project}'",
        file.at,
        "choose another dag_id, URL or folder; --force leaves other projects' files alone",
    )


def _twice(files: Sequence[LocalFile], view: View, scope: Scope) -> Iterator[Problem]:
    """Give the dag_ids and paths that would be there twice, within the project."""
    by_path: dict[str, LocalFile] = {}
    owners: dict[str, tuple[str, str]] = {}
    leaving = set(gone(files, view.inventory, scope))
    for path, entry in sorted(view.inventory.files.items()):
        if path not in leaving and not {scope.env}.issuperset(entry.envs):
            envs = ", ".join(entry.envs)
            for dag_id in entry.dag_ids:
                owners[dag_id] = path, f"'{path}', which environment '{envs}' deployed"
    for file in files:
        first = by_path.setdefault(file.path, file)
        if first is not file:
            yield Problem(
                "deploy-files",
                f"'{first.at.file}' and '{file.at.file}' would both be deployed as '{file.path}'",
                file.at,
                "leave one of them out of `files`",
            )
        for dag_id in _ids(file, view.inventory.files.get(file.path)):
            path, owner = owners.setdefault(dag_id, (file.path, f"'{file.at.file}'"))
            if path != file.path and owner == f"'{file.at.file}'":
                yield Problem(
                    "deploy-files",
                    f"this file would be deployed as '{path}' and as '{file.path}'",
                    file.at,
                    "leave it, or its folder, out of `files`: a generated file is deployed anyway",
                )
                break
            if path != file.path:
                yield Problem(
                    "dag-id-taken",
                    f"dag_id '{dag_id}' is also in {owner}",
                    file.at,
                    "an Airflow has each dag_id once: give one of them another",
                )


def _ids(file: LocalFile, entry: Entry | None) -> tuple[str, ...]:
    """Return a file's dag_ids, without looking for them again when nothing has changed."""
    if entry is not None and entry.hashes == (file.sha256,):
        return entry.dag_ids
    return file.dag_ids


def claims(files: Sequence[LocalFile], inventory: Inventory, scope: Scope) -> Inventory:
    """Return the inventory while a deployment is under way: what was, and what will be."""
    entries = dict(inventory.files)
    for file in files:
        entry = entries.get(file.path)
        ids = _ids(file, entry)
        hashes, envs = (entry.hashes, entry.envs) if entry else ((), ())
        if entry is not None and file.sha256 not in hashes:
            ids = tuple(sorted({*entry.dag_ids, *ids}))
        changed = entry is None or hashes != (file.sha256,)
        entries[file.path] = Entry(
            tuple(sorted({*hashes, file.sha256})),
            None if changed or entry is None else entry.version,
            tuple(sorted({*envs, scope.env})),
            file.manifest.target if file.manifest else None,
            file.manifest.pipeline if file.manifest else None,
            ids,
        )
    return Inventory(inventory.project, entries)


def result(
    files: Sequence[LocalFile],
    inventory: Inventory,
    scope: Scope,
    versions: Mapping[str, str],
) -> Inventory:
    """Return the inventory when all is done.

    Args:
        files: that are there now.
        inventory: as it was before.
        scope: of the deployment.
        versions: of their objects, by path.
    """
    entries = dict(inventory.files)
    for path in gone(files, inventory, scope):
        envs = tuple(env for env in entries[path].envs if env != scope.env)
        if envs:
            entries[path] = replace(entries[path], envs=envs)
        else:
            del entries[path]
    for file in files:
        before = inventory.files.get(file.path)
        entries[file.path] = settled(file, before, scope, versions[file.path])
    return Inventory(inventory.project, entries)


def settled(file: LocalFile, before: Entry | None, scope: Scope, version: str) -> Entry:
    """Return the entry of a file that is there as it should be.

    Args:
        file: the file.
        before: its entry until now.
        scope: of the deployment.
        version: of its object.
    """
    others = before.envs if before is not None and file.manifest is None else ()
    return Entry(
        (file.sha256,),
        version,
        tuple(sorted({*others, scope.env})),
        file.manifest.target if file.manifest else None,
        file.manifest.pipeline if file.manifest else None,
        _ids(file, before),
    )


def taken(
    files: Sequence[LocalFile], own: Inventory, others: Iterable[Inventory], url: str
) -> Iterator[Problem]:
    """Give the files and dag_ids that another project has.

    Args:
        files: that are to be deployed.
        own: the project's inventory; what is in it was found free before.
        others: the inventories of all other projects, sorted by project.
        url: of the DAGs' root.
    """
    by_path: dict[str, str] = {}
    by_dag_id: dict[str, tuple[str, str]] = {}
    for other in others:
        for path, entry in other.files.items():
            by_path.setdefault(path, other.project)
            for dag_id in entry.dag_ids:
                by_dag_id.setdefault(dag_id, (other.project, path))
    for file in files:
        if file.path in by_path:
            yield _of_another(file, f"{url}/{file.path}", by_path[file.path])
            continue
        for dag_id in _ids(file, own.files.get(file.path)):
            if dag_id in by_dag_id:
                project, path = by_dag_id[dag_id]
                yield Problem(
                    "dag-id-taken",
                    f"dag_id '{dag_id}' is that of project '{project}', in {url}/{path}",
                    file.at,
                    "an Airflow has each dag_id once: choose another (setting dag_id)",
                )


def is_new(files: Iterable[LocalFile], inventory: Inventory) -> bool:
    """Say whether any file or dag_id is not the project's yet."""
    for file in files:
        entry = inventory.files.get(file.path)
        if entry is None or not set(_ids(file, entry)) <= set(entry.dag_ids):
            return True
    return False
