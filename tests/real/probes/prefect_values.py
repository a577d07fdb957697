"""Load generated flows in the real Prefect and print, as JSON, what each constructor was given.

Standard input is `{"files": [path]}`. The answer is a list with, for each file, the arguments of
`flow`, of each `task` by name, of `from_source` and of `deploy`, the parameters of the flow, and
the words of the command that each task starts. What JSON has not is `{"!": kind, ...}`.
"""

from __future__ import annotations

import asyncio
import datetime
import enum
import functools
import inspect
import json
import runpy
import sys
import warnings
from typing import Any
from unittest import mock

import prefect
from prefect import Flow
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.schedules import Schedule
from prefect.task_runners import ThreadPoolTaskRunner


def encode(value: Any) -> Any:
    """Return a value as JSON data."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, (list, tuple)):
        return [encode(inner) for inner in value]
    if isinstance(value, dict):
        return {key: encode(inner) for key, inner in value.items()}
    if isinstance(value, datetime.timedelta):
        return {"!": "timedelta", "seconds": value.total_seconds()}
    if isinstance(value, Schedule):
        facts = {"cron": value.cron, "interval": encode(value.interval), "zone": value.timezone}
        return {"!": "schedule", **facts}
    if callable(value) and hasattr(value, "__qualname__"):
        return {"!": "object", "path": f"{value.__module__}.{value.__qualname__}"}
    if isinstance(value, type(sys)):
        return {"!": "object", "path": value.__name__}
    if isinstance(value, ThreadPoolTaskRunner):
        return {"!": "ThreadPoolTaskRunner", "workers": value._max_workers}
    if isinstance(value, ConcurrencyLimitConfig):
        return {"!": "ConcurrencyLimitConfig", **value.model_dump(mode="json")}
    assert value is NO_CACHE, value
    return {"!": "NO_CACHE"}


def load(path: str) -> dict[str, Any]:
    """Return what the constructors in a file were given, as a script and as a module."""
    found: dict[str, Any] = {"tasks": {}}

    def flow(**arguments: Any) -> Any:
        found["flow"] = encode(arguments)
        return real_flow(**arguments)

    def task(**arguments: Any) -> Any:
        found["tasks"][arguments["name"]] = encode(arguments)
        return real_task(**arguments)

    def from_source(self: Any, **arguments: Any) -> Any:
        found["source"] = encode(arguments)
        return self

    def deploy(self: Any, **arguments: Any) -> None:
        inspect.signature(real_deploy).bind(self, **arguments)
        found["deployment"] = encode(arguments)

    real_flow, real_task, real_deploy = prefect.flow, prefect.task, Flow.deploy
    # A flow that nothing deploys would run.
    run = functools.partialmethod(lambda self: found.setdefault("ran", self.name))
    with (
        mock.patch.object(prefect, "flow", flow),
        mock.patch.object(prefect, "task", task),
        mock.patch.object(Flow, "from_source", from_source),
        mock.patch.object(Flow, "deploy", deploy),
        mock.patch.object(Flow, "__call__", run),
    ):
        names = runpy.run_path(path, run_name="__main__")
    flows = {id(each): each for each in names.values() if isinstance(each, Flow)}
    [made] = flows.values()
    found["parameters"] = {
        name: encode(each.default) for name, each in inspect.signature(made.fn).parameters.items()
    }
    found["docstring"] = names["__doc__"]
    tasks = [each for each in names.values() if isinstance(each, prefect.Task)]
    found["commands"] = {each.name: words_of(each) for each in tasks}
    return found


def words_of(task: Any) -> list[Any]:
    """Return the words of the command that a task starts."""
    words: list[Any] = []

    async def note(*command: Any) -> None:
        words.extend(command)

    with mock.patch.dict(task.fn.__globals__, {"run_command": note}):
        asyncio.run(task.fn())
    return [encode(word) for word in words]


def main() -> None:
    """Answer the question on standard input."""
    answer, sys.stdout = sys.stdout, sys.stderr
    answers = []
    for path in json.load(sys.stdin)["files"]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = load(path)
        found["warnings"] = [str(each.message) for each in caught if each.filename == path]
        answers.append(found)
    json.dump(answers, answer)


if __name__ == "__main__":
    main()
