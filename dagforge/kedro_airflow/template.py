"""A DAG's text from a template that was written for kedro-airflow, `-j FILE`.

What kedro-airflow gave a template, read in its releases 0.8.0 to 0.11.0:

| | 0.8 | 0.9 | 0.10 | 0.11 |
|--|--|--|--|--|
| `dependencies` | parent node to child nodes, parents only | names, every node a key | - | - |
| `nodes` | - | task name to its nodes | - | - |
| `node_objs` | - | - | name to `{name, nodes, dependencies}` | list of `GroupedNodes` |
| `conf_source` | - | since 0.9.1 | yes | yes |

In all of them: `dag_name`, `pipeline_name`, `package_name`, `env`, `pipeline` (Kedro's object) and
one variable for each key of `airflow.yml` and `--params`, later ones replacing earlier ones; the
filter `slugify`; of Jinja's options `lstrip_blocks` and `autoescape`. Nodes came in layers, each
sorted by name.

DagForge differs in four things. There is no HTML escaping, which made `O&#39;Brien` of a name in
Python source. Sets are sorted, so that one input gives one text. `dag_name` is not the same for all
pipelines of a project. What prints as empty because nothing sets it is warned about.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import jinja2
from jinja2 import meta, nodes
from jinja2.loaders import split_template_path
from jinja2.runtime import Context, Undefined
from jinja2.utils import missing, pass_context

from dagforge.conf import read_regular, shown_path
from dagforge.errors import (
    DagForgeError,
    Problem,
    Problems,
    SourceLocation,
    TemplateError,
    Warn,
    did_you_mean,
    suggest,
)
from dagforge.frozen import frozen
from dagforge.ir import links_of
from dagforge.kedro_airflow.objects import (
    Group,
    NodeObjects,
    kedro_pipeline,
    node_dependencies,
    task_groups,
)
from dagforge.planning.model import DagPlan
from dagforge.planning.names import slug
from dagforge.resolve import Layer, Settings

DEFAULT_ENV = "local"
"""Kedro's own environment for a run that names none."""

# Names that every release gave: a key of `airflow.yml` so called made kedro-airflow fail.
ALWAYS_GIVEN = ("dag_name", "pipeline_name", "package_name", "env", "pipeline")
# Settings that DagForge acts upon, whatever the template does.
ACTED_UPON = frozenset({"dag_id", "grouping", "grouping_prefix", "resources_tag_prefix", "vars"})


@frozen
class KedroRender:
    """What a template gave.

    Attributes:
        text: Python source that compiles; ends with a line end.
        reads: names that the template asked for, and the canonical names of settings among them.
    """

    text: str
    reads: frozenset[str]


def render_kedro_template(
    dag: DagPlan,
    template: Path,
    *,
    settings: Settings,
    package_name: str,
    root: Path | None = None,
    warn: Warn,
) -> KedroRender:
    """Return what a kedro-airflow template makes of a DAG.

    A template that loops over `nodes` or `node_objs` sees tasks, as it did with kedro-airflow's
    own grouping. One that has neither was written for single nodes (0.8 knew no groups), and may
    group them itself: it sees nodes.

    Args:
        dag: the plan.
        template: its file; `include` and `extends` look in its folder.
        settings: of the DAG's pipeline; the template sees what users set, no default of ours,
            so that its own `| default(...)` keep their meaning.
        package_name: the Python package of the project.
        root: the project's folder, to which paths in messages are relative; None for the working
            directory.
        warn: takes what prints as empty, and settings that the template does not read.

    Raises:
        TemplateError: the template is wrong, or what it gives is no Python.
    """
    report = _EmptyReport(settings, warn)
    loader = _Loader(template.parent, root or Path.cwd())
    environment = _Environment(loader, _undefined(report))
    try:
        seen = _reference(environment, template.name)
        context = _context(dag, settings, package_name, seen)
        report.known = context.keys()
        text = environment.get_template(template.name).render(context)
    except Exception as error:
        raise _template_error(environment, template, error) from error
    if not text.endswith("\n"):
        text += "\n"
    if not text.strip():
        raise TemplateError.of(
            "template-output",
            f"the template gives nothing for pipeline '{dag.pipeline.name}'",
            at=SourceLocation(loader.shown(template)),
            fix="write the DAG into it; Airflow passes over an empty file without a word",
        )
    _check_compiles(text, environment, template, context, report)
    _warn_none(text, environment, template, context, warn)
    _warn_ungrouped(dag, SourceLocation(loader.shown(template)), seen, warn)
    _warn_lost(dag, seen, warn)
    reads = _reads(environment.reads, settings)
    _warn_unread(settings, reads, warn)
    return KedroRender(text, reads)


# --- the context


def _context(
    dag: DagPlan, settings: Settings, package_name: str, seen: _Reference
) -> dict[str, Any]:
    """Return every variable of the template; users' settings win over names of some releases."""
    own = _user_settings(settings)
    problems = Problems()
    for name in ALWAYS_GIVEN:
        if name in own:
            problems.error(
                "reserved-name",
                f"'{name}' is what kedro-airflow itself tells every template",
                settings.place(("vars", name), _user_layers(settings)),
                fix="give the variable another name",
                at_key=True,
            )
    problems.raise_errors(TemplateError)
    pipeline = kedro_pipeline(dag.pipeline)
    groups = task_groups(dag, pipeline)
    of_tasks = "nodes" in seen.names and "nodes" not in own
    return {
        "conf_source": "",
        "nodes": {group: [*group.members] for group in groups.values()},
        "node_objs": groups,
        "dependencies": _children(groups) if of_tasks else node_dependencies(pipeline),
        **own,
        "dag_name": _dag_name(dag, package_name, own),
        "pipeline_name": dag.pipeline.name,
        "package_name": package_name,
        "env": dag.env or DEFAULT_ENV,
        "pipeline": pipeline,
    }


def _children(groups: NodeObjects) -> dict[Group, list[Group]]:
    """Return the tasks right after each task."""
    children: dict[Group, list[Group]] = {group: [] for group in groups.values()}
    for group in groups.values():
        for parent in group.dependencies:
            children[groups[parent]].append(group)
    return children


def _dag_name(dag: DagPlan, package_name: str, own: Mapping[str, Any]) -> str:
    """Return the package's name where kedro-airflow's id was right, else the DAG's own id.

    kedro-airflow gave the package's name to every pipeline, so that of two DAGs of one project
    Airflow kept one.
    """
    if "dag_id" not in own and slug(package_name) == dag.dag_id:
        return package_name
    return dag.dag_id


def _user_layers(settings: Settings) -> tuple[Layer, ...]:
    """Return the layers of the DAG that users wrote, low to high."""
    return tuple(layer for layer in settings.general if layer.origin is not None) + settings.top


def _user_settings(settings: Settings) -> dict[str, Any]:
    """Return what users set for the DAG by every name that it may have.

    That is the canonical name, every alias, and, as kedro-airflow had it, `default_args` or `vars`
    with what stands in them.
    """
    layers = _user_layers(settings)
    data = settings.merged(layers)
    names: dict[str, Any] = {}
    for name, value in data.items():
        names.update(dict.fromkeys((name, *settings.target.settings[name].aliases), value))
    names |= data.get("vars", {})
    default_args = {
        path[1]: data[name]
        for layer in layers
        for name, path in layer.written.items()
        if path[0] == "default_args"
    }
    return names | ({"default_args": default_args} if default_args else {})


def _reads(names: set[str], settings: Settings) -> frozenset[str]:
    """Return the names and what they stand for."""
    reads = set(names)
    if "vars" in names:
        reads.update(settings.for_dag().get("vars", {}))
    if "default_args" in names:
        reads.update(
            name
            for layer in _user_layers(settings)
            for name, path in layer.written.items()
            if path[0] == "default_args"
        )
    canonical = settings.target.canonical
    return frozenset(reads | {canonical[name] for name in reads if name in canonical})


# --- the environment


class _Context(Context):
    """A template's context, which remembers the names that were asked for."""

    environment: _Environment

    def resolve_or_missing(self, key: str) -> Any:
        self.environment.reads.add(key)
        return super().resolve_or_missing(key)


class _Environment(jinja2.Environment):
    """Jinja as kedro-airflow set it up, without the escaping and without chance.

    Attributes:
        files: where its templates come from.
        reads: names that were looked up.
    """

    context_class = _Context

    def __init__(self, loader: _Loader, undefined: type[Undefined]) -> None:
        super().__init__(loader=loader, lstrip_blocks=True, undefined=undefined, auto_reload=False)
        self.files = loader
        self.reads: set[str] = set()
        self.filters |= {"slugify": _slugify, "safe": str}
        # The same input gives the same file.
        del self.globals["lipsum"], self.filters["random"]

    def handle_exception(self, source: str | None = None) -> NoReturn:  # noqa: ARG002
        """Raise the current exception as it is: its traceback says where it happened."""
        raise


class _Loader(jinja2.BaseLoader):
    """Reads templates from one folder, as UTF-8; messages name them relative to `root`."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.root = root

    def shown(self, path: Path) -> str:
        """Return the path as messages name it."""
        return shown_path(path, self.root)

    def get_source(
        self,
        environment: jinja2.Environment,  # noqa: ARG002
        template: str,
    ) -> tuple[str, str, Callable[[], bool]]:
        """Return source, path as the user knows it, and that it never changes during a run."""
        path = self.folder.joinpath(*split_template_path(template))
        try:
            # An editor's byte order mark is no part of the text.
            source = read_regular(path).decode("utf-8-sig")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise jinja2.TemplateNotFound(template) from error
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise TemplateError.of(
                "template-unreadable",
                "the template is not UTF-8 text",
                at=SourceLocation(self.shown(path), line),
                fix="save it as UTF-8",
            ) from error
        except OSError as error:
            raise TemplateError.of(
                "template-unreadable",
                f"the template cannot be read: {error.strerror}",
                at=SourceLocation(self.shown(path)),
            ) from error
        return source, self.shown(path), lambda: True

    def list_templates(self) -> list[str]:
        """Return the names of all files next to the template, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if path.is_file())


def _slugify(value: object, **options: Any) -> str:
    """Return `slugify(value)`, the same whichever of its transliterations is installed."""
    from slugify import slugify
    from text_unidecode import unidecode

    text = str(value)
    return str(slugify(text if options.get("allow_unicode") else unidecode(text), **options))


@frozen
class _Reference:
    """What templates refer to, included ones too, whether they come to it or not.

    Attributes:
        names: variables that they do not set themselves.
        tags: they read the tags of something.
    """

    names: frozenset[str]
    tags: bool

    @property
    def groups(self) -> bool:
        """Whether they can know which nodes share a task."""
        return self.tags or not self.names.isdisjoint({"nodes", "node_objs", "grouping"})


def _reference(environment: _Environment, name: str) -> _Reference:
    """Return what the template of this name, and what it includes by name, refers to."""
    names: set[str] = set()
    tags = False
    assert environment.loader is not None
    environment.get_template(name)
    waiting, known = [name], {name}
    while waiting:
        current = waiting.pop()
        try:
            source, filename, _ = environment.loader.get_source(environment, current)
            tree = environment.parse(source, current, filename)
            names |= meta.find_undeclared_variables(tree)
        except jinja2.TemplateError:
            # Said when the first template comes to it; it may be in a branch that is not taken.
            continue
        tags = tags or any(found.attr == "tags" for found in tree.find_all(nodes.Getattr))
        included = {found for found in meta.find_referenced_templates(tree) if found is not None}
        waiting += sorted(included - known)
        known |= included
    return _Reference(frozenset(names), tags)


# --- warnings


@dataclass(slots=True)
class _EmptyReport:
    """Warns of what prints as empty, once a name.

    Attributes:
        known: names of the context, for suggestions.
        places: where something printed as empty, with its name.
    """

    settings: Settings
    warn: Warn
    known: Iterable[str] = ()
    places: dict[SourceLocation, str] = field(default_factory=dict)
    told: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, value: Undefined) -> None:
        """Warn of `value`, which a template prints or loops over right now."""
        at = _place_of_frame(sys._getframe(1))
        owner, name = value._undefined_obj, str(value._undefined_name)
        if at is not None:
            self.places.setdefault(at, name)
        if value._undefined_hint is not None:
            message, fix, key = value._undefined_hint.rstrip("."), None, ("", name)
        elif owner is missing:
            message, key = f"nothing sets '{name}', so that nothing stands here", ("", name)
            near = suggest(name, self.known)
            fix = f"did you mean '{near}'?" if near else self._fix(name)
        else:
            kind = type(owner).__name__
            message, key = f"a {kind} has no '{name}', so that nothing stands here", (kind, name)
            fix = did_you_mean(name, _public(owner))
        if key not in self.told:
            self.told.add(key)
            self.warn(Problem("template-undefined", message, at, fix, "warning"))

    def _fix(self, name: str) -> str:
        file = f"{self.settings.target.settings_family}.yml"
        return f"set `{name}:` in {file}; if the word itself is meant, quote it: '{name}'"


def _public(owner: object) -> list[str]:
    if isinstance(owner, Mapping):
        return [key for key in owner if isinstance(key, str)]
    return [name for name in dir(owner) if not name.startswith("_")]


def _undefined(report: Callable[[Undefined], None]) -> type[Undefined]:
    """Return the class of undefined values: empty, as in kedro-airflow, but reported."""

    class Empty(Undefined):
        __slots__ = ()

        def __str__(self) -> str:
            report(self)
            return ""

        def __iter__(self) -> Iterator[Any]:
            report(self)
            return iter(())

    return Empty


def _warn_none(
    text: str,
    environment: _Environment,
    template: Path,
    context: Mapping[str, Any],
    warn: Warn,
) -> None:
    """Warn of the text "None", which a null setting becomes between a template's quotes."""
    found = re.search("\"None\"|'None'", text)
    if found is not None:
        warn(
            Problem(
                "template-none",
                f"the file holds the text {found.group()}, where a setting is null; the "
                "orchestrator takes it for a name or a schedule",
                _origin_of(found.start() + 1, environment, template, context),
                "without the quotes, {{ '%r' | format(value) }} writes None and texts alike",
                "warning",
            )
        )


def _warn_ungrouped(dag: DagPlan, at: SourceLocation, seen: _Reference, warn: Warn) -> None:
    """Warn when groups were asked for and the template cannot know."""
    groups = [task.task_id for task in dag.tasks if len(task.nodes) > 1]
    if not groups or seen.groups:
        return
    shown = f"'{groups[0]}'" + (f" and {len(groups) - 1} more" if len(groups) > 1 else "")
    warn(
        Problem(
            "template-ungrouped",
            f"the template makes a task of every node; it never sees the grouping ({shown})",
            at,
            "loop over node_objs instead of pipeline.nodes, or set `grouping: none`",
            "warning",
        )
    )


def _warn_lost(dag: DagPlan, seen: _Reference, warn: Warn) -> None:
    """Warn of what one task leaves in memory and another, a process of its own, wants to read."""
    links = dag.edges if seen.groups else links_of(dag.pipeline)
    declared = dag.pipeline.datasets
    lost = sorted(
        {
            dataset
            for link in links
            for dataset in link.datasets
            if dataset not in declared or not declared[dataset].persisted
        }
    )
    if not lost:
        return
    writer = next(node for node in dag.pipeline.nodes if lost[0] in node.outputs)
    shown = f"'{lost[0]}'" + (f" and {len(lost) - 1} more" if len(lost) > 1 else "")
    warn(
        Problem(
            "memory-border",
            f"tasks hand over {shown} in memory; where the template starts Kedro for each task, "
            "the next one does not find it",
            writer.origin / "outputs",
            "give it an entry in the catalog, or set `grouping: memory`",
            "warning",
        )
    )


def _warn_unread(settings: Settings, reads: frozenset[str], warn: Warn) -> None:
    """Warn of known settings that have no effect; unknown ones are another stage's business."""
    layers = _user_layers(settings)
    for name in settings.merged(layers):
        if name not in reads and name not in ACTED_UPON:
            at = settings.place((name,), layers)
            written = at.path[-1] if at is not None else name
            warn(
                Problem(
                    "unread-setting",
                    f"the template does not read '{written}', which has no effect then",
                    at,
                    severity="warning",
                    at_key=True,
                )
            )
    for layer, name in _task_settings(settings):
        warn(
            Problem(
                "unread-setting",
                f"'{name}' of single tasks has no effect: a kedro-airflow template sees the "
                "settings of the DAG only",
                layer.place((name,)),
                "move to a template folder, where every task has its own settings",
                "warning",
                at_key=True,
            )
        )


def _task_settings(settings: Settings) -> Iterator[tuple[Layer, str]]:
    found = [*settings.by_node.values()]
    for level in (*settings.by_tag, *settings.by_task):
        found += [layer for layers in level.values() for layer in layers]
    for layer in found:
        for name in layer.data:
            if name != "vars":
                yield layer, name


# --- errors


def _place_of_frame(frame: FrameType | None) -> SourceLocation | None:
    """Return the line of the template that runs in `frame` or called it."""
    while frame is not None:
        found = _place_in(frame, frame.f_lineno)
        if found is not None:
            return found
        frame = frame.f_back
    return None


def _place_in(frame: FrameType, line: int) -> SourceLocation | None:
    template = frame.f_globals.get("__jinja_template__")
    if not isinstance(template, jinja2.Template):
        return None
    return SourceLocation(str(template.filename), template.get_corresponding_lineno(line))


def _place_of_error(error: Exception) -> SourceLocation | None:
    """Return the innermost line of a template that `error` came through."""
    place = None
    traceback = error.__traceback__
    while traceback is not None:
        place = _place_in(traceback.tb_frame, traceback.tb_lineno) or place
        traceback = traceback.tb_next
    return place


def _template_error(environment: _Environment, path: Path, error: Exception) -> DagForgeError:
    """Return what the user reads instead of a traceback."""
    if isinstance(error, DagForgeError):
        return error
    at = _place_of_error(error)
    whole = SourceLocation(environment.files.shown(path))
    match error:
        case jinja2.TemplateSyntaxError():
            file = error.filename or error.name or environment.files.shown(path)
            return _syntax_error(environment, error, SourceLocation(file, error.lineno))
        case jinja2.TemplateNotFound():
            name = str(error.name or error)
            assert environment.loader is not None
            return TemplateError.of(
                "template-not-found",
                f"there is no template '{name if at else environment.files.shown(path)}'",
                at=at,
                fix=did_you_mean(name, environment.loader.list_templates())
                or f"templates are looked for in {environment.files.shown(path.parent)}",
            )
        case jinja2.UndefinedError():
            return TemplateError.of(
                "template-undefined",
                str(error.message or error),
                at=at or whole,
                fix="set it in the settings, or give it a value: {{ name | default(...) }}",
            )
        case RecursionError():
            return TemplateError.of(
                "template-recursion",
                "templates or macros call each other without end, or nest too deep",
                at=at or whole,
                fix="let one of them stop, or loop instead",
            )
    return TemplateError.of(
        "template-failed",
        f"{type(error).__name__} while rendering: {error}",
        at=at or whole,
        fix="correct the expression on this line",
    )


def _syntax_error(
    environment: _Environment, error: jinja2.TemplateSyntaxError, at: SourceLocation
) -> DagForgeError:
    message = (error.message or "the template cannot be read").rstrip(".")
    fix = None
    for kind, known in (("filter", environment.filters), ("test", environment.tests)):
        start = f"No {kind} named '"
        if message.startswith(start):
            fix = did_you_mean(message[len(start) :].rstrip("'"), known)
            fix = fix or f"kedro-airflow adds only 'slugify' to Jinja's own {kind}s"
    return TemplateError.of(
        "template-syntax",
        message[:1].lower() + message[1:],
        at=at,
        fix=fix or "correct the tag or expression on this line",
    )


# --- the output


def _check_compiles(
    text: str,
    environment: _Environment,
    path: Path,
    context: Mapping[str, Any],
    report: _EmptyReport,
) -> None:
    """Raise an error that points into the template if `text` is no Python.

    Raises:
        TemplateError: `[template-output]`, with the generated line.
    """
    try:
        with warnings.catch_warnings():
            # What Python finds doubtful, such as "\d", is a matter of the file that it is in.
            warnings.simplefilter("ignore")
            compile(text, "<generated>", "exec", dont_inherit=True)
        return
    except SyntaxError as error:
        reason, line, column = error.msg, error.lineno, error.offset or 1
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        reason, line, column = str(error) or type(error).__name__, None, 1
    lines = text.split("\n")
    if line is None or not 1 <= line <= len(lines):
        raise _no_python(reason, "", SourceLocation(environment.files.shown(path)), None)
    offset = sum(len(earlier) + 1 for earlier in lines[: line - 1]) + max(column - 1, 0)
    at = _origin_of(offset, environment, path, context) or SourceLocation(
        environment.files.shown(path)
    )
    generated = lines[line - 1].strip()
    shown = f"\n    generated line {line}: {_shortened(generated)}" if generated else ""
    raise _no_python(reason, shown, at, _output_fix(generated, reason, report.places.get(at)))


def _no_python(reason: str, shown: str, at: SourceLocation, fix: str | None) -> DagForgeError:
    return TemplateError.of(
        "template-output",
        f"what the template gives is no Python: {reason}{shown}",
        at=at,
        fix=fix or "correct the template; kedro-airflow wrote such a file without a word",
    )


def _shortened(line: str, length: int = 120) -> str:
    return line if len(line) <= length else f"{line[:length]}..."


def _output_fix(generated: str, reason: str, empty: str | None) -> str | None:
    if re.search(r"&(#\d+|#x[0-9a-fA-F]+|[a-z]+);", generated):
        return (
            "write the character itself: an HTML entity comes from the filter 'e', or stands in "
            "the template"
        )
    if empty is not None:
        return f"nothing sets '{empty}', which is printed here: set it, or use | default(...)"
    if "string" in reason or "comma" in reason or "quote" in reason:
        return (
            "a value that holds a quote or a line end breaks the quotes around it: without them, "
            "{{ '%r' | format(value) }} writes any value as Python"
        )
    return None


def _origin_of(
    offset: int, environment: _Environment, path: Path, context: Mapping[str, Any]
) -> SourceLocation | None:
    """Return the line of the template that gave the character at `offset`.

    The template is rendered again, with a note of its line for every piece that it yields.
    """
    tracer = _Tracer(environment.files, environment.undefined)
    at: SourceLocation | None = None
    end = 0
    for piece in tracer.get_template(path.name).generate(context):
        start, end = end, end + len(piece)
        at = tracer.place_in(piece, offset - start)
        if offset < end:
            break
    return at


class _Tracer(_Environment):
    """An environment whose templates note where each piece of their text stands."""

    def __init__(self, loader: _Loader, undefined: type[Undefined]) -> None:
        super().__init__(loader, undefined)
        self.last = ("", 1, False)
        self.filters["(note)"] = self._note

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for output in tree.find_all(nodes.Output):
            output.nodes = [self._noted(child, filename or "") for child in output.nodes]
        return tree

    @staticmethod
    def _noted(child: nodes.Expr, file: str) -> nodes.Filter:
        is_text = isinstance(child, nodes.TemplateData)
        place = nodes.Const((file, child.lineno, is_text), lineno=child.lineno)
        return nodes.Filter(child, "(note)", [place], [], None, None, lineno=child.lineno)

    # It asks for the context only so that Jinja does not call it for constants while compiling.
    @pass_context
    def _note(self, context: Context, value: Any, place: tuple[str, int, bool]) -> Any:  # noqa: ARG002
        self.last = place
        return value

    def place_in(self, piece: str, offset: int) -> SourceLocation:
        """Return where the character at `offset` of the last piece stands in its template."""
        file, line, is_text = self.last
        return SourceLocation(file, line + (piece.count("\n", 0, max(offset, 0)) if is_text else 0))
