"""Calling a node's function: a plain function that knows nothing of DagForge."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import inspect
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagforge.errors import did_you_mean
from dagforge.ir import Node, Work
from dagforge.runtime.errors import RunError
from dagforge.user_code import UserError


class Terminated(SystemExit):
    """The process was asked to end (SIGTERM); its exit code is the shell's for that."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)

    def __str__(self) -> str:
        return "stopped by SIGTERM"


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
    except Terminated:
        raise
    except (Exception, SystemExit) as error:
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent and (module_name == absent or module_name.startswith(f"{absent}.")):
            raise RunError.of(
                "no-module",
                f"node '{node.name}': there is no module '{module_name}' to be imported here",
                at=node.origin,
                fix="install the project's package, or put the module below the project's folder "
                "or its `src`",
            ) from error
        raise UserError(error, module_name) from error
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
            "no-function",
            f"node '{node.name}': '{path}' of module '{module_name}' cannot be called",
            at=node.origin,
            fix="name a function in it",
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
        if inspect.isawaitable(result):
            result = _awaited(result)
    except Terminated:
        raise
    except (Exception, SystemExit) as error:
        # A function that ends the process is not done: its outputs are missing.
        raise UserError(error, node.action.target.partition(":")[0]) from error
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
        kind = type(result).__name__
        given = "None" if result is None else f"one value (a {kind})"
        if isinstance(result, (tuple, list)):
            given = f"{len(result)} values (a {kind})"
        elif isinstance(result, dict):
            given = f"a dict with {', '.join(map(repr, result)) or 'nothing'}"
        raise RunError.of(
            "wrong-outputs",
            f"node '{node.name}' has {len(node.outputs)} outputs, but its function gave {given}",
            at=node.origin / "outputs",
            fix=f"return a tuple of {len(node.outputs)} values: {', '.join(node.outputs)}",
        )
    return dict(zip(node.outputs, result, strict=True))


def _awaited(result: Awaitable[Any]) -> Any:
    """Return what an awaitable gives, from a thread of its own where a loop runs here already."""

    async def wait() -> Any:
        return await result

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, wait()).result()


@contextmanager
def stopped_by_signal(tell: Callable[[Terminated], None] | None = None) -> Iterator[None]:
    """Let SIGTERM raise `Terminated` in here, so that a record of it can be written.

    A process with a handler of its own (an orchestrator's worker) keeps it.

    Args:
        tell: takes what is raised, where it is not this block that it is raised in.
    """
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def on_signal(number: int, frame: object) -> None:
        del number, frame
        # Once is enough: what follows is the record, which a second one must not interrupt.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stopped = Terminated()
        if tell is not None:
            tell(stopped)
        raise stopped

    signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def code_hash(modules: Iterable[str]) -> str | None:
    """Return the hash of the modules that nodes' functions are in, None if one is unknown.

    What these modules import is not looked into; a change there is not seen.
    """
    digest = hashlib.sha256()
    for name in sorted(set(modules)):
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file is None:
            return None
        try:
            digest.update(name.encode() + b"\0" + Path(file).read_bytes() + b"\0")
        except OSError:
            return None
    return digest.hexdigest()[:16]
