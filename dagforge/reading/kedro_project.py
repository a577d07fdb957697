"""A Kedro project as Kedro itself opens it, but in silence.

Kedro sets up logging when it is imported, and the modules of a project may print and warn: none
of that belongs to the output of a compiler. What the user's own code raises does.
"""

from __future__ import annotations

import contextlib
import graphlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagforge.errors import LoadError, Problem, Problems, SourceLocation, did_you_mean
from dagforge.reading.kedro_places import recorded_places
from dagforge.reading.project import KedroFacts
from dagforge.reading.scalars import kind_of
from dagforge.user_code import Failure, failure_of

if TYPE_CHECKING:
    from dagforge.reading.kedro_conf import KedroConf

_LOGGING = Path(__file__).with_name("kedro_logging.yml")
_LOGGING_VARIABLE = "KEDRO_LOGGING_CONFIG"
_LINES_SHOWN = 6
_SETTINGS, _REGISTRY = "settings", "pipeline_registry"
_REGISTER = "register_pipelines"
_LOADER_ARGS = "CONFIG_LOADER_ARGS"
_STRATEGIES = ("soft", "destructive")
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

    def check_settings(self) -> None:
        """Refuse values in `settings.py` of a kind that Kedro would fail with, or misread.

        Raises:
            LoadError: holds a problem for each.
        """
        problems = Problems()
        # As they are written: Kedro's own object does not answer when one of them is wrong.
        given = vars(sys.modules.get(f"{self.facts.package}.{_SETTINGS}", object))
        arguments = given.get(_LOADER_ARGS)
        wanted: list[tuple[str, Any, Any, str]] = [
            ("CONF_SOURCE", given.get("CONF_SOURCE"), (str, Path), "text"),
            (_LOADER_ARGS, arguments, Mapping, "a mapping"),
        ]
        wanted += (
            (name, value, type, "a class")
            for name, value in given.items()
            if name.isupper() and name.endswith("_CLASS")
        )
        if isinstance(arguments, Mapping):
            patterns = arguments.get("config_patterns")
            wanted += [
                ("base_env", arguments.get("base_env"), str, "text"),
                ("default_run_env", arguments.get("default_run_env"), str, "text"),
                ("custom_resolvers", arguments.get("custom_resolvers"), Mapping, "a mapping"),
                ("config_patterns", patterns, Mapping, "a mapping"),
                ("merge_strategy", arguments.get("merge_strategy"), Mapping, "a mapping"),
            ]
            if isinstance(patterns, Mapping):
                wanted += (
                    (f"config_patterns of '{family}'", of_family, (list, tuple), "a list")
                    for family, of_family in patterns.items()
                )
        for name, value, kind, expected in wanted:
            if value is not None and not isinstance(value, kind):
                problems.error(
                    "kedro-project",
                    f"{name} is {kind_of(value)}, not {expected}",
                    self.setting_place(name if name.isupper() else _LOADER_ARGS),
                )
        strategies = arguments.get("merge_strategy") if isinstance(arguments, Mapping) else None
        for family, strategy in strategies.items() if isinstance(strategies, Mapping) else ():
            if strategy not in _STRATEGIES:
                problems.error(
                    "kedro-project",
                    f"merge_strategy of '{family}' cannot be {strategy!r}",
                    self.setting_place(_LOADER_ARGS),
                    fix=did_you_mean(str(strategy), _STRATEGIES),
                )
        problems.raise_errors(LoadError)

    def environments(self) -> tuple[str, str]:
        """Return the names of the base environment and of the one that Kedro lays over it."""
        arguments = self.settings.CONFIG_LOADER_ARGS
        base = str(arguments.get("base_env") or "base")
        return base, str(arguments.get("default_run_env") or base)

    def check_conf_source(self) -> None:
        """Refuse settings that name folders of configuration which are not there.

        Raises:
            LoadError: the configuration, or its base, is missing.
        """
        shown, base = _shown(self.conf_source, self.root), self.environments()[0]
        if not self.conf_source.is_dir():
            message, setting = f"there is no folder of configuration {shown}", "CONF_SOURCE"
            fix = f"correct {setting}, or create the folder"
        elif not (self.conf_source / base).is_dir():
            message, setting = f"the configuration has no folder {shown}/{base}", _LOADER_ARGS
            fix = "correct base_env, or create the folder"
        else:
            return
        at = self.setting_place(setting)
        raise LoadError.of("no-conf", message, at=at if at.line else SourceLocation(shown), fix=fix)

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
        with silence() as told, recorded_places(self.source):
            from kedro.framework.project import pipelines

            pipelines.configure(f"{self.facts.package}.{_REGISTRY}")
            with self.user_code("its pipelines", _REGISTRY, f"def {_REGISTER}"):
                try:
                    found = dict(pipelines.items())
                except (AttributeError, TypeError, ValueError):
                    self._check_registry(getattr(pipelines, "_content", {}))
                    raise
        problems = Problems()
        # Kedro looks for modules in the order of the file system.
        for message in sorted(told):
            self._check_lost(message, problems)
        return found, tuple(problems.found)

    def _check_registry(self, returned: Any) -> None:
        """Refuse a registry without its function, or whose function gives something else.

        Args:
            returned: what the function gave, an empty mapping where it was not called.
        """
        module = sys.modules.get(f"{self.facts.package}.{_REGISTRY}")
        if module is not None and not hasattr(module, _REGISTER):
            names = [name for name, value in vars(module).items() if callable(value)]
            near = did_you_mean(_REGISTER, names) or ""
            raise LoadError.of(
                "kedro-pipelines",
                f"there is no function '{_REGISTER}', which Kedro asks for the pipelines",
                at=self.place(_REGISTRY),
                fix=near if near.startswith("did") else f"define {_REGISTER}()",
            )
        if not isinstance(returned, Mapping):
            what = "nothing" if returned is None else kind_of(returned)
            raise LoadError.of(
                "kedro-pipelines",
                f"{_REGISTER}() returns {what}, not pipelines by name",
                at=self.registry_place(),
                fix='return a mapping, such as {"__default__": pipeline([...])}',
            )

    def _check_lost(self, message: str, problems: Problems) -> None:
        """Report a module whose pipelines Kedro left out."""
        if message.startswith(_LOST_MODULE):
            module = message.removeprefix(_LOST_MODULE).partition("'")[0]
            try:
                with silence(), self.user_code(f"the module {module}"):
                    # It failed before, so Python has not kept it.
                    importlib.import_module(module)
            except LoadError as error:
                problems.extend(error.problems)
                return
        if _LOST_PIPELINE in message:
            says = message.partition("\n")[0].rstrip(".")
            named = re.search(r"'(?P<name>[\w.]+)' module", says)
            lost = sys.modules.get(named["name"] if named is not None else "")
            folder = next(iter(getattr(lost, "__path__", ())), str(self.source))
            file = Path(getattr(lost, "__file__", None) or folder)
            at = SourceLocation(_shown(file, self.root))
            fix = None
            if not hasattr(lost, "create_pipeline") and (Path(folder) / "pipeline.py").is_file():
                init = _shown(Path(folder) / "__init__.py", self.root)
                fix = f"write `from .pipeline import create_pipeline` into {init}"
            message = f"Kedro leaves something out: {says}"
            problems.warn(Problem("kedro-pipelines", message, at, fix))

    @contextlib.contextmanager
    def user_code(self, what: str, module: str = "", name: str = "") -> Iterator[None]:
        """Turn what the project's own code raises into a problem at its line."""
        try:
            yield
        except LoadError:
            raise
        except (Exception, SystemExit) as error:
            raise LoadError([self.failure(error, what, module, name)]) from error

    def failure(self, error: BaseException, what: str, module: str = "", name: str = "") -> Problem:
        """Return what the project's code raised: where, and the way there in the user's files.

        Args:
            error: as it was caught.
            what: that Kedro cannot load because of it.
            module: of the package, where to point if none of the project's lines is on the way.
            name: what stands before it in that module, such as `def register_pipelines`.
        """
        cause, lines = self._own_cause(error)
        failure = failure_of(cause, self.facts.package)
        says = _cycle_in(error) or f"{failure.type}: {failure.message}"
        at = lines[-1] if lines else self.place(module, _setting_in(failure) or name)
        if isinstance(cause, SyntaxError) and self._is_own_mistake(cause):
            file = Path(str(cause.filename))
            at = SourceLocation(_shown(file, self.root), cause.lineno, cause.offset)
        # Where an object lies in memory is different each time.
        says = re.sub(r" at 0x[0-9a-f]+", "", says)
        told = [f"Kedro cannot load {what}: {says}".rstrip(": ")]
        frames_shown = failure.frames.replace(f"{self.root}/", "").splitlines()
        told += (f"  {line}" for line in _shortened(frames_shown))
        return Problem("import-failed", "\n".join(told), at, self._fix_for(cause, failure))

    def failure_of_loader(self, error: BaseException) -> Problem:
        """Return what the config loader raised when it was made."""
        return self.failure(error, "its config loader", _SETTINGS, _LOADER_ARGS)

    def _own_cause(self, error: BaseException) -> tuple[BaseException, list[SourceLocation]]:
        """Return the innermost cause that comes from the project's code, with the lines there.

        Kedro says in its own words what a library of its has found, and only there the way goes
        through the project.
        """
        chain = [error]
        while isinstance(chain[-1].__cause__, Exception) and chain[-1].__cause__ not in chain:
            chain.append(chain[-1].__cause__)
        for cause in reversed(chain):
            lines = self.lines_of(cause)
            if lines or (isinstance(cause, SyntaxError) and self._is_own_mistake(cause)):
                return cause, lines
        return error, []

    def lines_of(self, error: BaseException) -> list[SourceLocation]:
        """Return the lines of the project's own code where an exception passed, last one last."""
        return [
            SourceLocation(_shown(Path(frame.filename), self.root), frame.lineno)
            for frame in traceback.extract_tb(error.__traceback__)
            if self._is_own(Path(frame.filename))
        ]

    def place(self, module: str = "", name: str = "") -> SourceLocation:
        """Return where a module of the package says something; the module where it does not.

        Args:
            module: its name in the package; empty for the package.
            name: how the line begins, such as `CONF_SOURCE`.
        """
        package = self.source / self.facts.package.replace(".", "/")
        file = package / f"{module}.py"
        if not module or not file.is_file():
            return SourceLocation(_shown(package, self.root))
        text = file.read_text(encoding="utf-8", errors="replace")
        found = re.search(rf"(?m)^(?:async +)?{re.escape(name)}\b", text) if name else None
        if found is None:
            return SourceLocation(_shown(file, self.root))
        return SourceLocation(_shown(file, self.root), text.count("\n", 0, found.start()) + 1, 1)

    def registry_place(self) -> SourceLocation:
        """Return where the pipelines are registered."""
        return self.place(_REGISTRY, f"def {_REGISTER}")

    def setting_place(self, name: str) -> SourceLocation:
        """Return where `settings.py` says something."""
        return self.place(_SETTINGS, name)

    def _fix_for(self, error: BaseException, failure: Failure) -> str | None:
        tag = _WRONG_TAG.search(failure.message)
        if tag is not None and ":" in tag["tag"]:
            return f"write '{tag['tag'].replace(':', '.')}': since 0.19 a tag of Kedro has no colon"
        if not isinstance(error, ModuleNotFoundError) or not error.name:
            return None
        missing = error.name.partition(".")[0]
        if missing == self.facts.package.partition(".")[0]:
            return None
        return f"install '{missing}' where dagforge runs, which must be the project's environment"

    def _is_own_mistake(self, error: SyntaxError) -> bool:
        return bool(error.filename) and self._is_own(Path(str(error.filename)))

    def _is_own(self, path: Path) -> bool:
        return path.is_relative_to(self.root) and "site-packages" not in path.parts


# What Kedro adds to the table, and nobody writes there.
_MADE_BY_KEDRO = {"config_file", "project_path"}
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
        _forget_resolvers(_open)
        _open = None
    _check_installed(facts)
    source = (root / facts.source.expanduser()).resolve()
    _check_source(root, source, facts)
    package = facts.package.partition(".")[0]
    _forget(lambda name, path: name.partition(".")[0] == package and source not in path.parents)
    opened = KedroProject(root, facts, source, _state(source))
    with silence():
        from kedro.framework import startup
        from kedro.framework.project import validate_settings

        _check_facts(facts, startup.ProjectMetadata._fields)
        with opened.user_code("its settings", _SETTINGS):
            try:
                startup.bootstrap_project(root)
                validate_settings()
            except Exception as error:
                if _raised_in(error) == startup.__file__:
                    message = f"Kedro says: {error}"
                    raise LoadError.of("kedro-project", message, at=facts.table) from error
                opened.check_settings()
                raise
            opened.check_settings()
            opened.conf_source, opened.environments()  # read now, while it is quiet
    _open = opened
    return opened


def _check_facts(facts: KedroFacts, known: Iterable[str]) -> None:
    """Refuse keys of `[tool.kedro]` that Kedro does not know: it stops without naming them."""
    problems = Problems()
    for key in facts.keys:
        if key not in known:
            problems.error(
                "kedro-project",
                f"[tool.kedro] has no key '{key}'",
                facts.table / key,
                fix=did_you_mean(key, set(known) - _MADE_BY_KEDRO),
                at_key=True,
            )
    problems.raise_errors(LoadError)


def _raised_in(error: BaseException) -> str:
    """Return the file whose code raised an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].filename if frames else ""


def _cycle_in(error: BaseException) -> str | None:
    """Return what Kedro says of nodes that wait for each other, the same each time."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, graphlib.CycleError):
        cause = cause.__cause__
    if cause is None:
        return None
    names = [str(getattr(node, "name", node)) for node in cause.args[1]][:-1]
    first = names.index(min(names))
    ring = [*names[first:], *names[:first], names[first]]
    return f"nodes wait for each other: {' -> '.join(ring)}"


def _setting_in(failure: Failure) -> str | None:
    """Return the setting of Kedro that a failure names."""
    found = re.search(r"setting '([A-Z_]+)'", failure.message)
    return found[1] if found is not None else None


def _state(source: Path) -> frozenset[tuple[str, int, int]]:
    """Return what tells whether the code of a project is still that which was imported."""
    found = []
    for path in source.rglob("*.py"):
        # An editor's lock is a link that leads nowhere.
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_size))
    return frozenset(found)


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


def _forget_resolvers(project: KedroProject) -> None:
    """Let go of what a project has told OmegaConf, which Kedro would not replace."""
    from omegaconf import OmegaConf

    for name in project.settings.CONFIG_LOADER_ARGS.get("custom_resolvers") or ():
        OmegaConf.clear_resolver(name)


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
