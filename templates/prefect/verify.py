"""Load flow files in the real Prefect, without a server, and say what is in them.

Runs in the interpreter that `dagforge verify` is given, so it uses nothing but Prefect and the
standard library. Its two arguments are files: one that holds the question, `{"folder": path,
"files": [path]}`, and one that takes the answer, a JSON document a line. The first says which
Prefect this is:

    {"name": "Prefect", "version": "3.8.8"}     {"name": "Prefect", "version": null, "error": text}

Then come two for each file, so that it is known which one was being loaded when everything ended:

    {"loading": path}
    {"loaded": path, "errors": [text], "warnings": [{"line", "category", "message"}],
     "dags": {flow: {"tasks": [task], "edges": [[upstream, downstream]]}}}

Prefect knows no order before a flow runs. So the flow's function is called here with tasks that do
nothing but note which others they wait for.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import json
import sys
import traceback
import warnings
from pathlib import Path
from unittest import mock


class Run:
    """What a submitted task gives here: a future, and a result, that knows its task only."""

    def __init__(self, task, flow):
        self.task = task
        self.flow = flow

    def wait(self, *_, **__):
        """Note that whatever follows comes after this task."""
        self.flow.done.add(self.task)
        return self

    result = wait

    def __iter__(self):
        return iter(())


class Recorder:
    """The tasks of one call of a flow and the order between them."""

    def __init__(self):
        self.tasks = set()
        self.edges = set()
        self.done = set()

    def start(self, task, arguments):
        """Note a task that waits for the runs among its arguments and for all that is done."""
        self.tasks.add(task.name)
        upstream = self.done | {run.task for run in runs_in(arguments)}
        self.edges.update((name, task.name) for name in upstream if name != task.name)
        return Run(task.name, self)

    def submit(self, task, *args, **kwargs):
        """Stand in for `Task.submit`, `delay` and `map`."""
        return self.start(task, [args, kwargs])

    def call(self, task, *args, **kwargs):
        """Stand in for a task that is called like a function, and has ended when it returns."""
        return self.start(task, [args, kwargs]).wait()


def runs_in(value):
    """Yield every run in a nest of lists, tuples, sets and mappings."""
    if isinstance(value, Run):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from runs_in(inner)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from runs_in(inner)


def record(flow):
    """Return the tasks of a flow and their order."""
    from prefect import Task

    recorder = Recorder()

    def stand_in(method):
        return lambda task, *args, **kwargs: method(task, *args, **kwargs)

    names = ("submit", "delay", "map")
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(mock.patch.object(Task, name, stand_in(recorder.submit)))
        stack.enter_context(mock.patch.object(Task, "__call__", stand_in(recorder.call)))
        if flow.isasync:
            import asyncio

            asyncio.run(flow.fn())
        else:
            flow.fn()
    return {"tasks": sorted(recorder.tasks), "edges": sorted(recorder.edges)}


def load(path, number):
    """Return what a file holds and what is wrong with it."""
    from prefect import Flow

    # A flow's tasks look each other up by module, so each file needs a name of its own.
    name = f"dagforge_verify_{number}"
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    sys.modules[name] = module
    errors, dags = [], {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            loader.exec_module(module)
            flows = {id(each): each for each in vars(module).values() if isinstance(each, Flow)}
            for flow in flows.values():
                if getattr(flow.fn, "__module__", name) == name:
                    dags[flow.name] = record(flow)
        except BaseException:
            errors.append(traceback.format_exc())
    own = [
        {"line": each.lineno, "category": each.category.__name__, "message": str(each.message)}
        for each in caught
        if each.filename == path
    ]
    return {"errors": errors, "warnings": own, "dags": dags}


def main():
    """Answer the question."""
    asked, answer = sys.argv[1:]
    question = json.loads(Path(asked).read_text(encoding="utf-8"))
    # The folder of this file is no place to import from, that of the files is: the last one, so
    # that a file called like a module hides none.
    sys.path[:] = [*sys.path[1:], question["folder"]]
    with Path(answer).open("w", encoding="utf-8") as out:

        def say(**line):
            out.write(json.dumps(line) + "\n")
            out.flush()

        try:
            import prefect
        except Exception as error:
            say(name="Prefect", version=None, error=f"{type(error).__name__}: {error}")
            return
        say(name="Prefect", version=prefect.__version__)
        for number, path in enumerate(question["files"]):
            say(loading=path)
            say(loaded=path, **load(path, number))


if __name__ == "__main__":
    main()
