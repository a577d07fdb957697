"""Give the same small projects to four ways of making a DAG, and print what came of them.

    python scripts/compare.py            print the tables
    python scripts/compare.py --write    put them into README.md and docs/comparison.md

The environments are those of `make environments`. Every project is written in the form that the
tool's own documentation shows; what came out is loaded with the DagBag of a real Airflow, and the
loaded DAG is held against what the project asks for.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
ENVIRONMENTS = PROJECT / ".venvs"
SEEDS = range(8)
NEW, OLD = "airflow-3.3", "airflow-2.11"

# --- the projects


@dataclass(frozen=True)
class Node:
    """A step: what it reads and writes, and the group that it is in."""

    name: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    group: str | None = None


CHAIN = (
    Node("extract", writes=("orders",)),
    Node("clean", reads=("orders",), writes=("tidy",)),
    Node("report", reads=("tidy",)),
)
WIDE = (
    *(Node(f"load_{letter}", writes=(f"table_{letter}",)) for letter in "abcdefgh"),
    Node("join", reads=tuple(f"table_{letter}" for letter in "abcdefgh")),
)
TWO_NAMES = (
    Node("a.b", writes=("orders",)),
    Node("a_b", reads=("orders",), writes=("tidy",)),
    Node("report", reads=("tidy",)),
)
MISSPELT = (*CHAIN[:2], Node("report", reads=("tiddy",)))
# `index` stays in memory, so extract and report are one task; clean, between them, is another.
IN_A_RING = (
    Node("extract", writes=("orders", "index"), group="ends"),
    Node("clean", reads=("orders",), writes=("tidy",)),
    Node("report", reads=("tidy", "index"), group="ends"),
)
STORED = ("orders", "tidy", *(f"table_{letter}" for letter in "abcdefgh"))

# As text, so that a file can hold what no YAML library would write.
SETTINGS = {
    "owner": "data",
    "retries": "2",
    "schedule": '"0 6 * * *"',
    "start_date": "[2024, 1, 31]",
    "image": "registry/shop:1",
}


@dataclass(frozen=True)
class Input:
    """A project: pipelines of nodes, and settings as YAML text."""

    pipelines: Mapping[str, Sequence[Node]] = dataclasses.field(
        default_factory=lambda: {"etl": CHAIN}
    )
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    without: tuple[str, ...] = ()
    twice: Mapping[str, str] = dataclasses.field(default_factory=dict)
    one_dag_id: bool = False
    grouped: bool = False
    mapped: bool = False

    def lines(self, *names: str) -> list[str]:
        """Return lines of YAML for these settings, or for all of them."""
        all_settings = {**SETTINGS, **self.settings}
        pairs = [*all_settings.items(), *self.twice.items()]
        return [
            f"{name}: {text}"
            for name, text in pairs
            if name not in self.without and (not names or name in names)
        ]


@dataclass(frozen=True)
class Loaded:
    """What a real Airflow found in a folder."""

    errors: Mapping[str, str]
    dags: Mapping[str, Any]

    @property
    def only(self) -> Any:
        """The DAG of a project that has one."""
        return next(iter(self.dags.values()))


# What is wrong with a loaded DAG, or nothing.
Judge = Callable[[Loaded], str | None]


def holds(key: str, expected: Any) -> Judge:
    """Return a judge of one value of the loaded DAG."""

    def judge(loaded: Loaded) -> str | None:
        found = loaded.only[key]
        return None if found == expected else f"accepted, {key} is `{found!r}`"

    return judge


def in_order(*names: str) -> Judge:
    """Return a judge of the tasks, which are to run one after the other."""

    def judge(loaded: Loaded) -> str | None:
        tasks, edges = loaded.only["tasks"], loaded.only["edges"]
        if len(tasks) != len(names):
            return f"{len(tasks)} tasks instead of {len(names)}"
        return None if len(edges) == len(names) - 1 else "accepted, a task does not wait"

    return judge


def two_dags(loaded: Loaded) -> str | None:
    """Return what is wrong where two pipelines should be two DAGs."""
    return None if len(loaded.dags) == 2 else "accepted, one DAG is lost"


def never(what: str) -> Judge:
    """Return a judge of what cannot be right, whatever was loaded."""
    return lambda _: what


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    title: str
    input: Input
    right: Judge
    in_readme: bool = False


CASES = (
    Case(
        """the owner `O'Brien "R&D"`""",
        Input(settings={"owner": """'O''Brien "R&D"'"""}),
        holds("owner", """O'Brien "R&D\""""),
        in_readme=True,
    ),
    Case(
        'a date as text, `start_date: "2024-01-31"`',
        Input(settings={"start_date": '"2024-01-31"'}),
        holds("start_date", "2024-01-31"),
        in_readme=True,
    ),
    Case(
        "a setting misspelt, `retires: 5`",
        Input(settings={"retires": "5"}),
        never("accepted, no effect"),
        in_readme=True,
    ),
    Case(
        "a wrong type, `retries: two`",
        Input(settings={"retries": "two"}),
        never("accepted"),
    ),
    Case(
        'a cron that is none, `"61 * * * *"`',
        Input(settings={"schedule": '"61 * * * *"'}),
        never("accepted"),
        in_readme=True,
    ),
    Case(
        'a cron that never fires, `"0 0 31 2 *"`',
        Input(settings={"schedule": '"0 0 31 2 *"'}),
        never("accepted, never runs"),
    ),
    Case(
        "one key twice, `owner: data` and `owner: ops`",
        Input(twice={"owner": "ops"}),
        never("accepted, the last one wins"),
    ),
    Case(
        "nodes `a.b` and `a_b`",
        Input({"etl": TWO_NAMES}),
        in_order("a.b", "a_b", "report"),
        in_readme=True,
    ),
    Case(
        "a node reads (or follows) what does not exist",
        Input({"etl": MISSPELT}),
        in_order("extract", "clean", "report"),
    ),
    Case(
        "groups that wait for each other",
        Input({"etl": IN_A_RING}, grouped=True),
        never("accepted"),
        in_readme=True,
    ),
    Case(
        "a pod without an image",
        Input(without=("image",)),
        holds("image", "some image"),
        in_readme=True,
    ),
    Case(
        "two pipelines, one dag_id",
        Input({"etl": CHAIN, "weekly": CHAIN}, one_dag_id=True),
        two_dags,
        in_readme=True,
    ),
)
# Only one tool has it as a setting.
MAPPED = Case(
    "a task for each item of a list, known at run time",
    Input(mapped=True),
    holds("mapped", ["report"]),
    in_readme=True,
)
GOOD = Case("", Input(), in_order("extract", "clean", "report"))


# --- the tools


@dataclass(frozen=True)
class Made:
    """What a tool left: its exit status, its messages, and the folder for Airflow."""

    status: int
    said: str
    dags: Path


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below `folder` and return it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def run(folder: Path, *command: str, **environ: str) -> Made:
    """Run a program in a project's folder."""
    quiet = {"DO_NOT_TRACK": "1", "SCARF_ANALYTICS": "false", "COLUMNS": "400"}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **quiet, **environ},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Made(done.returncode, done.stderr + done.stdout, folder / "dags")


def section(name: str, lines: Iterable[str]) -> str:
    """Return a YAML mapping of a name to lines."""
    return f"{name}:\n" + "".join(f"  {line}\n" for line in lines)


class DagForge:
    """`dagforge create`, for pods."""

    title = "DagForge"
    images = writes_files = has_groups = True
    environments: Mapping[str, str] = {NEW: NEW, OLD: OLD}

    def make(self, folder: Path, given: Input, version: str = "3.3", seed: int = 0) -> Made:
        """Write the project as this tool has it, and run the tool."""
        pipelines = {
            name: {
                "nodes": [
                    {
                        "name": node.name,
                        "func": "shop.nodes:work",
                        "inputs": list(node.reads),
                        "outputs": list(node.writes),
                    }
                    for node in nodes
                ]
            }
            for name, nodes in given.pipelines.items()
        }
        more = ["grouping: memory"] if given.grouped else []
        more += ["dag_id: shop"] if given.one_dag_id else []
        write(
            folder,
            {
                "dagforge.toml": 'project = "shop"\n',
                "conf/base/pipelines.yml": json.dumps(pipelines, indent=2),
                "conf/base/catalog.yml": catalog(given),
                "conf/base/airflow.yml": section("default", [*given.lines(), *more]),
            },
        )
        command = ["-m", "dagforge", "create", "--all", "--target", "airflow-k8s"]
        command += ["--airflow-version", version]
        return run(folder, sys.executable, *command, PYTHONHASHSEED=str(seed))


def catalog(given: Input) -> str:
    """Return the entries of the datasets that are stored."""
    written = {name for nodes in given.pipelines.values() for node in nodes for name in node.writes}
    return "".join(
        f"{name}: {{type: shop.stored.Stored, filepath: data/{name}, shared: true}}\n"
        for name in STORED
        if name in written
    )


class KedroAirflow:
    """`kedro airflow create` with its own template, whose tasks run in the worker."""

    title = "kedro-airflow 0.11"
    writes_files = has_groups = True
    images = False
    environments: Mapping[str, str] = {NEW: NEW, OLD: OLD}

    STORED = textwrap.dedent(
        """
        from kedro.io import AbstractDataset


        class Stored(AbstractDataset):
            def __init__(self, filepath, shared=True):
                self.filepath = filepath

            def load(self):
                return None

            def save(self, data):
                pass

            def _describe(self):
                return {}
        """
    )

    def make(self, folder: Path, given: Input, version: str = "3.3", seed: int = 0) -> Made:
        """Write the project as this tool has it, and run the tool."""
        del version  # It writes for one version.
        write(
            folder,
            {
                "pyproject.toml": '[tool.kedro]\npackage_name = "shop"\nproject_name = "Shop"\n'
                'kedro_init_version = "1.7.0"\nsource_dir = "src"\n',
                "src/shop/__init__.py": "",
                "src/shop/settings.py": "",
                "src/shop/stored.py": self.STORED,
                "src/shop/pipeline_registry.py": self._registry(given),
                "conf/base/catalog.yml": catalog(given),
                "conf/base/airflow.yml": section("default", given.lines()),
                "conf/local/catalog.yml": "",
            },
        )
        command = ["-m", "kedro", "airflow", "create", "--all", "--target-dir", "dags"]
        command += ["--group-by", "memory"] if given.grouped else []
        python = str(ENVIRONMENTS / "kedro-1.7/bin/python")
        return run(folder, python, *command, PYTHONPATH="src", PYTHONHASHSEED=str(seed))

    @staticmethod
    def _registry(given: Input) -> str:
        lines = ["from kedro.pipeline import node, pipeline", "", "", "def work(*inputs):"]
        lines += ["    pass", "", "", "def register_pipelines():", "    return {"]
        for name, nodes in given.pipelines.items():
            lines.append(f"        {name!r}: pipeline([")
            for node in nodes:
                reads, writes = list(node.reads) or None, list(node.writes) or None
                lines.append(f"            node(work, {reads!r}, {writes!r}, name={node.name!r}),")
            lines.append("        ]),")
        return "\n".join([*lines, "    }", ""])


class DagFactory:
    """dag-factory: a Python file that reads YAML whenever Airflow parses it."""

    title = "dag-factory 1.1"
    images = True
    writes_files = has_groups = False
    environments: Mapping[str, str] = {NEW: "dag-factory", OLD: OLD}

    LOADER = (
        "from pathlib import Path\n\nfrom dagfactory import load_yaml_dags\n\n"
        "load_yaml_dags(\n    globals_dict=globals(),\n"
        '    config_filepath=str(Path(__file__).with_suffix(".yml")),\n)\n'
    )
    OPERATOR = "airflow.providers.cncf.kubernetes.operators.pod.KubernetesPodOperator"

    def make(self, folder: Path, given: Input, version: str = "3.3", seed: int = 0) -> Made:
        """Write the project as this tool has it, and let the tool check it."""
        del version, seed  # The file is the same; nothing is generated.
        files = {}
        for pipeline, nodes in given.pipelines.items():
            dag_id = "shop" if given.one_dag_id else pipeline
            written_by = {dataset: node.name for node in nodes for dataset in node.writes}
            tasks = []
            for node in nodes:
                image = given.lines("image")
                after = [written_by.get(name, name) for name in node.reads]
                tasks += [f"  - task_id: {node.name}", f"    operator: {self.OPERATOR}"]
                tasks += [f"    {line}" for line in image]
                tasks += ["    cmds: [shop]", f"    dependencies: {json.dumps(after)}"]
                if given.mapped and node is nodes[-1]:
                    tasks += ["    expand: {arguments: [[north], [south]]}"]
            arguments = [
                # A date is a YAML date here.
                line.replace("[2024, 1, 31]", "2024-01-31")
                for line in given.lines("owner", "retries", "retires", "start_date")
            ]
            lines = [*given.lines("schedule"), "catchup: false", "default_args:"]
            lines += [*(f"  {line}" for line in arguments), "tasks:", *tasks]
            files[f"dags/{pipeline}.yml"] = section(dag_id, lines)
            files[f"dags/{pipeline}.py"] = self.LOADER
        write(folder, files)
        python = str(ENVIRONMENTS / "dag-factory/bin/python")
        return run(folder, python, "-m", "dagfactory", "lint", "dags")


class PlainJinja:
    """A Jinja template for pods and the ten lines that fill it."""

    title = "hand-written Jinja"
    images = writes_files = has_groups = True
    environments: Mapping[str, str] = {NEW: NEW, OLD: OLD}

    TEMPLATE = textwrap.dedent(
        """\
        from datetime import datetime

        from airflow import DAG
        from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

        with DAG(
            dag_id="{{ dag_id }}",
            schedule="{{ schedule }}",
            start_date=datetime({{ start_date | join(", ") }}),
            catchup=False,
            default_args={"owner": "{{ owner }}", "retries": {{ retries | default(0) }}},
        ):
            tasks = {}
        {% for task, nodes in tasks.items() %}
            tasks["{{ task }}"] = KubernetesPodOperator(
                task_id="{{ task }}",
                name="pod-{{ task }}",
                image="{{ image }}",
                cmds=["shop", "run", "--nodes", "{{ nodes | join(",") }}"],
            )
        {% endfor %}
        {% for first, second in edges %}
            tasks["{{ first }}"] >> tasks["{{ second }}"]
        {% endfor %}
        """
    )
    PROGRAM = textwrap.dedent(
        """\
        from pathlib import Path

        import jinja2
        import yaml

        settings = yaml.safe_load(Path("settings.yml").read_text())["default"]
        environment = jinja2.Environment(trim_blocks=True)
        template = environment.from_string(Path("dag.py.j2").read_text())
        for pipeline in yaml.safe_load(Path("pipelines.yml").read_text()):
            tasks, edges = {}, []
            task_of = {node["name"]: node["group"] or node["name"] for node in pipeline["nodes"]}
            for node in pipeline["nodes"]:
                task = task_of[node["name"]]
                tasks.setdefault(task, []).append(node["name"])
                above = [task_of.get(name, name) for name in node["after"]]
                edges += [(name, task) for name in above if name != task]
            text = template.render({**settings, **pipeline, "tasks": tasks, "edges": edges})
            Path("dags", pipeline["name"] + ".py").write_text(text)
        """
    )

    def make(self, folder: Path, given: Input, version: str = "3.3", seed: int = 0) -> Made:
        """Write the project as this tool has it, and run the tool."""
        del version  # What the template says holds for both.
        pipelines = []
        for name, nodes in given.pipelines.items():
            written_by = {dataset: node.name for node in nodes for dataset in node.writes}
            steps = [
                {
                    "name": node.name,
                    "group": node.group,
                    "after": [written_by.get(dataset, dataset) for dataset in node.reads],
                }
                for node in nodes
            ]
            dag_id = "shop" if given.one_dag_id else name
            pipelines.append({"name": name, "dag_id": dag_id, "nodes": steps})
        write(
            folder,
            {
                "dag.py.j2": self.TEMPLATE,
                "render.py": self.PROGRAM,
                "settings.yml": section("default", given.lines()),
                "pipelines.yml": json.dumps(pipelines),
            },
        )
        (folder / "dags").mkdir()
        return run(folder, sys.executable, "render.py", PYTHONHASHSEED=str(seed))


TOOLS = (DagForge(), KedroAirflow(), DagFactory(), PlainJinja())
Tool = DagForge | KedroAirflow | DagFactory | PlainJinja


# --- what came out


def read_dags(folders: Iterable[str]) -> dict[str, Any]:
    """Return what the Airflow of this environment finds in each folder. Runs there."""
    # A worker has Kedro installed; loading a DAG uses nothing of it but these names.
    sys.modules.update(_kedro())
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    found = {}
    for folder in folders:
        try:
            bag = DagBag(dag_folder=folder, include_examples=False, safe_mode=False)
        except TypeError:  # As of Airflow 3.3 the examples are no concern of the DagBag.
            bag = DagBag(dag_folder=folder, safe_mode=False)
        found[folder] = {
            "errors": {str(path): str(text) for path, text in bag.import_errors.items()},
            "dags": {dag_id: _described(dag) for dag_id, dag in bag.dags.items()},
        }
    return found


def _kedro() -> dict[str, types.ModuleType]:
    names = ("kedro", "kedro.framework", "kedro.framework.session", "kedro.framework.project")
    modules = {name: types.ModuleType(name) for name in names}
    modules["kedro.framework.session"].KedroSession = object  # type: ignore[attr-defined]
    modules["kedro.framework.project"].configure_project = print  # type: ignore[attr-defined]
    return modules


def _described(dag: Any) -> dict[str, Any]:
    first = dag.tasks[0]
    start = first.start_date or dag.start_date
    return {
        "owner": first.owner,
        "retries": first.retries,
        "start_date": start.date().isoformat() if start else None,
        "image": getattr(first, "image", None),
        "mapped": [task.task_id for task in dag.tasks if hasattr(task, "partial_kwargs")],
        "tasks": sorted(task.task_id for task in dag.tasks),
        "edges": [[t.task_id, d] for t in dag.tasks for d in sorted(t.downstream_task_ids)],
    }


def load_all(folders: Sequence[Path], environment: str, home: Path) -> dict[Path, Loaded]:
    """Return what the real Airflow of an environment finds in each folder."""
    home.mkdir()
    # dag-factory is one pure Python package: with Airflow 2 it runs from where it is installed.
    package = next((ENVIRONMENTS / "dag-factory/lib").glob("*/site-packages/dagfactory"))
    (home / "packages").mkdir()
    (home / "packages/dagfactory").symlink_to(package)
    output = home / "loaded.json"
    command = [__file__, "--load", str(output), *map(str, folders)]
    environ = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__DAG_FACTORY__ENABLE_TELEMETRY": "false",
        "PYTHONPATH": str(home / "packages") if environment == OLD else "",
    }
    done = run(home, str(ENVIRONMENTS / environment / "bin/python"), *command, **environ)
    if done.status:
        raise RuntimeError(done.said)
    found = json.loads(output.read_text())
    return {Path(folder): Loaded(each["errors"], each["dags"]) for folder, each in found.items()}


LOCATION = re.compile(r"conf/base/([\w.]+:\d+(?::\d+)?)")


def cell(case: Case, made: Made, loaded: Loaded | None) -> str:
    """Return what a tool made of a case, in a few words."""
    if made.status:
        place = LOCATION.search(made.said)
        if place:
            return f"**refused**, {place[1]}"
        line = re.search(r"line \d+, column \d+\n(?! +in)(?!found)", made.said)
        return f"refused with a traceback, {_exception(made.said)}" + (
            f", {line[0].partition(',')[0]}" if line else ""
        )
    assert loaded is not None
    if loaded.errors:
        return f"does not load: {_exception(next(iter(loaded.errors.values())))}"
    if not loaded.dags:
        return "no DAG, no error"
    wrong = case.right(loaded)
    return "right" if wrong is None else wrong


def _exception(text: str) -> str:
    """Return the name of the last exception of a traceback, without its module."""
    found = re.findall(r"^(?:\w+\.)*(\w*(?:Error|Exception|Invalid|Exit)\w*)", text, re.M)
    return found[-1] if found else text.strip().splitlines()[-1][:60]


# --- rows that are not one project


def no_such_thing(tool: Tool, case: Case) -> str | None:
    """Return why a case cannot be put to a tool."""
    if "image" in case.input.without and not tool.images:
        return "n/a: its tasks are no pods"
    if case.input.grouped and not tool.has_groups:
        return "n/a: a node is a task"
    if case.input.mapped and not isinstance(tool, DagFactory):
        return "n/a: only in a template of one's own"
    return None


def same_bytes(tool: Tool, folder: Path) -> str:
    """Return how many different outputs several hash seeds give."""
    if not tool.writes_files:
        return "n/a: writes no file"
    outputs = set()
    for seed in SEEDS:
        made = tool.make(folder / str(seed), Input({"etl": WIDE}), seed=seed)
        assert not made.status, made.said
        outputs.add(tuple(path.read_bytes() for path in sorted(made.dags.glob("*.py"))))
    return "same bytes" if len(outputs) == 1 else f"{len(outputs)} different files"


def edited(tool: Tool, folder: Path) -> str:
    """Return what becomes of an edit in a generated file when it is made again."""
    if not tool.writes_files:
        return "n/a: writes no file"
    made = tool.make(folder, Input())
    file = next(made.dags.glob("*.py"))
    file.write_text(file.read_text().replace("catchup=False", "catchup=True"))
    text = file.read_text()
    if isinstance(tool, PlainJinja):
        again = run(folder, sys.executable, "render.py")
    else:
        again = tool.make(folder, Input())
    if file.read_text() == text:
        return "**refused**, edit kept" if again.status else "edit kept"
    return "overwritten"


# --- the tables


def rows(folder: Path) -> Iterator[tuple[str, list[str], bool]]:
    """Yield the rows: a title, a cell for each tool, whether the README shows it."""
    made: dict[tuple[str, str], Made] = {}
    for number, case in enumerate([GOOD, *CASES, MAPPED]):
        for tool in TOOLS:
            if no_such_thing(tool, case) is None:
                place = folder / tool.title.replace(" ", "_") / str(number)
                made[tool.title, case.title] = tool.make(place, case.input)
    old = {
        tool.title: tool.make(folder / tool.title.replace(" ", "_") / "old", GOOD.input, "2.11")
        for tool in TOOLS
    }
    for name, each in old.items():
        assert each.status == 0, f"{name}: {each.said}"
    for tool in TOOLS:
        first = made[tool.title, GOOD.title]
        assert first.status == 0, f"{tool.title}: {first.said}"

    loaded: dict[Path, Loaded] = {}
    for environment in sorted({tool.environments[NEW] for tool in TOOLS}):
        titles = [tool.title for tool in TOOLS if tool.environments[NEW] == environment]
        folders = [each.dags for (title, _), each in made.items() if title in titles]
        folders = [each for each in folders if each.exists()]
        loaded |= load_all(folders, environment, folder / f"home-{environment}")
    loaded |= load_all([each.dags for each in old.values()], OLD, folder / "home-old")

    good = [made[tool.title, GOOD.title] for tool in TOOLS]
    yield (
        "nothing wrong, Airflow 3.3.2",
        [_loads(cell(GOOD, each, loaded[each.dags])) for each in good],
        True,
    )
    yield (
        "the same, Airflow 2.11.2",
        [_loads(cell(GOOD, each, loaded[each.dags])) for each in old.values()],
        True,
    )
    seeds = f"made {len(SEEDS)} times under different hash seeds"
    yield seeds, [same_bytes(tool, folder / f"seeds-{tool.title}") for tool in TOOLS], True
    for case in (*CASES, MAPPED):
        yield (
            case.title,
            [
                no_such_thing(tool, case)
                or cell(
                    case,
                    made[tool.title, case.title],
                    loaded.get(made[tool.title, case.title].dags),
                )
                for tool in TOOLS
            ],
            case.in_readme,
        )
    edits = [edited(tool, folder / f"edited-{tool.title}") for tool in TOOLS]
    yield "a generated file edited by hand, made again", edits, False


def _loads(text: str) -> str:
    return "loads" if text == "right" else text


def table(lines: Iterable[tuple[str, list[str]]]) -> str:
    """Return a Markdown table."""
    header = ["", *(tool.title for tool in TOOLS)]
    body = [[title, *cells] for title, cells in lines]
    return "".join(
        "| " + " | ".join(part.replace("|", "\\|") for part in row) + " |\n"
        for row in [header, ["---"] * len(header), *body]
    )


def put(page: Path, text: str) -> None:
    """Put a table between the markers of a page."""
    begin, end = "<!-- scripts/compare.py -->\n", "<!-- end -->\n"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


def main() -> None:
    """Print the tables, or write them; with --load, be the part that runs inside an Airflow."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--load"]:
        found = read_dags(arguments[2:])
        Path(arguments[1]).write_text(json.dumps(found), encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as folder:
        lines = list(rows(Path(folder)))
    whole = table((title, cells) for title, cells, _ in lines)
    short = table((title, cells) for title, cells, shown in lines if shown)
    if arguments == ["--write"]:
        put(PROJECT / "docs/comparison.md", whole)
        put(PROJECT / "README.md", short)
    else:
        print(whole)


if __name__ == "__main__":
    main()
