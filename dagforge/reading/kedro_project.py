"""A Kedro project as Kedro itself opens it, but in silence.

Kedro sets up logging when it is imported, and the modules of a project may print and warn: none
of that belongs to the output of a compiler. What the user's own code raises does.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagforge.errors import LoadError, Problem, Problems, SourceLocation
from dagforge.reading.kedro_places import recorded_places
from dagforge.reading.project import KedroFacts
from dagforge.user_code import failure_of

if TYPE_CHECKING:
    from dagforge.reading.kedro_conf import KedroConf

_LOGGING = Path(__file__).with_name("kedro_logging.yml")
_LOGGING_VARIABLE = "KEDRO_LOGGING_CONFIG"
_LINES_SHOWN = 6
_WRONG_TAG = re.compile(r"'(?P<tag>.+)' is not a valid node tag")
# What `find_pipelines` of Kedro warns of instead of failing: the pipelines would just be missing.
_LOST_MODULE = "An error occurred while importing the '"
_LOST_PIPELINE = "defined therein will be returned by 'find_pipelines'"


@dataclass(eq=False)
class KedroProject:
    """A Kedro project that is open: its package can be imported, its settings are Kedro's.

    Attributes:
        root: the project's folder.
        source: folder of its package.
        state: of the package's files, when the project was opened.
    """

    root: Path
    facts: KedroFacts
    source: Path
    state: frozenset[tuple[str, int, int]]
    _registered: tuple[Mapping[str, Any], tuple[Problem, ...]] | None = field(
        default=None, init=False
    )

    @property
    def settings(self) -> Any:
        """The settings of the project's `settings.py`, over Kedro's defaults."""
        from kedro.framework.project import settings

        return settings

    @cached_property
    def conf_source(self) -> Path:
        """Folder of the configuration."""
        return self.root / str(self.settings.CONF_SOURCE)

    def environments(self) -> tuple[str, str]:
        """Return the names of the base environment and of the one that Kedro lays over it."""
        arguments = self.settings.CONFIG_LOADER_ARGS
        base = str(arguments.get("base_env") or "base")
        return base, str(arguments.get("default_run_env") or base)

    def conf(self, folder: Path, env: str | None) -> KedroConf:
        """Return the configuration in a folder, `env` over base; None for Kedro's own choice."""
        from dagforge.reading.kedro_conf import KedroConf

        return KedroConf(self, folder, env)

    def pipelines(self) -> tuple[Mapping[str, Any], tuple[Problem, ...]]:
        """Return Kedro's pipelines by name, and what is wrong with those that are not there.

        Each of their nodes knows where it was written (`kedro_places`).

        Raises:
            LoadError: the project's code failed.
        """
        if self._registered is None:
            self._registered = self._read_pipelines()
        return self._registered

    def _read_pipelines(self) -> tuple[Mapping[str, Any], tuple[Problem, ...]]:
        module = f"{self.facts.package}.pipeline_registry"
        with silence() as told, recorded_places(self.source):
            from kedro.framework.project import pipelines

            pipelines.configure(module)
            with self._user_code("its pipelines"):
                found = dict(pipelines.items())
        problems = Problems()
        # Kedro looks for modules in the order of the file system.
        for message in sorted(told):
            self._check_lost(message, problems)
        return found, tuple(problems.found)

    def _check_lost(self, message: str, problems: Problems) -> None:
        """Report a module whose pipelines Kedro left out."""
        if message.startswith(_LOST_MODULE):
            module = message.removeprefix(_LOST_MODULE).partition("'")[0]
            try:
                with silence(), self._user_code(f"the module {module}"):
                    # It failed before, so Python has not kept it.
                    importlib.import_module(module)
            except LoadError as error:
                problems.extend(error.problems)
                return
        if _LOST_PIPELINE in message:
            says = message.partition("\n")[0].rstrip(".")
            named = re.search(r"'(?P<name>[\w.]+)' module", says)
            lost = sys.modules.get(named["name"] if named is not None else "")
            file = Path(getattr(lost, "__file__", None) or self.source)
            at = SourceLocation(_shown(file, self.root))
            problems.warn(Problem("kedro-pipelines", f"Kedro leaves something out: {says}", at))

    @contextlib.contextmanager
    def _user_code(self, what: str) -> Iterator[None]:
        """Turn what the project's own code raises into a problem at its line."""
        try:
            yield
        except (Exception, SystemExit) as error:
            raise LoadError([self.failure(error, what)]) from error

    def failure(self, error: BaseException, what: str) -> Problem:
        """Return what the project's code raised: where, and the way there in the user's files."""
        cause = error
        while isinstance(cause.__cause__, Exception):
            cause = cause.__cause__
        package = self.source / self.facts.package.replace(".", "/")
        at = SourceLocation(_shown(package, self.root))
        frames = [
            (Path(frame.filename), frame.lineno)
            for frame in traceback.extract_tb(cause.__traceback__)
            if self._is_own(Path(frame.filename))
        ]
        if isinstance(cause, SyntaxError) and cause.filename and self._is_own(Path(cause.filename)):
            at = SourceLocation(_shown(Path(cause.filename), self.root), cause.lineno, cause.offset)
        elif frames:
            file, line = frames[-1]
            at = SourceLocation(_shown(file, self.root), line)
        failure = failure_of(cause, self.facts.package)
        lines = [f"Kedro cannot load {what}: {failure.type}: {failure.message}".rstrip(": ")]
        frames_shown = failure.frames.replace(f"{self.root}/", "").splitlines()
        lines += (f"  {line}" for line in _shortened(frames_shown))
        return Problem("import-failed", "\n".join(lines), at, self._fix_for(cause))

    def _fix_for(self, error: BaseException) -> str | None:
        tag = _WRONG_TAG.search(str(error))
        if tag is not None and ":" in tag["tag"]:
            return f"write '{tag['tag'].replace(':', '.')}': since 0.19 a tag of Kedro has no colon"
        if not isinstance(error, ModuleNotFoundError) or not error.name:
            return None
        missing = error.name.partition(".")[0]
        if missing == self.facts.package.partition(".")[0]:
            return None
        return f"install '{missing}' where dagforge runs, which must be the project's environment"

    def _is_own(self, path: Path) -> bool:
        return path.is_relative_to(self.root) and "site-packages" not in path.parts


_open: KedroProject | None = None
_speaks = False


def speak() -> None:
    """Let Kedro log from now on as it does by itself: in a task its log is the task's."""
    global _speaks
    _speaks = True


def open_project(root: Path, facts: KedroFacts) -> KedroProject:
    """Return the Kedro project in `root`; one that was open in this process is closed.

    Raises:
        LoadError: Kedro is not installed, or cannot open the project.
    """
    global _open
    root = root.resolve()
    if _open is not None:
        same = (_open.root, _open.facts) == (root, facts) and _open.state == _state(_open.source)
        if same:
            return _open
        _forget(_is_below(_open.source))
        _open = None
    _check_installed(facts)
    source = (root / facts.source.expanduser()).resolve()
    _check_source(root, source, facts)
    package = facts.package.partition(".")[0]
    _forget(lambda name, path: name.partition(".")[0] == package and source not in path.parents)
    opened = KedroProject(root, facts, source, _state(source))
    with silence():
        from kedro.framework import startup

        try:
            startup.bootstrap_project(root)
        except (RuntimeError, ValueError, OSError, TypeError) as error:
            raise LoadError.of("kedro-project", f"Kedro says: {error}", at=facts.table) from error
        from kedro.framework.project import validate_settings

        with opened._user_code("its settings"):
            validate_settings()
            opened.conf_source, opened.environments()  # read now, while it is quiet
    _open = opened
    return opened


def _state(source: Path) -> frozenset[tuple[str, int, int]]:
    """Return what tells whether the code of a project is still that which was imported."""
    found = ((str(path), path.stat()) for path in source.rglob("*.py"))
    return frozenset((path, status.st_mtime_ns, status.st_size) for path, status in found)


def _check_installed(facts: KedroFacts) -> None:
    if importlib.util.find_spec("kedro") is None:
        raise LoadError.of(
            "no-kedro",
            "this is a Kedro project, and Kedro is not installed here",
            at=facts.table,
            fix="run dagforge in the project's own environment: pip install dagforge there",
        )
    with silence():
        from kedro import __version__ as installed
    if installed.partition(".")[0] != facts.version.partition(".")[0]:
        raise LoadError.of(
            "kedro-project",
            f"the project is of Kedro {facts.version}, but Kedro {installed} is installed here, "
            "which refuses to run it",
            at=facts.table / "kedro_init_version",
            fix="install the project's Kedro, or migrate the project and change this line",
        )


def _check_source(root: Path, source: Path, facts: KedroFacts) -> None:
    if not source.is_relative_to(root):
        message = f"the folder of the package, {facts.source.as_posix()}, is outside the project"
        raise LoadError.of("kedro-project", message, at=facts.table / "source_dir")
    package = source / facts.package.replace(".", "/")
    if not package.is_dir():
        raise LoadError.of(
            "kedro-project",
            f"there is no package {_shown(package, root)}",
            at=facts.table / "package_name",
            fix="correct package_name, or say in source_dir where the package is",
        )


def _shortened(lines: list[str]) -> list[str]:
    """Return the lines of a traceback, the middle of a long one left out."""
    hidden = len(lines) - 2 * _LINES_SHOWN
    if hidden < 2:
        return lines
    return [*lines[:_LINES_SHOWN], f"  ... {hidden} lines ...", *lines[-_LINES_SHOWN:]]


def _is_below(folder: Path) -> Callable[[str, Path], bool]:
    return lambda _, path: folder in path.parents or path == folder


def _forget(is_gone: Callable[[str, Path], bool]) -> None:
    """Let go of the modules, and places to find modules, of another project."""
    for name, module in list(sys.modules.items()):
        paths = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
        if any(isinstance(path, str) and is_gone(name, Path(path)) for path in paths):
            del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if not (entry and is_gone("", Path(entry)))]
    importlib.invalidate_caches()


@contextlib.contextmanager
def silence() -> Iterator[list[str]]:
    """Keep Kedro and what it imports from writing anything but errors; give what was warned of."""
    before = os.environ.get(_LOGGING_VARIABLE)
    if not _speaks and "kedro.framework.project" not in sys.modules:
        os.environ[_LOGGING_VARIABLE] = str(_LOGGING)
    told: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("always")
            try:
                yield told
            finally:
                told += (str(warning.message) for warning in caught)
    finally:
        if before is None:
            os.environ.pop(_LOGGING_VARIABLE, None)
        else:
            os.environ[_LOGGING_VARIABLE] = before


def _shown(path: Path, root: Path) -> str:
    """Return a path as the user knows it: relative to the project where it is in it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
