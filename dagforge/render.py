"""The text of a DAG's file: the target's templates over a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from jinja2.runtime import Context

from dagforge.errors import LoadError, SourceLocation, TemplateError, Warn, did_you_mean
from dagforge.frozen import frozen
from dagforge.ir import Selection
from dagforge.output.files import RenderedFile
from dagforge.output.manifest import Manifest, assemble
from dagforge.planning.model import DagPlan
from dagforge.resolve import Settings
from dagforge.settings.schema import describe
from dagforge.target import Target
from dagforge.templating.environment import (
    BUILTIN,
    PythonEnvironment,
    render_template,
    template_loader,
)
from dagforge.templating.layout import Code

TEMPLATE_API = 1
API_FILE = "templates.yaml"
CONTEXT_NAMES = ("dag", "task", "settings", "vars")

_reads: ContextVar[set[str]] = ContextVar("reads")


class Vars(Mapping[str, Any]):
    """Free variables, which remembers the names that a template asked for.

    Attributes:
        called: how messages name it.
    """

    called = "vars"

    def __init__(self, values: Mapping[str, Any], reads: set[str]) -> None:
        self._values = values
        self._read = reads

    def __getitem__(self, name: str) -> Any:
        self._read.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        self._read.update(self._values)
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class _Context(Context):
    """A template's context, which remembers the names that were asked for."""

    def resolve_or_missing(self, key: str) -> Any:
        _reads.get().add(key)
        return super().resolve_or_missing(key)


@frozen
class Templates:
    """The templates of one target, compiled once for all files.

    Attributes:
        folder: name of the orchestrator's folder.
        values: templates with the macros that spell typed values, a team's first.
    """

    environment: PythonEnvironment
    folder: str
    values: tuple[str, ...]

    @classmethod
    def open(
        cls,
        team: Path | None,
        builtin: Path,
        target: Target,
        *,
        shown: str | None = None,
        packages: Sequence[tuple[str, Path]] = (),
    ) -> Templates:
        """Return the templates of `target`, a team's folder first.

        Args:
            team: the team's folder, None without one.
            builtin: the folder of the built-in ones.
            target: which of them.
            shown: how messages name the team's folder; None for the path itself.
            packages: name and folder of each package with templates, searched after the team's in
                this order.

        Raises:
            TemplateError: a folder is for another version of the template API.
        """
        if team is not None:
            _check_api(team / API_FILE, f"{shown or team.as_posix()}/{API_FILE}")
        for name, folder in packages:
            _check_api(folder / API_FILE, f"{name}/templates/{API_FILE}")
        environment = PythonEnvironment(
            template_loader(team, builtin, shown=shown, packages=packages),
            globals={"docstring": docstring, "names": names},
            filters={"names": names, "suffixed": str.__add__},
        )
        environment.context_class = _Context
        values = f"{target.orchestrator}/values.py.jinja"
        own = [f"{name}/{values}" for name, folder in packages if (folder / values).is_file()]
        if team is not None and (team / values).is_file():
            own = [values, *own]
        # Where nobody has such a file both names mean the built-in one, compiled twice for nothing.
        every = (*own, f"{BUILTIN}/{values}") if own else (values,)
        return cls(environment, target.orchestrator, every)


def _check_api(path: Path, shown: str) -> None:
    from dagforge.conf import parse_yaml, read_regular

    fix = f"write `template_api: {TEMPLATE_API}` into {shown}"
    missing = TemplateError.of(
        "template-api",
        "the template folder does not say which template API it is for",
        at=SourceLocation(shown),
        fix=fix,
    )
    if not path.exists():
        raise missing
    try:
        source = read_regular(path)
    except OSError as exc:
        message = f"cannot be read: {exc.strerror}"
        raise LoadError.of("unreadable", message, at=SourceLocation(shown)) from exc
    document = parse_yaml(source, shown)
    data = document.data if isinstance(document.data, dict) else {}
    for key in data:
        if key != "template_api":
            raise TemplateError.of(
                "template-api",
                f"there is no '{key}' in {API_FILE}",
                at=document.origin(key),
                fix=did_you_mean(key, ["template_api"]),
                at_key=True,
            )
    version = data.get("template_api")
    if version is None:
        raise missing
    if version != TEMPLATE_API or isinstance(version, bool):
        what = version if type(version) is int else describe(version)
        raise TemplateError.of(
            "template-api",
            f"these templates are for template API {what}, this DagForge has {TEMPLATE_API}",
            at=document.origin("template_api"),
            fix=fix,
        )


@frozen
class Rendered:
    """A rendered file and the free variables that its templates asked for."""

    file: RenderedFile
    reads: frozenset[str]


def render(
    dag: DagPlan,
    settings: Settings,
    templates: Templates,
    *,
    project: str,
    package: str,
    command: str,
    jinja_file: Path | None = None,
    root: Path | None = None,
    selection: Selection | None = None,
    warn: Warn,
) -> Rendered:
    """Return the file of one DAG.

    Args:
        dag: the plan.
        settings: that it was planned with.
        templates: of its target.
        project: name of the project, for the header.
        package: import name of its package, for a kedro-airflow template.
        command: remakes the file; for the header.
        jinja_file: a kedro-airflow template to use instead of the target's own.
        root: the project's folder, to which that template's path in messages is relative.
        selection: the part of the pipeline that it holds, None or empty for the whole.
        warn: takes what is doubtful but no error.

    Raises:
        TemplateError: a template is wrong, or what it gives is no Python.
    """
    target = settings.target
    path = str(target.facts["file"]).format(stem=dag.stem)
    reads: set[str] = set()
    if jinja_file is not None:
        from dagforge.kedro_airflow.template import render_kedro_template

        result = render_kedro_template(
            dag,
            jinja_file,
            settings=settings,
            package_name=package,
            root=root,
            warn=warn,
        )
        body, reads = result.text, set(result.reads)
    else:
        _check_reserved(dag, settings, templates)
        body = _body(dag, target, templates, reads)
    manifest = Manifest(
        project=project,
        pipeline=dag.pipeline.name,
        env=dag.env,
        target=target.name,
        source=dag.pipeline.origin.file,
        command=command,
    )
    text = assemble(manifest, body, path)
    file = RenderedFile(path, text, manifest, catchup=dag.catchup, selection=bool(selection))
    return Rendered(file, frozenset(reads))


def _body(dag: DagPlan, target: Target, templates: Templates, reads: set[str]) -> str:
    folder = templates.folder
    context = {
        **dag.vars,
        "dag": dag,
        "settings": dag.settings,
        "vars": Vars(dag.vars, reads),
    }
    reserved = {
        *(task.variable for task in dag.tasks),
        *dag.constants,
        *target.facts.get("reserved", ()),
        dag.variable,
    }
    token = _reads.set(reads)
    try:
        return render_template(
            templates.environment,
            f"{folder}/dag.py.jinja",
            context,
            imports=target.imports,
            reserved=reserved,
            values=templates.values,
        )
    finally:
        _reads.reset(token)


def _check_reserved(dag: DagPlan, settings: Settings, templates: Templates) -> None:
    taken = {*CONTEXT_NAMES, *templates.environment.globals, "loop", "self", "super", "caller"}
    for name in dag.vars:
        if name in taken:
            raise TemplateError.of(
                "reserved-name",
                f"the free variable '{name}' has the name of something that every template has",
                at=settings.place(("vars", name), settings.dag_layers),
                at_key=True,
                fix="give it another name",
            )


def names(variables: Sequence[str]) -> Code | list[Code]:
    """Return Python names as one stands in an expression: alone, or several in a list."""
    codes = [Code(variable) for variable in variables]
    return codes[0] if len(codes) == 1 else codes


def docstring(text: str) -> Code:
    """Return `text` as a docstring, in the form that `ruff format` leaves as it is."""
    lines = [_escaped(line.rstrip()) for line in text.strip().splitlines()] or [""]
    if lines[0].startswith('"'):
        lines[0] = " " + lines[0]
    if len(lines) > 1:
        return Code('"""' + "\n".join(lines) + '\n"""')
    closing = ' """' if lines[0].endswith('"') else '"""'
    return Code(f'"""{lines[0]}{closing}')


def _escaped(line: str) -> str:
    escaped = line.expandtabs(4).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in escaped
    )
