"""The project's own Python: made importable, imported, and shown by its own lines when it fails."""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, TracebackType

from dagforge.frozen import frozen

_PACKAGE = Path(__file__).parent
# Where Python's own modules and installed packages are: frames there are not the user's code.
_LIBRARIES = tuple(
    Path(path).resolve()
    for name, path in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)


@frozen
class Failure:
    """A user's function that failed, as it is shown and recorded.

    Attributes:
        type: of the exception.
        message: what it says, with its notes.
        frames: the user's own frames, as Python prints a traceback; of what caused it, too.
    """

    type: str
    message: str
    frames: str


class UserError(Exception):
    """A node's function, or the import of its module, raised.

    Attributes:
        cause: as it was caught.
        failure: how it is shown.
    """

    def __init__(self, cause: BaseException, module: str = "") -> None:
        self.cause = cause
        self.failure = failure_of(cause, module)
        super().__init__(self.failure.message)


def make_importable(root: Path) -> None:
    """Let the project's own modules be imported: from its root, then from `src`, before all else.

    A process may handle several projects: what is there is put in front again.
    """
    folders = [str(folder) for folder in (root, root / "src") if folder.is_dir()]
    if sys.path[: len(folders)] != folders:
        sys.path[:] = [*folders, *(entry for entry in sys.path if entry not in folders)]


def failure_of(error: BaseException, module: str = "") -> Failure:
    """Return an exception of the user's code with only the user's frames.

    Args:
        error: as it was caught.
        module: the node's; everything of its package is the user's, wherever it is installed.
    """
    return Failure(type_name(error), _message(error), "".join(_frames(error, _home(module), set())))


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as second:
        text = f"(its text cannot be made: {type(second).__name__})"
    return "\n".join([text, *map(str, getattr(error, "__notes__", ()))])


def _home(module: str) -> Path | None:
    """Return the folder or file of a module's package."""
    name = module.partition(".")[0]
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return None
    path = Path(file)
    return path.parent if path.name == "__init__.py" else path


def _frames(error: BaseException, home: Path | None, seen: set[int]) -> list[str]:
    """Return the lines of a traceback, those of the exceptions behind it first."""
    seen.add(id(error))
    cause = error.__cause__
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
    lines: list[str] = []
    behind = _frames(cause, home, seen) if cause is not None and id(cause) not in seen else []
    if cause is not None and behind:
        # What a library handled by itself has no line of the user's.
        lines += behind
        lines.append(f"{type_name(cause)}: {_message(cause)}\n")
        lines.append(
            "which caused:\n" if error.__cause__ is not None else "and while that was handled:\n"
        )
    lines += map(
        _without_marks, traceback.format_list(list(_own_frames(error.__traceback__, home)))
    )
    if isinstance(error, SyntaxError):
        lines += traceback.format_exception_only(type(error), error)[:-1]
    return lines


def _without_marks(frame: str) -> str:
    """Return a frame without the marks below its line, which not every Python makes."""
    lines = frame.splitlines(keepends=True)
    return "".join(line for line in lines if line.strip(" \n~^"))


def _own_frames(trace: TracebackType | None, home: Path | None) -> Iterable[traceback.FrameSummary]:
    for frame in traceback.extract_tb(trace):
        file = Path(frame.filename)
        if home is not None and file.is_relative_to(home):
            yield frame
        elif frame.filename.startswith("<frozen") or file.is_relative_to(_PACKAGE):
            continue
        elif file.exists() and not is_library(file):
            yield frame


def type_name(value: object) -> str:
    """Return a value's type as `module.Class`, without the module for Python's own."""
    kind = type(value)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def import_project_module(name: str, root: Path) -> ModuleType:
    """Return a module of the project in `root`, never the one of that name of another project.

    What it prints goes to stderr: stdout carries results.

    Raises:
        ModuleNotFoundError: there is none, or a module that it imports is missing.
        UserError: it fails while it is imported.
    """
    make_importable(root)
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names and _is_in(root, top):
        says = "it has the name of one of Python's own, which it would replace: rename it"
        raise UserError(ImportError(says), name)
    _forget_other(top, root)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent and (name == absent or name.startswith(f"{absent}.")):
            raise
        raise UserError(error, name) from error


def last_own_line(error: BaseException, root: Path) -> tuple[str, int, int | None] | None:
    """Return file, line and, where it is known, column of the project's line that raised.

    None where none of its own has to do with it.
    """
    frames: list[tuple[str, int | None, int | None]]
    if isinstance(error, SyntaxError) and error.filename:
        # Line 0 is a file that cannot be decoded.
        frames = [(error.filename, error.lineno or 1, error.offset)]
    else:
        frames = [
            (frame.filename, frame.lineno, None)
            for frame in traceback.extract_tb(error.__traceback__)
        ]
    for file, line, column in reversed(frames):
        path = Path(file)
        if line and path.is_relative_to(root) and not is_library(path) and path.exists():
            return file, line, column or None
    return None


def is_library(path: Path) -> bool:
    """Say whether a file is Python's own or of an installed package."""
    return any(path.resolve().is_relative_to(library) for library in _LIBRARIES)


def _is_in(root: Path, top: str) -> bool:
    """Say whether a project has a module or package of its own of that name."""
    return any(
        (folder / f"{top}.py").exists() or (folder / top / "__init__.py").exists()
        for folder in (root, root / "src")
    )


def _forget_other(top: str, root: Path) -> None:
    """Forget an imported package that is not the one in the project's own folders."""
    loaded = sys.modules.get(top)
    if loaded is None:
        return
    importlib.invalidate_caches()
    folders = [str(root), str(root / "src")]
    found = importlib.machinery.PathFinder.find_spec(top, folders)
    here = _places(getattr(loaded, "__spec__", None))
    if found is not None and here != _places(found):
        for module in [each for each in sys.modules if each == top or each.startswith(f"{top}.")]:
            del sys.modules[module]


def _places(spec: ModuleSpec | None) -> set[str]:
    """Return the files or folders that a module is read from."""
    if spec is None:
        return set()
    return {spec.origin} if spec.origin else set(spec.submodule_search_locations or ())
