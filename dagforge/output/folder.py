"""What lies in the output folder before anything is written."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dagforge.errors import Problem, Problems, SourceLocation
from dagforge.frozen import frozen
from dagforge.output.failures import os_problem
from dagforge.output.manifest import (
    FileManifest,
    Ids,
    ids_of,
    parse,
    read_manifest,
    seal,
    tree_hash,
)

# A header stands at the top; nobody else's file is read further than this.
_HEAD_BYTES: Final = 16_384


BINARY: Final[int] = getattr(os, "O_BINARY", 0)


@frozen
class Found:
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
        """The file's text; bytes that are no UTF-8 are replaced."""
        return self.data.decode(errors="replace")

    def program(self) -> Program | None:
        """Return what its source means, None when it is not valid Python."""
        return program_of(self.data)

    def is_in_conflict(self, program: Program | None) -> bool:
        """Say whether git could not merge it, and nobody has put it together since.

        Both versions are committed then: nothing is lost with it.
        """
        if program is not None:
            return False
        lines = iter(self.text.splitlines())
        marks = ("<<<<<<< ", "=======", ">>>>>>> ")
        return all(any(line.startswith(mark) for line in lines) for mark in marks)

    def is_edited(self, program: Program | None) -> bool:
        """Say whether its tree or its header's fields are not those it was written with."""
        return is_edited(self.header, program)


@frozen
class Program:
    """What is kept of a syntax tree: the trees of many files need much memory."""

    hash: str
    ids: Ids


def program_of(data: bytes) -> Program | None:
    """Return what source means, None when it is not valid Python."""
    try:
        tree = parse(data.decode())
        return Program(tree_hash(tree), ids_of(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def is_edited(header: FileManifest | None, program: Program | None) -> bool:
    """Say whether a file's tree or its header's fields are not those it was written with."""
    if header is None or header.manifest is None or program is None:
        return True
    return seal(header.manifest, program.hash) != header.hash


@frozen
class Folder:
    """The output folder.

    Attributes:
        real: links followed.
        label: as messages name it, None for the project's folder itself.
    """

    real: Path
    label: str | None

    @classmethod
    def of(cls, out: Path, root: Path) -> Folder:
        """Return the output folder, which need not exist yet."""
        real = Path(os.path.realpath(out))
        try:
            label = real.relative_to(os.path.realpath(root)).as_posix()
        except ValueError:
            label = Path(os.path.normpath(out)).as_posix()
        return cls(real, None if label == "." else label)

    def problems(self) -> Iterator[Problem]:
        """Give the reason why it cannot be a folder."""
        label = self.label or "."
        try:
            is_folder = stat.S_ISDIR(self.real.stat().st_mode)
        except FileNotFoundError:
            return
        except OSError as exc:
            yield os_problem(exc, label, "cannot use the output folder")
            return
        if not is_folder:
            yield Problem(
                "output",
                "the output folder is a file",
                SourceLocation(label),
                "move the file away, or choose another folder with --output-dir",
            )

    def label_of(self, path: str) -> str:
        """Return a file's path as messages name it."""
        return path if self.label is None else f"{self.label}/{path}"

    def at(self, path: str) -> SourceLocation:
        """Return a file as the place of a problem."""
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

    def find(self, path: str, real: Path, problems: Problems, *, whole: bool) -> Found | None:
        """Return the file that stands where `path` belongs."""
        try:
            return read_file(path, real, whole=whole)
        except OSError as exc:
            problems.extend([os_problem(exc, self.label_of(path), "cannot replace it")])
            return None


def read_file(path: str, real: Path, *, whole: bool) -> Found | None:
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
    return Found(path, real, data, header, (status.st_dev, status.st_ino))
