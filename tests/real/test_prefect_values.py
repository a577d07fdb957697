"""Values of settings, however odd, reach the real Prefect as they are; so do names."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dagforge.build import Build
from dagforge.target import Setting
from tests.projects import PIPELINES, build_project
from tests.real.prefect_environment import ask, events, stub_on_path
from tests.real.test_target_facts import prefect

Pair = tuple[Any, Any]
"""A value as YAML has it, and what Prefect is to get."""

TEXTS = (
    'O\'Brien "R&D" \\ {{ ds }}',
    "one\n\ttwo\r\n\nthree ",
    "zażółć 日本 🚀 \u2028 \x07 \x85",
    "__import__('os').system('exit 1')",
    "'''\"\"\" # {# {% %} \\n \\",
    "",
)
NESTED = {
    "a key": [None, True, -1, 1.5e300, [], {}, {"deep": list(TEXTS)}],
    TEXTS[0]: {TEXTS[1]: TEXTS[2], "class": {"1": 1}},
    "big": 10**40,
    "odd numbers": [math.inf, -math.inf, math.nan, -0.0],
}
DURATIONS: dict[str, float] = {"1h30m": 5400, "250ms": 0.25, "PT5M": 300, "2d": 172800, "0s": 0}
CALLABLE = ({"import": "os.path:join"}, {"!": "object", "path": "posixpath.join"})
INSTANCE = (
    {"call": "datetime.timedelta", "args": {"days": 1}},
    {"!": "timedelta", "seconds": 86400.0},
)
SCHEDULES = [
    ("@daily", {"!": "schedule", "cron": "0 0 * * *", "interval": None, "zone": "UTC"}),
    ("5 4 * * MON", {"!": "schedule", "cron": "5 4 * * MON", "interval": None, "zone": "UTC"}),
    (
        "1h30m",
        {
            "!": "schedule",
            "cron": None,
            "interval": {"!": "timedelta", "seconds": 5400.0},
            "zone": None,
        },
    ),
    (
        {"call": "prefect.schedules.Schedule", "args": {"cron": "1 2 3 * *"}},
        {"!": "schedule", "cron": "1 2 3 * *", "interval": None, "zone": None},
    ),
    (None, None),
]
INPUTS = {"import": "prefect.cache_policies:INPUTS"}

# Where Prefect itself takes less than the schema says.
OWN: dict[str, list[Pair]] = {
    "cache_policy": [({"import": "prefect.cache_policies:NO_CACHE"}, {"!": "NO_CACHE"})],
    "image": [('example.com/team/it\'s-"odd"-{{ ds }}:1', None)],
    "max_active_runs": [
        (2, None),
        (
            {
                "call": "prefect.client.schemas.objects.ConcurrencyLimitConfig",
                "args": {"limit": 3},
            },
            {
                "!": "ConcurrencyLimitConfig",
                "limit": 3,
                "collision_strategy": "ENQUEUE",
                "grace_period_seconds": None,
            },
        ),
        (None, None),
    ],
    "flow_result_storage": [("s3-bucket/it's", None)],
    "result_storage": [("s3-bucket/it's", None)],
    "flow_result_serializer": [("json", None), ("compressed/pickle", None)],
    "result_serializer": [("json", None), ("compressed/pickle", None)],
    "source": [(text, None) for text in TEXTS[:-1]],
    "task_runner": [
        (
            {"call": "prefect.task_runners.ThreadPoolTaskRunner", "args": {"max_workers": 3}},
            {"!": "ThreadPoolTaskRunner", "workers": 3},
        )
    ],
    "flow_run_name": [(TEXTS[0], None), CALLABLE],
    "task_run_name": [(TEXTS[0], None), CALLABLE],
    "triggers": [([CALLABLE[0]], [CALLABLE[1]])],
    "asset_deps": [(["s3://bucket/__import__"], None)],
    "deployment_name": [(text, None) for text in TEXTS if text and not set(text) & set("/%&<>")],
    "work_pool_name": [(text, None) for text in TEXTS[:-1]],
    "work_queue_name": [(text, None) for text in TEXTS[:-1]],
}
# They exclude others, or are no argument of their own.
LEFT_OUT = {"parameters", "cache_key_fn"}


def values_of(setting: Setting) -> list[Pair]:
    """Return values for a setting, with what Prefect is to get."""
    if setting.name in OWN:
        return [
            (given, given if expected is None else expected)
            for given, expected in OWN[setting.name]
        ]
    if setting.value == "schedule":
        return SCHEDULES
    schema = setting.schema
    if "enum" in schema:
        return [(each, each) for each in schema["enum"]]
    kinds = [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    if setting.value == "duration":
        pairs: list[Pair] = [
            (text, seconds if setting.unit else {"!": "timedelta", "seconds": float(seconds)})
            for text, seconds in DURATIONS.items()
        ]
        if "array" in kinds:
            pairs.append((list(DURATIONS), list(DURATIONS.values())))
        return pairs + ([(None, None)] if "null" in kinds else [])
    if setting.as_list:
        several = [
            CALLABLE,
            ({"import": "os.path:split"}, {"!": "object", "path": "posixpath.split"}),
        ]
        return [(CALLABLE[0], [CALLABLE[1]]), ([a for a, _ in several], [b for _, b in several])]
    if kinds == ["object"] and setting.value == "object":
        return [CALLABLE]
    by_kind: dict[str, list[Pair]] = {
        "string": [(text, text) for text in TEXTS],
        "integer": [(1, 1), (7, 7)],
        "number": [(0.1, 0.1), (2, 2)],
        "boolean": [(True, True), (False, False)],
        "array": [(list(TEXTS), list(TEXTS))],
        "object": [(NESTED, NESTED)],
        "null": [(None, None)],
    }
    pairs = [pair for kind in kinds for pair in by_kind[kind]]
    if setting.value == "object":
        pairs.append(INSTANCE)
    return pairs


def rounds() -> Iterator[dict[str, Pair]]:
    """Give settings with a value each, until every value of every setting had its turn."""
    by_name = {
        setting.name: values_of(setting)
        for setting in prefect().settings.values()
        if setting.argument and setting.name not in LEFT_OUT
    }
    for turn in range(max(map(len, by_name.values()))):
        yield {name: pairs[turn % len(pairs)] for name, pairs in by_name.items()}


def write(found: Build, folder: Path) -> Path:
    """Write the only file of a build."""
    [file] = found.files
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.path
    path.write_text(file.text, encoding="utf-8")
    return path


def ruff(*files: Path) -> None:
    """Check that ruff has nothing to say about generated files."""
    command = [sys.executable, "-m", "ruff"]
    for check in (["format", "--diff"], ["check", "--select", "F,E9"]):
        run = subprocess.run(
            [*command, *check, "--isolated", "--no-cache", *map(str, files)],
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stdout + run.stderr


def same(one: Any, other: Any) -> bool:
    """Say whether two JSON values are equal and of one type; NaN equals itself."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def test_every_setting_holds_exactly_its_value(tmp_path: Path) -> None:
    settings = prefect().settings
    turns = list(rounds())
    files = []
    for number, turn in enumerate(turns):
        given = {name: value for name, (value, _) in turn.items()}
        if not given["image"] or number % 2:
            given = {
                name: value
                for name, value in given.items()
                if name not in ("image", "build", "push")
            }
        text = yaml.safe_dump({"default": given}, sort_keys=False)
        nodes = {
            "odd": {"description": TEXTS[number % 6], "nodes": [{"name": "only", "func": "m:f"}]}
        }
        found = build_project(
            tmp_path / str(number),
            {PIPELINES: yaml.safe_dump(nodes), "conf/base/prefect.yml": text},
            target="prefect",
            render=True,
        )
        files.append(write(found, tmp_path / f"flows{number}"))
    ruff(*files)
    answers = ask("prefect_values.py", {"files": [str(path) for path in files]}, tmp_path)
    wrong = []
    for number, (turn, said) in enumerate(zip(turns, answers, strict=True)):
        assert said["warnings"] == []
        assert "ran" not in said
        places = {
            "flow": said["flow"],
            "deployment": said["deployment"],
            "source": said["source"],
            None: said["tasks"]["only"],
        }
        for name, (_, expected) in turn.items():
            if number % 2 and name in ("image", "build", "push"):
                continue
            setting = settings[name]
            holder = places[setting.group]
            argument = prefect().arguments[name]
            if argument not in holder or not same(holder[argument], expected):
                wrong.append((name, expected, holder.get(argument, "nothing")))
    assert wrong == []


def test_commands_parameters_and_texts_arrive_as_they_are(tmp_path: Path) -> None:
    description = 'O\'Brien "R&D" \\ {{ ds }}\n\n\'\'\'""" zażółć'
    words = [text for text in TEXTS if "\x07" not in text]
    pipelines = {
        "odd": {
            "description": description,
            "nodes": [
                {"name": "says", "command": ["echo", *words]},
            ],
        }
    }
    parameters = {
        "nested": NESTED,
        "text": TEXTS[0],
        "whole": 3,
        "part": 0.1,
        "yes": True,
        "flow": "a flow",
        "says": [1],
        "described": {"default": 1, "type": "integer", "description": "d", "title": "t"},
    }
    settings = {"default": {"parameters": parameters}}
    found = build_project(
        tmp_path,
        {PIPELINES: yaml.safe_dump(pipelines), "conf/base/prefect.yml": yaml.safe_dump(settings)},
        target="prefect",
        render=True,
    )
    path = write(found, tmp_path / "flows")
    ruff(path)
    [said] = ask("prefect_values.py", {"files": [str(path)]}, tmp_path)
    expected = {**parameters, "described": 1}
    assert same(said["parameters"], expected)
    assert said["commands"] == {"says": ["echo", *words]}
    assert said["flow"]["description"] == description
    assert description in said["docstring"]
    assert said["ran"] == found.dags[0].dag_id


NAMES = [
    *("flow", "task", "subprocess", "asyncio", "flow_run", "run_command", "get_run_logger"),
    *("json", "Path", "Cron", "timedelta", "a", "a_run", "a_run_run", "b_run", "b"),
    *("print", "str", "list", "type", "task_run", "task_runs", "logger", "process", "line"),
    *("command", "__name__", "__file__", "__builtins__", "self", "None", "class", "async", "match"),
    *("zażółć", "日本語", "日本", "😀", "a b", "a-b", "a.b", "A", "1st", "odd", "name", "_", "__"),
    *("it's", 'a "quoted" name', "back\\slash", "{{ ds }}", "n" * 250, "n" * 249 + "m", "submit"),
]


def test_tasks_of_any_name_run_exactly_once(server: str, tmp_path: Path) -> None:
    nodes = [
        {
            "name": name,
            "func": "m:f",
            "outputs": f"data_{number}",
            **({"inputs": [f"data_{number - 1}"]} if number % 3 == 2 else {}),
        }
        for number, name in enumerate(NAMES)
    ]
    settings = {"default": {"dag_id": "odd"}}
    found = build_project(
        tmp_path,
        {
            PIPELINES: yaml.safe_dump({"odd": {"nodes": nodes}}),
            "conf/base/prefect.yml": yaml.safe_dump(settings),
        },
        target="prefect",
        render=True,
    )
    path = write(found, tmp_path / "flows")
    ruff(path)
    log = tmp_path / "stub.log"
    runs = [{"file": str(path), "environment": {"STUB_LOG": str(log)}}]
    bin_path = stub_on_path(tmp_path / "bin")
    [said] = ask("prefect_run.py", {"runs": runs}, tmp_path, server, PATH=bin_path)
    assert said["state"]["type"] == "COMPLETED", said["state"]
    started = [each["nodes"] for each in events(log) if each["event"] == "start"]
    assert sorted(started) == sorted(NAMES)
    shown = [task["name"] for task in said["tasks"]]
    assert sorted(shown) == sorted(NAMES)
