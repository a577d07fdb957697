"""A project's configuration: which files there are, what they hold, which environment they are of.

Files are read here and nowhere else; what they mean is decided by who asks for them.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagforge.errors import (
    DagForgeError,
    LoadError,
    Origin,
    Problems,
    SourceLocation,
    UsageError,
    did_you_mean,
)
from dagforge.frozen import frozen
from dagforge.reading.document import Document, Refused, Substitute, parse_yaml
from dagforge.reading.packages import Package
from dagforge.reading.project import Project, read_project

if TYPE_CHECKING:
    from dagforge.reading.kedro_conf import KedroConf
    from dagforge.reading.kedro_project import KedroProject

__all__ = [
    "BASE",
    "Conf",
    "Document",
    "LayeredDocument",
    "Project",
    "parse_yaml",
    "read_conf",
    "read_project",
    "read_yaml",
]

BASE = "base"
# What kedro-airflow reads by Kedro's config loader, so that a project's files mean what they meant.
_KEDRO_FAMILIES = ("airflow",)
_SUFFIXES = (".yml", ".yaml")


@frozen
class LayeredDocument:
    """A document and the layer that it belongs to: `base` or the name of an environment."""

    document: Document
    layer: str

    @property
    def file(self) -> str:
        """The document's path as the user knows it."""
        return self.document.file

    @property
    def data(self) -> Any:
        """The document's value."""
        return self.document.data

    def origin(self, *path: str | int) -> Origin:
        """Return the origin of the value at `path`."""
        return self.document.origin(*path)


@dataclass(eq=False)
class Conf:
    """The configuration of a project in one environment.

    Attributes:
        root: the project's folder; files are shown relative to it.
        folder: the configuration's folder.
        env: name of the environment over base; None when there is only base.
        environments: what `env` could be, sorted.
        pipelines: the files with pipelines, of base only, sorted by path.
        catalog: files with datasets, base first.
        parameters: files with parameters, base first.
        packages: that the project extends; their settings lie below its own.
        kedro: the configuration of a Kedro project, which has its catalog and parameters; None
            for any other.
    """

    root: Path
    project: Project
    folder: Path
    env: str | None
    environments: tuple[str, ...]
    pipelines: tuple[Document, ...]
    catalog: tuple[LayeredDocument, ...]
    parameters: tuple[LayeredDocument, ...]
    _reader: _Reader = field(repr=False)
    packages: tuple[Package, ...] = ()
    kedro: KedroConf | None = None
    _settings: dict[tuple[str, str], tuple[tuple[LayeredDocument, ...], Problems]] = field(
        repr=False, default_factory=dict
    )

    def settings_of(
        self, family: str, package: Package | None = None
    ) -> tuple[LayeredDocument, ...]:
        """Return the settings of `dagforge`, `airflow`, ...: base first, sorted by path.

        Read when first asked for, so that a broken prefect.yml does not stop a run for Airflow.

        Args:
            family: beginning of the files' names.
            package: whose settings; None for those of the project.

        Raises:
            LoadError: files cannot be read; holds the problems of all of them.
        """
        documents, problems = self._read(family, package)
        problems.raise_errors(LoadError)
        return documents

    def check(self, families: Iterable[str]) -> None:
        """Read the settings of `families`, of packages too.

        Raises:
            LoadError: files cannot be read; holds the problems of all of them.
        """
        problems = self._problems_of(families)
        problems.raise_errors(LoadError)

    def with_settings(self, family: str, path: Path, source: bytes) -> Conf:
        """Return the configuration as it would be if a file of base held `source`.

        Args:
            family: that the file belongs to.
            path: of the file.
            source: its bytes, which can be read.
        """
        shown = shown_path(path, self.root)
        document = parse_yaml(source, shown, substitute=self._reader.substitute)
        others = [each for each in self.settings_of(family) if each.file != shown]
        of_base = [each for each in others if each.layer == BASE]
        of_env = [each for each in others if each.layer != BASE]
        documents = (*of_base, LayeredDocument(document, BASE), *of_env)
        return replace(self, _settings={**self._settings, (family, ""): (documents, Problems())})

    def _problems_of(self, families: Iterable[str]) -> Problems:
        problems = Problems()
        for family in families:
            for package in (*self.packages, None):
                problems.extend(self._read(family, package)[1])
        return problems

    def _read(
        self, family: str, package: Package | None
    ) -> tuple[tuple[LayeredDocument, ...], Problems]:
        key = family, package.name if package is not None else ""
        if key not in self._settings:
            problems = Problems()
            reader = self._reader if package is None else self._reader.of_package(package)
            documents: tuple[LayeredDocument, ...] = ()
            if package is None and self.kedro is not None and family in _KEDRO_FAMILIES:
                documents = _read_by_kedro(self.kedro, family, problems)
            elif reader is not None:
                documents = reader.family(family, problems)
            self._settings[key] = documents, problems
        return self._settings[key]

    def readable(self, families: Iterable[str]) -> Iterator[tuple[str, Document]]:
        """Yield the files that could be read, each with what it holds.

        Those of a Kedro project are as they are written, before its loader resolves them.

        Args:
            families: of settings.

        Yields:
            `pipelines`, `catalog`, `parameters` or `settings`, and a document.
        """
        yield from (("pipelines", document) for document in self.pipelines)
        yield from (("catalog", entry.document) for entry in self.catalog)
        yield from (("parameters", entry.document) for entry in self.parameters)
        if self.kedro is not None:
            for family in ("catalog", "parameters", *_KEDRO_FAMILIES):
                sort = "settings" if family in _KEDRO_FAMILIES else family
                files = self.kedro.files(family)
                yield from ((sort, file.raw) for file in files if file.raw is not None)
        for package in (*self.packages, None):
            for family in families:
                if package is None and self.kedro is not None and family in _KEDRO_FAMILIES:
                    continue
                documents, _ = self._read(family, package)
                yield from (("settings", entry.document) for entry in documents)

    @property
    def env_folder(self) -> Path:
        """Folder of the environment, that of base where there is only base."""
        return self.folder / (self.env or self._reader.base)

    def shown(self, name: str) -> str:
        """Return the path of a file of base as errors show it."""
        return shown_path(self.folder / self._reader.base / name, self.root)


def read_conf(
    root: Path,
    *,
    env: str | None = None,
    conf: Path | None = None,
    project: Project | None = None,
    packages: Sequence[Package] = (),
    families: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Conf:
    """Return the configuration of the project in `root`.

    Args:
        root: the project's folder.
        env: the environment; None for the project's own, which may be none. `base` means only
            base.
        conf: the configuration's folder; None for the project's own.
        project: the project's facts; read when None.
        packages: that the project extends.
        families: settings that will be asked for. They are read then; when other files cannot be
            read they are looked at first, so that their problems are reported with the rest.
        environ: environment variables for `${env:NAME}`; None for those of the process.

    Raises:
        UsageError: there is no such folder or environment, and `conf` or `env` asked for it.
        LoadError: folders are missing, or files cannot be read; holds the problems of all files.
    """
    if project is None:
        project = read_project(root)
    root = root.absolute()
    folder = root / (conf if conf is not None else project.conf)
    base = BASE
    opened = _open_kedro(root, project)
    if opened is not None:
        base = opened.environments()[0]
        if conf is None and (project.table is None or project.conf == Path("conf")):
            folder = opened.conf_source
            opened.check_conf_source()
    asked = env
    env = env if env is not None else project.env
    environments = _environments(folder, root, base, LoadError if conf is None else UsageError)
    if env in (BASE, base):
        env = None
    if env is not None and env not in environments:
        shown = shown_path(folder, root)
        raise (LoadError if asked is None else UsageError).of(
            "unknown-env",
            f"there is no environment '{env}'" + (f": no folder {shown}/{env}" if env else ""),
            at=project.origin("env") if asked is None else None,
            fix=did_you_mean(env, environments) or "create the folder, or leave out --env",
        )
    variables = os.environ if environ is None else environ
    reader = _Reader(root, folder, base, env, _substitution(project, variables))
    problems = Problems()
    catalog: tuple[LayeredDocument, ...] = ()
    parameters: tuple[LayeredDocument, ...] = ()
    pipelines = reader.family("pipelines", problems, layers=(BASE,))
    reader.refuse_family("pipelines", problems)
    if opened is None:
        catalog = reader.family("catalog", problems)
        parameters = reader.family("parameters", problems, substitute=False)
    read = Conf(
        root,
        project,
        folder,
        env,
        environments,
        tuple(entry.document for entry in pipelines),
        catalog,
        parameters,
        reader,
        tuple(packages),
        None if opened is None else opened.conf(folder, base if asked == BASE else env),
    )
    if problems.errors:
        problems.extend(read._problems_of(families))
    problems.raise_errors(LoadError)
    return read


def read_yaml(path: Path, root: Path, *, substitute: Substitute | None = None) -> Document:
    """Return the document in a file, shown in errors relative to `root`.

    Raises:
        LoadError: it cannot be read, or is not the YAML that DagForge reads.
    """
    return parse_yaml(_read_bytes(path, root), shown_path(path, root), substitute=substitute)


def shown_path(path: Path, root: Path) -> str:
    """Return a path as the user knows it: relative to the project, with forward slashes.

    One outside the project is absolute, unless it was reached from there by `..`.
    """
    plain = Path(os.path.normpath(path))
    if path.is_relative_to(root) or plain.is_relative_to(root):
        return Path(os.path.relpath(plain, root)).as_posix()
    return plain.as_posix()


def _open_kedro(root: Path, project: Project) -> KedroProject | None:
    if project.kedro is None:
        return None
    from dagforge.reading.kedro_project import open_project

    return open_project(root, project.kedro)


def _read_by_kedro(
    kedro: KedroConf, family: str, problems: Problems
) -> tuple[LayeredDocument, ...]:
    try:
        documents = kedro.documents(family)
    except LoadError as exc:
        problems.extend(exc.problems)
        return ()
    base = kedro.layers[0]
    return tuple(
        LayeredDocument(document, BASE if layer == base else layer) for document, layer in documents
    )


def _environments(
    folder: Path, root: Path, base: str, missing: type[DagForgeError]
) -> tuple[str, ...]:
    """Return the names of the environments, sorted; raise `missing` where there is no base."""
    at = SourceLocation(shown_path(folder, root))
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "there is no such folder"
        raise missing.of(
            "no-conf",
            f"the configuration is missing: {what}",
            at=at,
            fix="start one with 'dagforge init', or name its folder with --conf",
        )
    if not (folder / base).is_dir():
        raise missing.of(
            "no-conf",
            f"the configuration has no folder '{base}'",
            at=at,
            fix=f"create {shown_path(folder / base, root)} with a pipelines.yml in it",
        )
    try:
        names = [
            entry.name
            for entry in folder.iterdir()
            if entry.is_dir() and not entry.name.startswith((".", "_")) and entry.name != base
        ]
    except OSError as exc:
        raise LoadError.of("unreadable", f"cannot be read: {exc.strerror}", at=at) from exc
    return tuple(sorted(names))


@frozen
class _Reader:
    """Finds and reads families of files."""

    root: Path
    folder: Path
    base: str
    env: str | None
    substitute: Substitute

    def of_package(self, package: Package) -> _Reader | None:
        """Return what reads the settings of a package; None where it has none.

        A package need not have a folder for every environment of a project.
        """
        if package.conf is None:
            return None
        env = self.env if self.env and (package.conf / self.env).is_dir() else None
        return _Reader(package.root, package.conf, BASE, env, self.substitute)

    def family(
        self,
        name: str,
        problems: Problems,
        *,
        layers: Sequence[str] | None = None,
        substitute: bool = True,
    ) -> tuple[LayeredDocument, ...]:
        """Return the documents of a family, `<name>*.yml` and `<name>/**`, that can be read."""
        if layers is None:
            layers = (BASE,) if self.env is None else (BASE, self.env)
        documents = []
        for layer in layers:
            folder = self.folder / (self.base if layer == BASE else layer)
            paths = self._files(folder, name, problems)
            for path in sorted(paths, key=lambda path: path.parts):
                document = self._read(path, self.substitute if substitute else None, problems)
                if document is not None:
                    documents.append(LayeredDocument(document, layer))
        return tuple(documents)

    def refuse_family(self, name: str, problems: Problems) -> None:
        """Report the files of a family that only base has where they are in the environment."""
        if self.env is None:
            return
        for path in self._files(self.folder / self.env, name, problems):
            problems.error(
                "not-read",
                f"{name} of an environment are not read: it changes settings, never what runs",
                SourceLocation(shown_path(path, self.root)),
                fix=f"move it to {shown_path(self.folder / self.base, self.root)}",
            )

    def _read(
        self, path: Path, substitute: Substitute | None, problems: Problems
    ) -> Document | None:
        try:
            return read_yaml(path, self.root, substitute=substitute)
        except LoadError as exc:
            problems.extend(exc.problems)
            return None

    def _files(self, folder: Path, family: str, problems: Problems) -> Iterator[Path]:
        for entry in self._entries(folder, problems):
            if entry.name == family and entry.is_dir():
                yield from self._files_below(entry, (_identity(folder),), problems)
            elif entry.name.startswith(family) and entry.suffix in _SUFFIXES:
                yield entry

    def _files_below(
        self, folder: Path, above: tuple[tuple[int, int], ...], problems: Problems
    ) -> Iterator[Path]:
        identity = _identity(folder)
        if identity in above:
            at = SourceLocation(shown_path(folder, self.root))
            problems.error("symlink-loop", "this link leads back to a folder around it", at)
            return
        for entry in self._entries(folder, problems):
            if entry.suffix in _SUFFIXES:
                yield entry
            elif entry.is_dir():
                yield from self._files_below(entry, (*above, identity), problems)

    def _entries(self, folder: Path, problems: Problems) -> list[Path]:
        try:
            return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        except OSError as exc:
            at = SourceLocation(shown_path(folder, self.root))
            problems.error("unreadable", f"cannot be read: {exc.strerror}", at)
            return []


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def read_regular(path: Path) -> bytes:
    """Return what is in a file.

    Raises:
        OSError: it cannot be read, or is no file: a pipe would wait for ever, a device never end.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    return path.read_bytes()


def _read_bytes(path: Path, root: Path) -> bytes:
    at = SourceLocation(shown_path(path, root))
    try:
        return read_regular(path)
    except OSError as exc:
        raise LoadError.of("unreadable", f"cannot be read: {exc.strerror}", at=at) from exc


_REFERENCE = re.compile(r"(?P<escape>\$?)\$\{env:(?P<body>[^}]*)(?P<close>\}?)")
_KEDRO_REFERENCE = re.compile(r"(?P<escape>\$?)\$\{(?:globals|runtime_params|oc\.env):[^}]*\}?")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)


def _substitution(project: Project, environ: Mapping[str, str]) -> Substitute:
    """Return the function that puts environment variables into a text.

    `${env:NAME:-default}` takes the default where the variable is unset or empty, as in a shell;
    `$${env:NAME}` stays as `${env:NAME}`. Other `${...}` are left alone.
    """

    def value_of(match: re.Match[str]) -> str:
        from dagforge.credentials import certainty

        if match["escape"]:
            return match[0][1:]
        if "${" in match["body"]:
            raise Refused(
                "env-input",
                f"{match[0]} holds another reference, which would stay as it is",
                "write a default that is plain text",
            )
        parts = _VARIABLE.fullmatch(match["body"])
        if not match["close"] or parts is None:
            raise Refused(
                "env-input",
                f"{match[0]} is not a reference to an environment variable",
                "write ${env:NAME} or ${env:NAME:-default}, or $${env:...} for the text itself",
            )
        name, default = parts["name"], parts["default"]
        if certainty(name):
            raise Refused(
                "secret-input",
                f"{name} is called like a secret, and its value would be committed",
                "name an Airflow connection, a Secret block or a Kubernetes secret instead, or "
                "rename the variable where it is none",
            )
        if name not in project.inputs:
            raise Refused(
                "env-input",
                f"the environment variable {name} is not among the project's inputs",
                f'add "{name}" to inputs in [tool.dagforge]',
            )
        value = environ.get(name)
        if default is not None and not value:
            return default
        if value is None:
            raise Refused(
                "env-input",
                f"the environment variable {name} is not set",
                f"set it, or give a default: ${{env:{name}:-default}}",
            )
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise Refused("env-input", f"the environment variable {name} is not UTF-8")
        return value

    if project.kedro is None:
        return lambda text: _REFERENCE.sub(value_of, text)
    return lambda text: _KEDRO_REFERENCE.sub(_refuse_of_kedro, _REFERENCE.sub(value_of, text))


def _refuse_of_kedro(match: re.Match[str]) -> str:
    """Return the text that an escaped reference stands for; refuse any other one.

    Raises:
        Refused: Kedro would fill it in, but does not read this file.
    """
    if match["escape"]:
        return match[0][1:]
    raise Refused(
        "kedro-conf",
        f"Kedro fills in {match[0]}, and this file is DagForge's own",
        f"set it in airflow.yml, which Kedro reads, or write ${match[0]} for the text itself",
    )
