"""The examples that `dagforge init --example` starts a project with."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from dagforge.errors import UsageError, suggest
from dagforge.resources import examples_dir

DEMO = "spaceflights"
"""The demo, which is the example unless another one is asked for."""


def names() -> list[str]:
    """Return the names of all examples."""
    return sorted({DEMO, *(each.name for each in examples_dir().iterdir() if each.is_dir())})


def check_example(name: str) -> None:
    """Raise UsageError unless there is an example of this name."""
    known = names()
    if name not in known:
        near = suggest(name, known)
        raise UsageError.of(
            "unknown-example",
            f"there is no example '{name}', only {', '.join(known)}",
            fix=f"did you mean '{near}'?" if near else None,
        )


def files_of(name: str) -> list[PurePosixPath]:
    """Return the files that an example is made of, relative to its folder and sorted.

    What running the example leaves in a checkout is told by the example's own .gitignore.
    """
    folder = examples_dir() / name
    ignore = (folder / ".gitignore").read_text(encoding="utf-8")
    patterns = [line for line in ignore.splitlines() if line and not line.startswith("#")]
    found = (
        PurePosixPath(path.relative_to(folder).as_posix())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    return [path for path in found if not _is_ignored(path, patterns)]


def read_example(name: str) -> dict[Path, bytes]:
    """Return the content of each file of an example, by its path in a project."""
    folder = examples_dir() / name
    return {Path(path): (folder / path).read_bytes() for path in files_of(name)}


def _is_ignored(path: PurePosixPath, patterns: Sequence[str]) -> bool:
    """Say whether git leaves a file out: the last pattern wins that meets it or a folder above."""
    places = (path, *path.parents)
    ignored = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!").rstrip("/")
        anywhere = "/" not in wanted
        wanted = wanted.removeprefix("/")
        if any(fnmatchcase(each.name if anywhere else str(each), wanted) for each in places):
            ignored = not pattern.startswith("!")
    return ignored
