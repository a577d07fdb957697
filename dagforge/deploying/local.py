"""What a project deploys: its DAG files and the supporting files that its settings name."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from dagforge.deploying.settings import Supporting
from dagforge.errors import LoadError, Problems, SourceLocation
from dagforge.frozen import frozen
from dagforge.output.manifest import Manifest, parse

_LEFT_OUT: Final = ("__pycache__",)


@frozen
class LocalFile:
    """A file as it should be in the bucket.

    Attributes:
        path: there, from the DAGs' root.
        content: its bytes, as they are in the project.
        at: the file here.
        manifest: what the header of a DAG file says; None for a supporting file.
    """

    path: str
    content: bytes
    at: SourceLocation
    manifest: Manifest | None = None

    @property
    def dag_ids(self) -> tuple[str, ...]:
        """The ids of the DAGs in it, sorted; what `dag_ids_of` finds."""
        return dag_ids_of(self.content) if self.path.endswith(".py") else ()

    @property
    def sha256(self) -> str:
        """Of the content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def md5(self) -> str:
        """Of the content, as listings of buckets show it."""
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()


def dag_file(
    name: str, content: bytes, at: SourceLocation, manifest: Manifest, folder: str
) -> LocalFile:
    """Return a generated file.

    Args:
        name: within the output folder.
        content: its bytes.
        at: the file here.
        manifest: what its header says.
        folder: where DAG files go below the DAGs' root.
    """
    return LocalFile(deployed_as(name, folder), content, at, manifest)


def deployed_as(name: str, folder: str) -> str:
    """Return the path below the DAGs' root of a file of the output folder."""
    return f"{folder}/{name}" if folder else name


def supporting_files(root: Path, named: Sequence[Supporting]) -> tuple[LocalFile, ...]:
    """Return the supporting files, those of folders among them, sorted by their paths.

    Args:
        root: the project's folder.
        named: by the settings.

    Raises:
        LoadError: files are missing, or two have one destination.
    """
    problems = Problems()
    found: dict[str, LocalFile] = {}
    for each in named:
        for destination, source in _files_of(root, each, problems):
            shown = source.relative_to(root).as_posix()
            first = found.get(destination)
            if first is not None and first.at.file != shown:
                problems.error(
                    "deploy-files",
                    f"'{first.at.file}' and '{shown}' would both be deployed as '{destination}'",
                    each.origin,
                    fix="leave out one of them",
                )
                continue
            try:
                content = source.read_bytes()
            except OSError as error:
                problems.error(
                    "deploy-files", f"'{shown}' cannot be read: {error.strerror}", each.origin
                )
                continue
            found[destination] = LocalFile(destination, content, SourceLocation(shown))
    problems.raise_errors(LoadError)
    return tuple(found[path] for path in sorted(found))


def _files_of(root: Path, named: Supporting, problems: Problems) -> Iterator[tuple[str, Path]]:
    """Give destination and source of each file that one entry of the settings stands for."""
    source = root / named.source
    if source.is_file():
        yield named.destination, source
        return
    files = []
    if source.is_dir():
        inside = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
        files = [path for path in inside if _is_deployed(path)]
    if not files:
        what = "the folder '{}' is empty" if source.is_dir() else "there is no file '{}'"
        problems.error(
            "deploy-files",
            what.format(named.source.as_posix()) + " to be deployed",
            named.origin,
            fix="correct `files`, which names it",
        )
    for path in sorted(files):
        yield (PurePosixPath(named.destination) / path.as_posix()).as_posix(), source / path


def _is_deployed(path: Path) -> bool:
    return path.suffix != ".pyc" and not any(part in _LEFT_OUT for part in path.parts)


def dag_ids_of(content: bytes) -> tuple[str, ...]:
    """Return the ids that Python source gives its DAGs as constants, sorted.

    `DAG("etl")`, `models.DAG(dag_id="etl")` and the decorator `@dag("etl")` are known; an id that
    is put together when the file is loaded is not. Source that cannot be parsed has none.
    """
    try:
        tree = parse(content.decode())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(sorted(set(_dag_ids(ast.walk(tree)))))


def _dag_ids(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        if name not in ("DAG", "dag"):
            continue
        named = [word.value for word in node.keywords if word.arg == "dag_id"]
        for value in [*named, *node.args[:1]][:1]:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value
