"""Calling a node's function: a plain function that knows nothing of DagForge."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from dagforge.errors import did_you_mean
from dagforge.ir import Node, Work
from dagforge.runtime.errors import RunError
from dagforge.runtime.formats import type_name

_PACKAGE = Path(__file__).parent.parent
# Frames of what only carries the call, not the user's own code.
_CARRIERS = ("importlib", "asyncio", "concurrent")


@dataclass(frozen=True, slots=True)
class Failure:
    """A user's function that failed, as it is shown and recorded.

    Attributes:
        type: of the exception.
        frames: the user's own frames, as Python prints a traceback.
    """

    type: str
    message: str
    frames: str


class UserError(Exception):
    """A node's function, or the import of its module, raised."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.message)


def make_importable(root: Path) -> None:
    """Let the project's own modules be imported: from its root and from `src`."""
    for folder in (root / "src", root):
        text = str(folder)
        if folder.is_dir() and text not in sys.path:
            sys.path.insert(0, text)


def function_of(node: Node) -> Callable[..., Any]:
    """Return the function that a node names.

    Raises:
        RunError: there is no such module or function.
        UserError: the module fails while it is imported.
    """
    assert isinstance(node.action, Work), node.name
    module_name, _, path = node.action.target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise RunError.of(
                "no-module",
                f"node '{node.name}': there is no module '{module_name}' to be imported here",
                at=node.origin,
                fix="install the project's package, or put the module below the project's folder "
                "or its `src`",
            ) from error
        raise UserError(failure_of(error)) from error
    except Exception as error:
        raise UserError(failure_of(error)) from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise RunError.of(
                "no-function",
                f"node '{node.name}': module '{module_name}' has no '{path}'",
                at=node.origin,
                fix=did_you_mean(part, [name for name in dir(found) if not name.startswith("_")]),
            )
        found = getattr(found, part)
    if not callable(found):
        raise RunError.of(
            "no-function", f"node '{node.name}': '{path}' cannot be called", at=node.origin
        )
    return found  # type: ignore[no-any-return]


def call(node: Node, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """Return what a node's function gives for its inputs; one that is async is awaited.

    Args:
        node: whose inputs are given, by position or by the argument that the node says.
        function: of the node.
        values: of every input, by dataset.

    Raises:
        RunError: it does not take these inputs, or returns a generator.
        UserError: it raised.
    """
    assert isinstance(node.action, Work), node.name
    by_argument = node.action.arguments
    if by_argument:
        args: list[Any] = []
        kwargs = {argument: values[dataset] for argument, dataset in by_argument.items()}
    else:
        args = [values[dataset] for dataset in node.inputs]
        kwargs = {}
    _check_signature(node, function, args, kwargs)
    try:
        result = function(*args, **kwargs)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
    except Exception as error:
        raise UserError(failure_of(error)) from error
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise RunError.of(
            "generator",
            f"node '{node.name}': its function gives a generator, which no other task could read",
            at=node.origin,
            fix="return a list, or a table",
        )
    return result


def _check_signature(
    node: Node, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise RunError.of(
            "wrong-arguments",
            f"node '{node.name}' gives its function {len(args) + len(kwargs)} inputs, but "
            f"{getattr(function, '__name__', 'it')}{signature} does not take them: {error}",
            at=node.origin / "inputs",
            fix="give the node the inputs that its function takes, in order or by argument",
        ) from error


def outputs_of(node: Node, result: Any) -> dict[str, Any]:
    """Return what a node's result means for each of its outputs.

    Raises:
        RunError: there are not as many values as outputs.
    """
    if not node.outputs:
        return {}
    if len(node.outputs) == 1:
        return {node.outputs[0]: result}
    if isinstance(result, dict) and set(result) == set(node.outputs):
        return {name: result[name] for name in node.outputs}
    if not isinstance(result, (tuple, list)) or len(result) != len(node.outputs):
        count = f"{len(result)} values" if isinstance(result, (tuple, list)) else "one value"
        raise RunError.of(
            "wrong-outputs",
            f"node '{node.name}' has {len(node.outputs)} outputs, but its function gave {count}"
            f" (a {type(result).__name__})",
            at=node.origin / "outputs",
            fix=f"return a tuple of {len(node.outputs)} values: {', '.join(node.outputs)}",
        )
    return dict(zip(node.outputs, result, strict=True))


def failure_of(error: BaseException) -> Failure:
    """Return an exception of the user's code with only the user's frames."""
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    frames = traceback.format_list(list(_own_frames(error.__traceback__)))
    if isinstance(error, SyntaxError):
        frames += traceback.format_exception_only(kind, error)[:-1]
    return Failure(type_name(error), str(error), "".join(frames))


def _own_frames(trace: TracebackType | None) -> Iterable[traceback.FrameSummary]:
    for frame in traceback.extract_tb(trace):
        file = Path(frame.filename)
        carried = frame.filename.startswith("<frozen") or any(
            part in _CARRIERS and "site-packages" not in file.parts for part in file.parts
        )
        if not carried and not file.is_relative_to(_PACKAGE):
            yield frame


def code_hash(nodes: Iterable[Node]) -> str | None:
    """Return the hash of the modules that the nodes' functions are in, None if one is unknown.

    What these modules import is not looked into; a change there is not seen.
    """
    digest = hashlib.sha256()
    names = sorted({node.module for node in nodes if node.module is not None})
    for name in names:
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file is None:
            return None
        try:
            digest.update(name.encode() + b"\0" + Path(file).read_bytes() + b"\0")
        except OSError:
            return None
    return digest.hexdigest()[:16]
