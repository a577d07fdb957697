"""Templates to Python source, in which values quote themselves.

A template writes Python. What it assembles is `Code`; what `{{ }}` prints is a value and becomes a
literal, whatever it holds. `pieces.py` says how the two are kept apart, `layout.py` how a literal
looks.
"""

from __future__ import annotations

import functools
import keyword
import re
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, NoReturn, cast

import jinja2
import jinja2.filters
from jinja2 import nodes
from jinja2.runtime import Context, Undefined
from jinja2.utils import missing, pass_context, pass_eval_context

from dagforge.conf import read_regular
from dagforge.errors import DagForgeError, Problem, SourceLocation, TemplateError, did_you_mean
from dagforge.templating.imports import Import, import_block, local_names, parse_import
from dagforge.templating.layout import (
    Call,
    Chain,
    Code,
    NoLiteralError,
    Shape,
    quote,
    shape,
    text_width,
)
from dagforge.templating.pieces import (
    ImportBlock,
    ImportBlockError,
    MisplacedError,
    Part,
    Site,
    Text,
    Value,
    concat,
    expand,
    indent,
    leaves,
    strip,
    unfinished,
)

BUILTIN = "builtin"

# Names that no template can write, so that nothing else can be meant by them.
_PLACE = "(place)"
_PLACE_RESULT = "(place result)"

_AS_VALUE = "print the value as it is, {{ value }}: it becomes a Python literal"
_REFUSED_FILTERS = {
    "safe": f"{_AS_VALUE}; for text that is Python already there is {{{{ text | code }}}}",
    "tojson": _AS_VALUE,
    "escape": _AS_VALUE,
    "e": _AS_VALUE,
    "forceescape": _AS_VALUE,
    "urlize": _AS_VALUE,
    "xmlattr": _AS_VALUE,
    "striptags": _AS_VALUE,
    "random": "take an item by its number: the same input gives the same file",
}


def render_template(
    environment: PythonEnvironment,
    name: str,
    context: Mapping[str, Any],
    *,
    imports: Mapping[str, str] | None = None,
    reserved: Collection[str] = (),
    values: Sequence[str] = (),
) -> str:
    """Return the Python source that a template gives.

    Args:
        environment: made once, used for any number of files and threads.
        name: of the template, for the loader.
        context: what the template sees.
        imports: the import path behind each name that `use` knows, such as
            `{"k8s": "kubernetes.client.models as k8s"}`.
        reserved: names that the file binds itself; imports keep clear of them.
        values: templates with the macros that spell typed values, the first that has one wins.

    Raises:
        TemplateError: the template is wrong, or cannot write a value.
    """
    rendering = _Rendering(environment, context, imports or {}, frozenset(reserved), values)
    try:
        code = rendering.run(name)
        names = local_names(rendering.used.values(), rendering.reserved)
        if any(names[item.path] != item.local for item in rendering.used.values()):
            # Two imports wanted one name. Which got which is known only now that all are known.
            rendering = rendering.again(names)
            code = rendering.run(name)
        block = import_block(rendering.used.values(), names)
        return expand(code, block)
    except Exception as error:
        raise _template_error(environment, name, error) from error


def template_loader(
    team: Path | None,
    builtin: Path,
    *,
    shown: str | None = None,
    packages: Sequence[tuple[str, Path]] = (),
) -> jinja2.BaseLoader:
    """Return what finds templates: the team's folder first, then packages, then the built-in ones.

    Args:
        team: the team's folder.
        builtin: the folder of the built-in templates; always reached as `builtin/...` too.
        shown: how messages name the team's folder; None for the path itself.
        packages: name and folder of each package with templates; always reached by its name too.
    """
    return TemplateLoader(team, builtin, shown=shown, packages=packages)


class TemplateLoader(jinja2.BaseLoader):
    """Reads templates from a team's folder, then from packages, then from the built-in one."""

    def __init__(
        self,
        team: Path | None,
        builtin: Path,
        *,
        shown: str | None = None,
        packages: Sequence[tuple[str, Path]] = (),
    ) -> None:
        self.team = team
        self.builtin = builtin
        self.named = {**dict(packages), BUILTIN: builtin}
        self.shown = PurePosixPath(team.as_posix() if team and shown is None else shown or "")

    def get_source(
        self,
        environment: jinja2.Environment,  # noqa: ARG002
        template: str,
    ) -> tuple[str, str, Callable[[], bool]]:
        """Return source, name for messages, and that it never changes during a run."""
        for path, shown in self._candidates(template):
            try:
                # An editor's byte order mark is no part of the text.
                source = read_regular(path).decode("utf-8-sig")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            except UnicodeDecodeError as error:
                raise _error(
                    "template-unreadable",
                    "template is not UTF-8 text",
                    at=SourceLocation(shown),
                    fix="save it as UTF-8",
                ) from error
            except OSError as error:
                raise _error(
                    "template-unreadable",
                    f"template cannot be read: {error.strerror}",
                    at=SourceLocation(shown),
                ) from error
            return source, shown, lambda: True
        raise jinja2.TemplateNotFound(template)

    def list_templates(self) -> list[str]:
        """Return the names of all templates, sorted."""
        team = _template_names(self.team) if self.team is not None else []
        named = {name: _template_names(folder) for name, folder in self.named.items()}
        full = [f"{name}/{each}" for name, found in named.items() for each in found]
        return sorted({*team, *full, *(each for found in named.values() for each in found)})

    def _candidates(self, template: str) -> Iterator[tuple[Path, str]]:
        parts = template.split("/")
        if not all(parts) or any(part in (".", "..") or "\\" in part for part in parts):
            return
        for name, folder in self.named.items():
            if template.startswith(f"{name}/"):
                rest = template[len(name) + 1 :]
                yield folder.joinpath(rest), _shown(name, rest)
                return
        if self.team is not None:
            yield self.team.joinpath(*parts), self.shown.joinpath(*parts).as_posix()
        for name, folder in self.named.items():
            yield folder.joinpath(*parts), _shown(name, template)


def _shown(name: str, template: str) -> str:
    """Return how messages name a template: those of a package by their path in it."""
    return f"{BUILTIN}/{template}" if name == BUILTIN else f"{name}/templates/{template}"


def _template_names(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*.jinja") if path.is_file()]
    return [path.relative_to(folder).as_posix() for path in files]


class PythonTemplate(jinja2.Template):
    """A template whose imported modules live as long as one rendering.

    Jinja keeps the module of `{% import %}` for ever; ours hold values and recorded imports.
    """

    def _get_default_module(self, ctx: Context | None = None) -> Any:  # noqa: ARG002
        rendering = _current.get()
        if self not in rendering.modules:
            rendering.modules[self] = self.make_module()
        return rendering.modules[self]


class PythonUndefined(jinja2.StrictUndefined):
    """An undefined value that says what there is instead."""

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[jinja2.TemplateRuntimeError] = jinja2.UndefinedError,
    ) -> None:
        super().__init__(hint, obj, name, exc)
        if hint is None and exc is jinja2.UndefinedError:
            explain = functools.partial(_UnknownNameError, owner=obj, name=name)
            self._undefined_exception = cast("type[jinja2.TemplateRuntimeError]", explain)


class PythonEnvironment(jinja2.Environment):
    """Jinja for Python source.

    Args:
        loader: as for Jinja.
        globals: further names for all templates.
        filters: further filters for all templates.
    """

    template_class = PythonTemplate
    concat = staticmethod(concat)

    def __init__(
        self,
        loader: jinja2.BaseLoader,
        *,
        globals: Mapping[str, Any] | None = None,
        filters: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.sources: dict[str, str] = {}
        self._trees: dict[str, nodes.Template] = {}
        self._checked: set[str] = set()
        super().__init__(
            loader=loader,
            undefined=PythonUndefined,
            autoescape=False,
            # There are no constants to fold: looking for them is a fifth of compiling a template.
            optimized=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
            cache_size=-1,
        )
        del self.globals["lipsum"]
        self.globals |= {"use": _use, "call": _call, "chain": _chain, "imports": _imports}
        self.globals |= globals or {}
        self.filters |= {"code": _code, "indent": _indent, "trim": _trim, "join": _join}
        self.filters |= {name: _refused_filter(name) for name in _REFUSED_FILTERS}
        self.filters |= filters or {}
        self.filters |= {_PLACE: _place, _PLACE_RESULT: _place_result}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        file = filename or name or "<template>"
        self.sources[file] = source
        tree = _prepared(super()._parse(source, name, filename), file)
        self._trees[name or file] = tree
        return tree

    def get_template(
        self,
        name: str | jinja2.Template,
        parent: str | None = None,
        globals: MutableMapping[str, Any] | None = None,
    ) -> jinja2.Template:
        """Return a template, refusing blocks of it that none of those it extends has."""
        template = super().get_template(name, parent, globals)
        if isinstance(name, str) and name in self._trees and name not in self._checked:
            self._checked.add(name)
            self._check_blocks(name, _file_of(template))
        return template

    def _check_blocks(self, name: str, file: str) -> None:
        tree = self._trees[name]
        above = _extended(tree)
        if above is None:
            return
        known: set[str] = set()
        seen, next_above = {name}, _extended(tree)
        while next_above is not None:
            if next_above in seen:
                raise _error(
                    "template-recursion",
                    f"the template '{name}' extends itself",
                    at=SourceLocation(file, next(tree.find_all(nodes.Extends)).lineno),
                    fix=self._extends_fix(above, next_above),
                )
            seen.add(next_above)
            try:
                self.get_template(next_above)
            except jinja2.TemplateNotFound:
                # Rendering says so, and where.
                return
            known.update(block.name for block in self._trees[next_above].find_all(nodes.Block))
            next_above = _extended(self._trees[next_above])
        problems = [
            Problem(
                "unknown-block",
                f"'{above}' has no block '{block.name}'",
                SourceLocation(file, block.lineno),
                did_you_mean(block.name, known) or _blocks_fix(known),
            )
            for block in _outer_blocks(tree)
            if block.name not in known
        ]
        if problems:
            raise TemplateError(problems)

    def _extends_fix(self, *names: str) -> str:
        known = set(self.list_templates())
        builtin = [f"{BUILTIN}/{name}" for name in names if f"{BUILTIN}/{name}" in known]
        return f"extend {builtin[0]}, the built-in one" if builtin else "extend another one"

    def handle_exception(self, source: str | None = None) -> NoReturn:  # noqa: ARG002
        """Raise the current exception as it is: where it happened is read from its traceback."""
        raise


@dataclass(slots=True)
class _Rendering:
    """What belongs to one file."""

    environment: PythonEnvironment
    context: Mapping[str, Any]
    imports: Mapping[str, str]
    reserved: frozenset[str]
    values: Sequence[str]
    names: Mapping[tuple[str, str], str] = field(default_factory=dict)
    used: dict[str, Import] = field(default_factory=dict)
    modules: dict[jinja2.Template, Any] = field(default_factory=dict)
    macros: dict[str, Callable[[object], object] | None] = field(default_factory=dict)
    spelled: dict[int, tuple[object, Code]] = field(default_factory=dict)

    def run(self, name: str) -> Code:
        """Return what the template assembles, values not yet written."""
        token = _current.set(self)
        try:
            template = self.environment.get_template(name)
            return cast(Code, template.render(self.context))
        finally:
            _current.reset(token)

    def again(self, names: Mapping[tuple[str, str], str]) -> _Rendering:
        """Return the same rendering, not yet run, with known names for its imports."""
        return _Rendering(
            self.environment, self.context, self.imports, self.reserved, self.values, names
        )

    def use(self, name: str) -> Code:
        """Return the local name of an import, and record that the file needs it."""
        item = self.used.get(name)
        if item is None:
            item = self.used[name] = self._import(name)
        return Code(self.names.get(item.path, item.local) + item.rest)

    def _import(self, name: str) -> Import:
        known = name in self.imports
        if not known and "." not in name and ":" not in name:
            raise _RefusedError(
                "unknown-import",
                f"'{name}' is not a name that can be imported here",
                did_you_mean(name, self.imports) or "give its path, such as 'team.alerts:notify'",
            )
        try:
            return parse_import(self.imports.get(name, name), known=known)
        except ValueError as error:
            raise _RefusedError(
                "unknown-import",
                f"'{name}' is not an import path: {error}",
                "write it as 'package.module:name'",
            ) from error

    def spell(self, value: object) -> Shape | None:
        """Return the shape of code and of typed values; None for what `layout` knows itself."""
        if isinstance(value, Undefined):
            raise_undefined(value)
        code = value if isinstance(value, Code) else self.code_of(value)
        return None if code is None else _shape_of_code(code)

    def code_of(self, value: object) -> Code | None:
        """Return what the macro of the value's class writes, None where there is no such macro.

        What many tasks share is one object in the plan, and written once.
        """
        known = self.spelled.get(id(value))
        if known is not None:
            return known[1]
        macro = self.macro_for(value)
        if macro is None:
            return None
        code = macro(value)
        if not isinstance(code, Code):
            raise NoLiteralError(value)
        code = strip(code)
        # The value is kept too, so that no other one gets its id.
        self.spelled[id(value)] = (value, code)
        return code

    def macro_for(self, value: object) -> Callable[[object], object] | None:
        """Return the macro that is named like the value's class, or None."""
        name = type(value).__name__
        if name not in self.macros:
            self.macros[name] = self._find_macro(name)
        return self.macros[name]

    def _find_macro(self, name: str) -> Callable[[object], object] | None:
        for template_name in self.values:
            template = self.environment.get_template(template_name)
            if template not in self.modules:
                self.modules[template] = template.make_module(dict(self.context))
            macro = getattr(self.modules[template], name, None)
            if callable(macro):
                return cast("Callable[[object], object]", macro)
        return None


_current: ContextVar[_Rendering] = ContextVar("rendering")


# What `{{ }}` does.


def _prepared(tree: nodes.Template, file: str) -> nodes.Template:
    """Let every expression that prints go through `_place`, and refuse what is for HTML."""
    number = 0
    for node in tree.find_all((nodes.Output, nodes.FilterBlock, nodes.CallBlock, *_REFUSED_NODES)):
        if isinstance(node, nodes.Output):
            for index, child in enumerate(node.nodes):
                if not isinstance(child, nodes.TemplateData):
                    node.nodes[index] = _filtered(child, _PLACE, file, number)
                    number += 1
        elif isinstance(node, nodes.FilterBlock):
            node.filter = _filtered(node.filter, _PLACE, file, -1)
        elif isinstance(node, nodes.CallBlock):
            # Jinja prints the result of the call without asking anybody.
            node.call.node = _filtered(node.call.node, _PLACE_RESULT, file, -1)
        else:
            _refuse(node, file)
    return tree


_REFUSED_NODES = (
    nodes.Filter,
    nodes.EvalContextModifier,
    nodes.MarkSafe,
    nodes.MarkSafeIfAutoescape,
)


def _extended(tree: nodes.Template) -> str | None:
    """Return the template that one extends; None without one, or where rendering chooses it."""
    extends = [node for node in tree.body if isinstance(node, nodes.Extends)]
    name = extends[0].template if len(extends) == 1 else None
    return name.value if isinstance(name, nodes.Const) and isinstance(name.value, str) else None


def _blocks_fix(known: Collection[str]) -> str:
    return f"its blocks are {', '.join(sorted(known))}" if known else "write a whole template"


def _outer_blocks(tree: nodes.Template) -> list[nodes.Block]:
    """Return the blocks that stand nowhere unless a template above has their names."""
    blocks = list(tree.find_all(nodes.Block))
    inner = {id(each) for block in blocks for each in block.find_all(nodes.Block)}
    called = {
        node.attr
        for node in tree.find_all(nodes.Getattr)
        if isinstance(node.node, nodes.Name) and node.node.name == "self"
    }
    return [block for block in blocks if id(block) not in inner and block.name not in called]


def _filtered(child: nodes.Expr, name: str, file: str, number: int) -> nodes.Filter:
    site = nodes.Const((file, child.lineno, number), lineno=child.lineno)
    return nodes.Filter(child, name, [site], [], None, None, lineno=child.lineno)


def _refuse(node: nodes.Node, file: str) -> None:
    at = SourceLocation(file, node.lineno)
    if not isinstance(node, nodes.Filter):
        raise _error(
            "template-html", "autoescape is for HTML", at=at, fix="leave it out; values are quoted"
        )
    if node.name in _REFUSED_FILTERS:
        raise _error(
            "template-html",
            f"the filter '{node.name}' has no place in Python source",
            at=at,
            fix=_REFUSED_FILTERS[node.name],
        )


@pass_context
def _place(context: Context, value: object, site: Site) -> Code:  # noqa: ARG001
    """Return the piece that `{{ value }}` adds to the text.

    It asks for the context only so that Jinja does not call it for constants while compiling.
    """
    kind = type(value)
    if kind is str:
        flat = quote(value)  # type: ignore[arg-type]
        return Value.at(Shape(flat, text_width(flat)), site)
    if isinstance(value, Text):
        return Part.at(value, site)
    if isinstance(value, Code):
        return value
    rendering = _current.get()
    if isinstance(value, Undefined):
        raise_undefined(value)
    code = None if kind in _PLAIN else rendering.code_of(value)
    if code is not None:
        return Part.at(code, site) if isinstance(code, Text) else code
    return Value.at(shape(value, rendering.spell), site)


_PLAIN = frozenset({type(None), bool, int, float, list, tuple, dict})


@pass_context
def _place_result(
    context: Context, function: Callable[..., object], site: Site
) -> Callable[..., Code]:
    """Return `function` with its result made a piece of the text; for `{% call %}`."""

    def placed(*args: Any, **kwargs: Any) -> Code:
        return _place(context, context.call(function, *args, **kwargs), site)

    return placed


def _shape_of_code(code: Code) -> Shape:
    """Return the shape of code that stands inside a list, dict or call.

    More source follows it there, so it must not leave a string or comment open.
    """
    if isinstance(code, Text):
        code = strip(code)
        pieces = [piece for piece, _ in leaves(code)]
        if len(pieces) == 1 and isinstance(pieces[0], Value):
            return pieces[0].shape
    if not code.isidentifier():
        _require_closed(code)
    return shape(Code(code))


def _require_closed(code: Code) -> None:
    left_open = unfinished(code)
    if left_open is not None:
        raise _RefusedError(
            "open-code",
            f"code inside a value leaves a {left_open} open",
            "close it: more source follows",
        )


# What templates can call.


def _use(name: str) -> Code:
    """Return the local name of an import and record it; the global `use` of all templates."""
    return _current.get().use(_text(name, "use"))


def _imports() -> Code:
    """Return the place of the import block; the global `imports` of all templates."""
    return ImportBlock()


def _call(function: str, /, *args: Any, **kwargs: Any) -> Call:
    """Return a call that is laid out with its arguments; the global `call` of all templates."""
    for name in kwargs:
        _require_name(name)
    if isinstance(function, Code):
        _require_closed(function)
        return Call(function, args, kwargs)
    path = _text(function, "call")
    head, dot, rest = path.partition(".")
    rendering = _current.get()
    if not dot or ":" in path or head not in rendering.imports:
        return Call(rendering.use(path), args, kwargs)
    for name in rest.split("."):
        _require_name(name)
    return Call(Code(f"{rendering.use(head)}.{rest}"), args, kwargs)


def _chain(*links: Any) -> Chain:
    """Return tasks joined by `>>`; the global `chain` of all templates."""
    joined = []
    for link in links:
        names = link if isinstance(link, (list, tuple)) else [link]
        if not names or not all(isinstance(name, Code) for name in names):
            raise _RefusedError(
                "chain-of-values",
                "chain(...) joins names of tasks, and lists of them",
                "make each a name with {{ name | code }} where it is set",
            )
        joined.append(list(names) if len(names) > 1 else names[0])
    return Chain(tuple(joined))


def _code(value: object) -> Code:
    """Return `value` as Python source; the only way from a value to code."""
    if isinstance(value, Undefined):
        raise_undefined(value)
    if isinstance(value, Code):
        return value
    if isinstance(value, str):
        return Code(value)
    if type(value) is int:
        return Code(repr(value))
    raise _RefusedError(
        "no-code",
        f"'code' takes text, this is a {type(value).__name__}",
        "print it without the filter: it becomes a Python literal",
    )


def _indent(value: object, width: int = 4, first: bool = False, blank: bool = False) -> str:
    if isinstance(value, Code):
        return indent(value, width, first=first, blank=blank)
    return jinja2.filters.do_indent(cast(str, value), width, first, blank)


def _trim(value: object, chars: str | None = None) -> str:
    if isinstance(value, Code) and chars is None:
        return strip(value)
    return jinja2.filters.do_trim(cast(str, value), chars)


@pass_eval_context
def _join(eval_ctx: Any, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    """Return the items in one text; code joined by code stays code."""
    items = list(value)
    if (
        attribute is None
        and items
        and all(isinstance(item, Code) for item in [*items, d or items[0]])
    ):
        return concat([piece for item in items for piece in (d, item)][1:])
    return jinja2.filters.sync_do_join(eval_ctx, items, d, attribute)


def _refused_filter(name: str) -> Callable[..., NoReturn]:
    """Return the filter that stands for a refused one where its name is no constant."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise _RefusedError(
            "template-html",
            f"the filter '{name}' has no place in Python source",
            _REFUSED_FILTERS[name],
        )

    return refuse


def _text(value: object, function: str) -> str:
    if isinstance(value, Undefined):
        raise_undefined(value)
    if not isinstance(value, str):
        raise _RefusedError(
            "unknown-import",
            f"{function}(...) takes the name of an import, not a {type(value).__name__}",
            "write it as 'package.module:name'",
        )
    return value


def _require_name(name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise _RefusedError(
            "no-name", f"'{name}' cannot be the name of an argument or attribute", "rename it"
        )


# Errors.


def _error(
    code: str, message: str, *, at: SourceLocation | None = None, fix: str | None = None
) -> TemplateError:
    return TemplateError([Problem(code, message, at, fix)])


class _RefusedError(Exception):
    """A template asks for something that it cannot have; where is read from the traceback."""

    def __init__(self, code: str, message: str, fix: str) -> None:
        self.code = code
        self.fix = fix
        super().__init__(message)


class _UnknownNameError(jinja2.UndefinedError):
    """A template reads a name, attribute or key that does not exist.

    Attributes:
        owner: what was asked for it; Jinja's `missing` for the context itself.
        name: the name, or a number.
    """

    def __init__(self, message: str, owner: object, name: object) -> None:
        self.owner = owner
        self.name = name
        super().__init__(message)


def raise_undefined(value: Undefined) -> NoReturn:
    """Raise the error of an undefined value."""
    value._fail_with_undefined_error()


def _template_error(environment: PythonEnvironment, name: str, error: Exception) -> DagForgeError:
    """Return what the user reads instead of a traceback."""
    if isinstance(error, DagForgeError):
        return error
    if isinstance(error, MisplacedError):
        return _misplaced(environment, error)
    if isinstance(error, ImportBlockError):
        times = "never" if error.count == 0 else f"{error.count} times"
        return _error(
            "import-block",
            f"the template uses imports, and says {times} where they stand",
            at=SourceLocation(_file_of(environment.get_template(name))),
            fix="put {{ imports() }} once, below the file's docstring",
        )
    frames = list(_template_frames(error.__traceback__))
    at = frames[-1][0] if frames else SourceLocation(name)
    match error:
        case _RefusedError():
            return _error(error.code, str(error), at=at, fix=error.fix)
        case NoLiteralError():
            return _error(
                "no-literal",
                f"a {type(error.value).__name__} cannot be written as a Python literal",
                at=at,
                fix=_literal_fix(error.value),
            )
        case _UnknownNameError():
            return _unknown_name(error, at, frames[-1][1] if frames else {})
        case jinja2.UndefinedError():
            message = str(error).rstrip(".")
            fix = "test it with 'is defined' first"
            if "if-expression" in message:
                fix = "add 'else', or use {% if %} around the text"
            return _error("template-undefined", message, at=at, fix=fix)
        case jinja2.TemplateSyntaxError():
            return _syntax_error(environment, error)
        case jinja2.TemplateNotFound():
            wanted = str(error.name or error)
            return _error(
                "template-not-found",
                f"there is no template '{wanted}'",
                at=at if frames else None,
                fix=did_you_mean(wanted, environment.list_templates()),
            )
        case RecursionError():
            return _error(
                "template-recursion",
                "templates or macros call each other without end, or brackets are nested too deep",
                at=at,
                fix="let one of them stop, or loop instead",
            )
    return _error(
        "template-failed",
        f"{type(error).__name__} while rendering: {error}",
        at=at,
        fix="correct the expression on this line",
    )


def _file_of(template: jinja2.Template) -> str:
    """Return the file of a template as messages name it; loaders without files give names only."""
    return str(template.name if template.filename == "<template>" else template.filename)


def _template_frames(
    traceback: TracebackType | None,
) -> Iterator[tuple[SourceLocation, dict[str, Any]]]:
    """Yield where each template of a traceback stood, outermost first, and what it saw."""
    while traceback is not None:
        frame = traceback.tb_frame
        template = frame.f_globals.get("__jinja_template__")
        if isinstance(template, jinja2.Template):
            line = template.get_corresponding_lineno(traceback.tb_lineno)
            yield SourceLocation(_file_of(template), line), frame.f_locals
        traceback = traceback.tb_next


def _unknown_name(
    error: _UnknownNameError, at: SourceLocation | None, seen: Mapping[str, Any]
) -> TemplateError:
    owner, name, unset = error.owner, error.name, None
    if owner is missing:
        message = f"'{name}' is not defined"
        known = _visible_names(seen)
    elif isinstance(owner, Mapping):
        what = getattr(owner, "called", None)
        message = f"there is no key {name!r} in {f'`{what}`' if what else 'this mapping'}"
        known = [key for key in owner if isinstance(key, str)]
        unset = f"set it under `{what}:` in the settings" if what else None
    elif isinstance(name, int):
        message = f"there is no item {name} in this {type(owner).__name__}"
        known = []
    else:
        message = f"a {type(owner).__name__} has no '{name}'"
        known = [key for key in dir(owner) if not key.startswith("_")]
    near = did_you_mean(str(name), known)
    fix = near or unset or "check its spelling against the template's context"
    return _error("template-undefined", message, at=at, fix=fix)


def _visible_names(seen: Mapping[str, Any]) -> list[str]:
    """Return the names that a template could use, from the frame of its compiled function."""
    context = seen.get("context")
    names = list(context.get_all()) if isinstance(context, Context) else []
    for name in seen:
        # The compiler calls the variable `x` of the third scope `l_3_x`.
        local = re.match(r"l_[0-9]+_(.+)", name)
        if local and seen[name] is not missing:
            names.append(local.group(1))
    return names


def _syntax_error(
    environment: PythonEnvironment, error: jinja2.TemplateSyntaxError
) -> TemplateError:
    file = error.filename or error.name or "<template>"
    message = (error.message or "the template cannot be read").rstrip(".")
    unknown = re.search(r"No (filter|test) named '([^']*)'|unknown tag '([^']*)'", message)
    fix = None
    if unknown:
        kind, name, tag = unknown.groups()
        known = {"filter": environment.filters, "test": environment.tests, None: _TAGS}[kind]
        fix = did_you_mean(tag or name, [one for one in known if one.isidentifier()])
    return _error(
        "template-syntax",
        message[:1].lower() + message[1:],
        at=SourceLocation(file, error.lineno),
        fix=fix or "correct the tag or expression on this line",
    )


_TAGS = (
    "block",
    "call",
    "elif",
    "else",
    "endblock",
    "endcall",
    "endfilter",
    "endfor",
    "endif",
    "endmacro",
    "endset",
    "endwith",
    "extends",
    "filter",
    "for",
    "from",
    "if",
    "import",
    "include",
    "macro",
    "raw",
    "set",
    "with",
)


def _literal_fix(value: object) -> str:
    if isinstance(value, (set, frozenset)):
        return "use a list: a set has no order, and the file would change from run to run"
    if callable(value):
        return "call it, or name what you mean with ['...'] if a key is called like a method"
    return f"print one of its attributes, or add a macro '{type(value).__name__}' that spells it"


_MISPLACED = {
    "string": (
        "value-in-quotes",
        "{expression} stands inside quotes, and brings its own",
        "drop the quotes; to join text and value write {{ 'text ' ~ value }}",
    ),
    "f-string": (
        "value-in-quotes",
        "{expression} stands inside an f-string, where a value cannot be quoted safely",
        "give the value a name in front of the f-string and use that name in it",
    ),
    "comment": (
        "value-in-comment",
        "{expression} stands in a comment, which a value could end",
        "leave it out of the comment",
    ),
    "name": (
        "value-touches-name",
        "{expression} touches a name, number or string, and would be read as part of it",
        "put a space or an operator between them; a name is written {{ name | code }}",
    ),
    "value": (
        "value-touches-name",
        "{expression} follows another value with nothing between them",
        "put an operator between them, or join them with ~ in one expression",
    ),
}


def _misplaced(environment: PythonEnvironment, error: MisplacedError) -> TemplateError:
    code, message, fix = _MISPLACED[error.where]
    at, expression = _expression_at(environment, error.site)
    return _error(code, message.format(expression=expression), at=at, fix=fix)


def _expression_at(environment: PythonEnvironment, site: Site) -> tuple[SourceLocation, str]:
    """Return where an expression of a template stands, and its text."""
    file, at_line, wanted = site
    source = "\n".join(re.split(r"\r\n|\r|\n", environment.sources[file]))
    tokens = list(environment.lex(source, filename=file))
    prints = any(kind == "name" and text == "print" for _, kind, text in tokens)
    number, position = -1, 0
    if wanted >= 0 and not prints:
        for _, kind, text in tokens:
            # White space is left out around tags; every token itself is there.
            position = source.index(text, position)
            number += kind == "variable_begin"
            if number == wanted:
                line = source.count("\n", 0, position) + 1
                column = position - source.rfind("\n", 0, position)
                end = source.find("}}", position)
                expression = " ".join(source[position : end + 2].split())
                return SourceLocation(file, line, column), f"'{expression}'"
            position += len(text)
    return SourceLocation(file, at_line), "a value"
