"""Files that one disk cannot tell apart."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from dagforge.errors import Problem
from dagforge.output.files import RenderedFile
from dagforge.output.folder import Folder


def collisions(files: Sequence[RenderedFile], folder: Folder) -> Iterator[Problem]:
    """Give the files that are one file on some disk: equal, or but for case or accents' form."""
    first_by_name: dict[str, RenderedFile] = {}
    for file in files:
        name = unicodedata.normalize("NFC", file.path).casefold()
        first = first_by_name.setdefault(name, file)
        if first is not file:
            same = file.path == first.path
            beside = "" if same else f", which only some disks tell from '{first.path}'"
            yield _collision(first, file, folder, beside)


def links_to_one_file(
    places: Sequence[tuple[RenderedFile, Path]], folder: Folder
) -> Iterator[Problem]:
    """Yield a problem for each file that is another's by a link."""
    first_by_real: dict[Path, RenderedFile] = {}
    for file, real in places:
        first = first_by_real.setdefault(real, file)
        if first is not file:
            yield _collision(first, file, folder, f", a link to the same file as '{first.path}'")


def _collision(first: RenderedFile, second: RenderedFile, folder: Folder, how: str) -> Problem:
    one, other = first.manifest.pipeline, second.manifest.pipeline
    return Problem(
        "file-collision",
        f"pipelines '{one}' and '{other}' would be written to one file{how}",
        folder.at(second.path),
        f"give one of them another dag_id ({first.manifest.source}, {second.manifest.source})",
    )
