"""What can be wrong, where, and how to fix it.

A stage keeps what it finds in a `Problems` and raises once; `build.py` gathers the problems of
all stages. A problem is found far more often than it is shown, so its place may be an `Origin`,
which looks up line and column only when somebody asks.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn, Protocol

if TYPE_CHECKING:
    from typing_extensions import Self

from dagforge.frozen import frozen

Severity = Literal["error", "warning"]
Path = tuple["str | int", ...]


@frozen
class SourceLocation:
    """A place in a file.

    Attributes:
        file: path as the user knows it: relative to the project, with forward slashes.
        line: from 1; None when the whole file is meant.
        column: from 1, in characters; None when the whole line is meant.
    """

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = (self.file, self.line, self.column)
        return ":".join(str(part) for part in parts if part is not None)

    def __lt__(self, other: SourceLocation) -> bool:
        """Say whether this place comes first, in an order that is the same on every machine."""
        return (self.file, self.line or 0, self.column or 0) < (
            other.file,
            other.line or 0,
            other.column or 0,
        )


class Locator(Protocol):
    """Something that knows where its parts stand, such as a YAML document."""

    @property
    def file(self) -> str:
        """Path as the user knows it."""

    def locate(self, path: Path, *, key: bool = False) -> SourceLocation:
        """Return where the value at `path` begins, or with `key` the name in front of it."""


@frozen
class Origin:
    """Where a value came from: a part of a document, looked up when it is asked for."""

    source: Locator
    path: Path = ()

    def location(self, *, key: bool = False) -> SourceLocation:
        """Return file, line and column of the value, or with `key` of its name."""
        return self.source.locate(self.path, key=key)

    @property
    def file(self) -> str:
        """The file, without looking for the place in it."""
        return self.source.file

    def __truediv__(self, part: str | int) -> Origin:
        return Origin(self.source, (*self.path, part))


Place = SourceLocation | Origin | None


@frozen
class Problem:
    """One thing that is wrong.

    Attributes:
        code: stable name, the entry in `docs/errors.md`.
        message: one sentence without a full stop; may be followed by indented detail lines.
        at: where; None for the command line.
        fix: what to do about it, None where nothing is known.
        at_key: point at the name of the value, not at the value.
    """

    code: str
    message: str
    at: Place = None
    fix: str | None = None
    severity: Severity = "error"
    at_key: bool = False

    @property
    def location(self) -> SourceLocation | None:
        """Where it is, with line and column looked up."""
        if isinstance(self.at, Origin):
            return self.at.location(key=self.at_key)
        return self.at

    def __str__(self) -> str:
        # A line break that begins no detail came with a name out of a file.
        message = re.sub(r"\n(?! {2})", r"\\n", self.message)
        head, _, detail = message.partition("\n")
        where = f"{self.location}: " if self.at is not None else ""
        text = f"{where}{self.severity}: {head} [{self.code}]"
        if detail:
            text += "\n" + detail
        if self.fix:
            first, *rest = self.fix.split("\n")
            text += "\n".join([f"\n  fix: {first}", *(f"       {line}" for line in rest)])
        return visible(text)


def visible(text: str) -> str:
    """Return a text whose unprintable characters, line breaks apart, are escapes.

    Names come from files: they must not colour a terminal or turn its writing around.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character == "\n" or character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


class DagForgeError(Exception):
    """The input is wrong; holds every problem that was found.

    Attributes:
        problems: errors first as they were found; never empty.
        exit_code: what the command line ends with.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    @classmethod
    def of(
        cls,
        code: str,
        message: str,
        *,
        at: Place = None,
        fix: str | None = None,
        at_key: bool = False,
    ) -> Self:
        """Return the error for a single problem."""
        return cls([Problem(code, message, at, fix, at_key=at_key)])


class LoadError(DagForgeError):
    """A file cannot be read, or does not have the form that it should."""


class PipelineError(DagForgeError):
    """The pipeline itself is wrong: names, datasets, cycles, groups."""


class SettingsError(DagForgeError):
    """A setting is unknown, of the wrong type, or contradicts another."""


class TargetError(DagForgeError):
    """The target cannot hold what the plan asks for."""


class TemplateError(DagForgeError):
    """A template is wrong."""


class OutputError(DagForgeError):
    """The output folder cannot be written as it stands."""


class StaleError(DagForgeError):
    """`--check` found files that are not what the definitions give."""

    exit_code = 3


class VerificationError(DagForgeError):
    """What DagForge wrote is not what it planned."""

    exit_code = 4


class UsageError(DagForgeError):
    """The command line is wrong."""

    exit_code = 2


Warn = Callable[[Problem], None]


@dataclass(slots=True)
class Problems:
    """The problems that one stage, or one run, has found so far."""

    found: list[Problem] = field(default_factory=list)

    def error(
        self,
        code: str,
        message: str,
        at: Place = None,
        *,
        fix: str | None = None,
        at_key: bool = False,
    ) -> None:
        """Keep an error."""
        self.found.append(Problem(code, message, at, fix, at_key=at_key))

    def warn(self, problem: Problem) -> None:
        """Keep a warning; what stages take as `warn`."""
        self.found.append(replace(problem, severity="warning"))

    def extend(self, problems: Iterable[Problem]) -> None:
        """Keep all of `problems` as they are."""
        self.found.extend(problems)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the problems of what is done meanwhile, and go on after it."""
        try:
            yield
        except DagForgeError as error:
            self.extend(error.problems)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.found)

    @property
    def errors(self) -> list[Problem]:
        """Those that stop the run."""
        return [problem for problem in self.found if problem.severity == "error"]

    def raise_errors(self, kind: type[DagForgeError]) -> None:
        """Raise `kind` with everything that was found, if an error is among it."""
        if self.errors:
            self.fail(kind)

    def fail(self, kind: type[DagForgeError]) -> NoReturn:
        """Raise `kind` with everything that was found."""
        raise kind(self.found)


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that `word` was probably meant to be, or None."""
    import difflib

    candidates = sorted(set(known))
    by_fold: dict[str, str] = {}
    for candidate in candidates:
        by_fold.setdefault(candidate.casefold(), candidate)
    close = difflib.get_close_matches(word.casefold(), list(by_fold), n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the fix line for a misspelt `word`: the nearest name, or a short list of all."""
    names = sorted(set(known))
    near = suggest(word, names)
    if near is not None:
        return f"did you mean '{near}'?"
    if 0 < len(names) <= 8:
        return "there is " + ", ".join(f"'{name}'" for name in names)
    return None
