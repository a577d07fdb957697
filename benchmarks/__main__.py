"""Measure, and print ratios with their targets: `python -m benchmarks [NAME ...]`.

Nothing here passes or fails. Read the processor time ("cpu"); the clock is for those who have the
machine to themselves.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.measure import Command, Comparison, Cost, FailedError, compare, median
from benchmarks.others import (
    read_answer,
    write_by_hand,
    write_for_dag_factory,
    write_kedro_namespaces,
    write_kedro_project,
)
from benchmarks.projects import write_hamilton_project, write_project

ROOT = Path(__file__).parents[1]
DAGFORGE = Path(sys.executable).with_name("dagforge")
IMPORTS = "import click, jinja2, yaml, slugify"
LOAD = """\
import pathlib, sys, yaml
for file in sorted(pathlib.Path(sys.argv[1]).rglob("*.yml")):
    yaml.load(file.read_bytes(), Loader=yaml.CLoader)
"""
# What of Kedro and the project no compiler can do without: pipelines and configuration, in
# silence, and like DagForge without the garbage collector.
LOAD_KEDRO = """\
import gc, pathlib
gc.disable()
from kedro.framework.startup import bootstrap_project
bootstrap_project(pathlib.Path.cwd())
from kedro.framework.project import pipelines, settings
loader = settings.CONFIG_LOADER_CLASS("conf", **settings.CONFIG_LOADER_ARGS)
loader.config_patterns["airflow"] = ["airflow*"]
for kind in ("catalog", "parameters", "airflow"):
    loader.get(kind)
for pipeline in pipelines.values():
    pipeline.nodes
gc.freeze()
"""
SILENT = "disable_existing_loggers: false\nversion: 1\n"
AIRFLOW_CREATE = ("-m", "kedro", "airflow", "create", "--target-dir", "dags-of-kedro-airflow")
READ_ALL = "git status --porcelain && find conf dags -type f -exec cat {} + > /dev/null"
PODS = ("--target", "airflow-k8s")


class Bench:
    """A folder for projects and output, and how often to measure."""

    def __init__(self, folder: Path, pairs: int) -> None:
        self.folder = folder
        self.pairs = pairs
        # Installed packages come with their bytecode; here it is kept apart from everything else.
        self.variables = {
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
            "DO_NOT_TRACK": "1",
        }

    def create(self, project: Path, *options: str, fresh: bool = True) -> Command:
        """Return `dagforge create` for a project, into an empty folder if `fresh`."""
        words = [DAGFORGE, "create", *options]
        prepare = partial(shutil.rmtree, project / "dags", ignore_errors=True) if fresh else None
        return Command("dagforge create", words, project, self.variables, prepare or (lambda: None))

    def dagforge(self, project: Path, command: str, *options: str) -> Command:
        """Return a command that only prints."""
        words = [DAGFORGE, command, "--quiet", *options]
        return Command(f"dagforge {command}", words, project, self.variables)

    def python(self, name: str, *arguments: str | Path) -> Command:
        """Return a run of this interpreter."""
        return Command(name, [sys.executable, *arguments], self.folder, self.variables)

    def kedro(self, project: Path, *arguments: str) -> Command:
        """Return a run of Kedro's interpreter in a project, with DagForge from here."""
        words = [python_of("kedro-1.7"), *arguments]
        folders = os.pathsep.join([str(project / "src"), str(ROOT)])
        variables = {**self.variables, "PYTHONPATH": folders}
        prepare = partial(shutil.rmtree, project / "dags", ignore_errors=True)
        return Command(" ".join(arguments[1:4]), words, project, variables, prepare)

    def kedro_alone(self, project: Path) -> Command:
        """Return what loads a Kedro project and compiles nothing."""
        logging = self.folder / "logging.yml"
        logging.write_text(SILENT)
        command = self.kedro(project, "-c", LOAD_KEDRO)
        variables = {**command.variables, "KEDRO_LOGGING_CONFIG": str(logging)}
        return replace(command, name="Kedro and the project", variables=variables)

    def forget_bytecode(self) -> None:
        """Remove what was compiled of every package, as in an image that has none."""
        shutil.rmtree(self.variables["PYTHONPYCACHEPREFIX"], ignore_errors=True)

    def yaml_load(self, project: Path) -> Command:
        """Return what reads a project's YAML with PyYAML and its C parser, and nothing else."""
        return self.python("yaml.load", "-c", LOAD, project / "conf")

    def spaceflights(self) -> Path:
        """Return a copy of the demo project."""
        project = self.folder / "spaceflights"
        if not project.exists():
            shutil.copytree(ROOT / "conf", project / "conf")
            text = '[tool.dagforge]\nproject = "spaceflights"\n'
            (project / "pyproject.toml").write_text(text)
        return project

    def generated(self, name: str, pipelines: int, nodes: int, group: int | None) -> Path:
        """Return a project of that size, written when it is first asked for."""
        project = self.folder / name
        if not project.exists():
            write_project(project, pipelines=pipelines, nodes=nodes, group=group)
        return project


def startup(bench: Bench) -> None:
    """Compile spaceflights, against importing what every run imports."""
    project = bench.spaceflights()
    imports = bench.python("imports", "-c", IMPORTS)
    first = compare(bench.create(project), imports, bench.pairs)
    show("spaceflights / importing its libraries", first, "at most 2.0")
    again = compare(bench.create(project, fresh=False), imports, bench.pairs)
    show("the same when the file is up to date", again)


def kedro(bench: Bench) -> None:
    """Compile Kedro projects, against kedro-airflow."""
    project = write_kedro_project(bench.folder / "kedro", ROOT / "conf")
    ours, theirs = bench.create(bench.spaceflights()), bench.kedro(project, *AIRFLOW_CREATE)
    show("kedro airflow create / spaceflights", compare(theirs, ours, bench.pairs), "at least 5")

    example = bench.folder / "example"
    shutil.copytree(ROOT / "examples/kedro-spaceflights", example)
    ours = bench.kedro(example, "-m", "dagforge", "create", "--all")
    theirs = bench.kedro(example, *AIRFLOW_CREATE, "--all")
    alone = bench.kedro_alone(example)
    text = "the example as a Kedro project"
    show(
        f"dagforge / kedro airflow create --all, {text}",
        compare(ours, theirs, bench.pairs),
        "at most 1.0",
    )
    show(
        "    / loading the project",
        compare(ours, alone, bench.pairs),
        "at most 0.4 s more",
    )
    cold = [replace(command, prepare=bench.forget_bytecode) for command in (ours, theirs)]
    show("the same with no bytecode anywhere", compare(*cold, 2), "at most 1.0")

    large = write_kedro_namespaces(bench.folder / "namespaces", 20, 1_000)
    grouped = ("--group-by", "namespace")
    ours = bench.kedro(large, "-m", "dagforge", "create", *grouped)
    theirs = bench.kedro(large, *AIRFLOW_CREATE, *grouped)
    alone = bench.kedro_alone(large)
    text = "20,000 nodes in 20 namespaces"
    show(f"dagforge / kedro airflow create, {text}", compare(ours, theirs, bench.pairs))
    show("    / loading the project", compare(ours, alone, bench.pairs))


def scale(bench: Bench) -> None:
    """Compile large projects, against reading their YAML."""
    many = bench.generated("many", 500, 40, 4)
    one = bench.generated("one", 1, 20_000, 4)
    alone = bench.generated("alone", 1, 20_000, None)
    quarter = bench.generated("quarter", 1, 5_000, 4)
    for project, text, target in (
        (many, "500 pipelines of 40 nodes, in 5,000 pods", "at most 2.5, under 500 MB"),
        (one, "20,000 nodes, 60,000 edges, in 5,000 pods", "at most 2.5, under 500 MB"),
        (alone, "20,000 nodes, 60,000 edges, a pod each", "under 1,200 MB"),
    ):
        pair = bench.create(project, *PODS), bench.yaml_load(project)
        show(f"{text} / yaml.load", compare(*pair, bench.pairs), target)
    pair = bench.create(many), bench.yaml_load(many)
    show("500 pipelines, tasks in the worker / yaml.load", compare(*pair, bench.pairs))
    pair = bench.create(one, *PODS), bench.create(quarter, *PODS)
    show("20,000 nodes / 5,000 nodes", compare(*pair, bench.pairs), "at most 4.6")


def check(bench: Bench) -> None:
    """Check 500 pipelines that are up to date, against git and reading the same files."""
    project = bench.generated("many", 500, 40, 4)
    subprocess.run(
        [DAGFORGE, "create", "--quiet", *PODS],
        cwd=project,
        env={**os.environ, **bench.variables},
        check=True,
    )
    commit(project)
    status = Command("git status and reading", ["sh", "-c", READ_ALL], project)
    ours = bench.create(project, "--check", "--quiet", *PODS, fresh=False)
    text = "create --check, 500 pipelines, nothing changed"
    show(f"{text} / git status and reading the files", compare(ours, status, bench.pairs))
    made = bench.create(project, "--quiet", *PODS)
    show("    / making them", compare(ours, made, bench.pairs), "at most 1.0")
    spaceflights = bench.spaceflights()
    subprocess.run([DAGFORGE, "create", "--quiet"], cwd=spaceflights, check=True)
    ours = bench.create(spaceflights, "--check", "--quiet", fresh=False)
    imports = bench.python("imports", "-c", IMPORTS)
    show(
        "create --check, spaceflights / importing its libraries",
        compare(ours, imports, bench.pairs),
    )
    shutil.rmtree(project / ".git")


def diff(bench: Bench) -> None:
    """Compare large projects with their last commit, against compiling them once."""
    for name, size, text in (
        ("reviewed", (500, 40, 4), "500 pipelines of 40 nodes"),
        ("reviewed-one", (1, 20_000, None), "20,000 nodes, a pod each"),
    ):
        project = bench.generated(name, *size)
        if not (project / ".git").exists():
            commit(project)
        settings = project / "conf" / "base" / "airflow.yml"
        settings.write_text(settings.read_text().replace("retries: 2", "retries: 3"))
        pair = bench.dagforge(project, "diff", *PODS), bench.dagforge(project, "show", *PODS)
        show(f"diff of {text} / dagforge show", compare(*pair, bench.pairs), "at most 3")


def commit(project: Path) -> None:
    """Make a repository of a project, with one commit."""
    person = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "-m", "all")):
        subprocess.run(["git", *person, *words], cwd=project, check=True)


def graph(bench: Bench) -> None:
    """Draw large pipelines, against compiling them without a picture."""
    one = bench.generated("one", 1, 20_000, 4)
    quarter = bench.generated("quarter", 1, 5_000, 4)
    plain = bench.dagforge(one, "show")
    for form, target in (("mermaid", "at most 3"), ("svg", "at most 10")):
        drawn = bench.dagforge(one, "graph", "--format", form)
        text = f"20,000 nodes, 60,000 edges as {form} / dagforge show"
        show(text, compare(drawn, plain, bench.pairs), target)
        pair = drawn, bench.dagforge(quarter, "graph", "--format", form)
        show("20,000 nodes / 5,000 nodes", compare(*pair, bench.pairs), "at most 4.6")


def report(bench: Bench) -> None:
    """Write the page about a pipeline with its three drawings, against two drawings alone."""
    large = bench.generated("large", 1, 2_000, 4)
    page = bench.dagforge(large, "report", "-o", "-")
    drawn = bench.dagforge(large, "graph", "--by", "both", "--format", "svg")
    text = "report of 2,000 nodes, 6,000 edges / dagforge graph --by both, as svg"
    show(text, compare(page, drawn, bench.pairs), "at most 2.5")
    small = bench.dagforge(bench.generated("small", 1, 500, 4), "report", "-o", "-")
    show("2,000 nodes / 500 nodes", compare(page, small, bench.pairs), "at most 4.6")


def advise(bench: Bench) -> None:
    """Advise on large pipelines, against compiling them."""
    one = bench.generated("one", 1, 20_000, 4)
    quarter = bench.generated("quarter", 1, 5_000, 4)
    # Without their tags, so that everything is to be decided; of nodes that take seconds.
    words = ("--group-by", "none", "--node-duration", "5s", "--format", "json")
    large, small = (bench.dagforge(each, "advise", *words) for each in (one, quarter))
    text = "advice on 20,000 nodes, 60,000 edges / dagforge show"
    show(text, compare(large, bench.dagforge(one, "show"), bench.pairs), "under 10 s")
    show("20,000 nodes / 5,000 nodes", compare(large, small, bench.pairs), "at most 4.6")


BUILD_DRIVER = """\
import sys
sys.path.insert(0, sys.argv[1])
import big
from hamilton import base, driver
driver.Builder().with_config({}).with_modules(big).with_adapters(base.DictResult()).build()
"""


def hamilton(bench: Bench) -> None:
    """Load and plan a module of 1,000 functions, against Hamilton building its driver."""
    project = bench.folder / "hamilton"
    write_hamilton_project(project, functions=1_000)
    built = bench.python("Hamilton", "-c", BUILD_DRIVER, project)
    planned = bench.dagforge(project, "list")
    show("1,000 functions / Hamilton", compare(planned, built, bench.pairs), "at most 1.3")


POLICY = """
[tool.dagforge.policy]
owner = {required = true, one-of = ["data-platform"]}
tags = {pattern = "[a-z]+"}
retries = {min = 1, max = 5}
retry_delay = {min = "1m"}
execution_timeout = {max = "6h"}
image = {registries = ["registry.example.com"], latest = false}
resources = {required = ["requests.cpu", "limits.memory"]}
schedule = {between = "22:00-06:00"}
task_id = {max-length = 60}
dag_id = {pattern = ".*"}
"""


def policy(bench: Bench) -> None:
    """Compile a large project with ten rules, and looked through for secrets, against without."""
    many = bench.generated("many", 500, 40, 4)
    ruled, suspected = bench.folder / "ruled", bench.folder / "suspected"
    for copy in (ruled, suspected):
        shutil.copytree(many, copy, ignore=shutil.ignore_patterns("dags"))
    with (ruled / "pyproject.toml").open("a") as file:
        file.write(POLICY)
    for path in suspected.glob("conf/base/pipelines/*.yml"):
        # A word that makes DagForge look at every value of the file.
        path.write_text(path.read_text().replace("description: ", "description: a token, ", 1))
    plain = bench.create(many, *PODS)
    ten = compare(bench.create(ruled, *PODS), plain, bench.pairs)
    show("500 pipelines in 5,000 pods with ten rules / without", ten, "at most 1.1")
    looked = compare(bench.create(suspected, *PODS), plain, bench.pairs)
    show("the same, each value looked at / without", looked, "at most 1.05")


def dagbag(bench: Bench) -> None:
    """Load what was generated in Airflow, against DAGs by hand and against dag-factory."""
    project = bench.generated("hundred", 100, 10, None)
    ours = bench.folder / "dags" / "ours"
    words = ["--target", "airflow", "--airflow-version", "3.3", "--output-dir", str(ours)]
    subprocess.run(
        [DAGFORGE, "create", "--all", "--quiet", *words],
        cwd=project,
        env={**os.environ, **bench.variables},
        check=True,
    )
    hand = write_by_hand(bench.folder / "dags" / "hand", project)
    factory = write_for_dag_factory(bench.folder / "dags" / "factory", project)
    text = "100 DAGs of 10 tasks in the DagBag"
    seconds = load_dags(bench, "airflow-3.3", ours, hand)
    show_seconds(f"{text}: ours / minimal, by hand", seconds[ours], seconds[hand], "at most 1.1")
    seconds = load_dags(bench, "dag-factory", factory, ours)
    show_seconds(f"{text}: dag-factory / ours", seconds[factory], seconds[ours])


def task(bench: Bench) -> None:
    """Run an empty task as a generated DAG does, against importing its module."""
    project = bench.folder / "task"
    for file, text in {
        "conf/base/pipelines.yml": 'empty: {nodes: [{name: nothing, func: "work:nothing"}]}\n',
        "work.py": "def nothing():\n    return None\n",
    }.items():
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        (project / file).write_text(text)
    words = [DAGFORGE, "run", "empty", "--nodes", "nothing", "--task", "b/empty/nothing"]
    run = Command("dagforge run", [*words, "--run-id", "r"], project, bench.variables)
    words = [sys.executable, "-c", "import work"]
    comparison = compare(run, Command("import", words, project, bench.variables), bench.pairs)
    show("an empty task / importing its module", comparison)


def store(bench: Bench) -> None:
    """Save and load a table of 500 MB through the store, against pandas alone."""
    from benchmarks.store import main

    main(bench.pairs)


def load_dags(bench: Bench, environment: str, *folders: Path) -> Mapping[Path, list[float]]:
    """Return the processor seconds that a real DagBag takes for each folder, round by round."""
    home = bench.folder / "airflow"
    variables = {
        **bench.variables,
        "PYTHONPATH": str(bench.folder / "dags" / "factory"),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    script = Path(__file__).with_name("dagbag.py")
    words = [python_of(environment), script, str(bench.pairs), *folders]
    done = subprocess.run(
        [str(word) for word in words],
        cwd=bench.folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"the DagBag of {environment} failed:\n{done.stderr[-3000:]}")
    answer = read_answer(done.stdout)
    for folder, found in answer["found"].items():
        if found != [100, 1000]:
            sys.exit(f"{folder}: found {found[0]} DAGs and {found[1]} tasks, not 100 and 1000")
    return {Path(folder): seconds for folder, seconds in answer["seconds"].items()}


def python_of(environment: str) -> Path:
    """Return the interpreter of an environment that `make bench` installs."""
    python = ROOT / ".venvs" / environment / "bin" / "python"
    if not python.exists():
        sys.exit(f"the environment {environment} is missing: run make bench")
    return python


def show(text: str, comparison: Comparison, target: str = "") -> None:
    """Print a comparison of two processes."""
    cpu = comparison.ratios(lambda cost: cost.cpu)
    wall = comparison.ratios(lambda cost: cost.wall)
    _headline(text, target)
    print(f"    cpu {_spread(cpu)}   clock {_spread(wall)}")
    for command, costs in zip((comparison.one, comparison.other), comparison.costs(), strict=True):
        print(f"    {command.name:<22}{_cost(costs)}", flush=True)


def show_seconds(text: str, one: Sequence[float], other: Sequence[float], target: str = "") -> None:
    """Print a comparison within one process."""
    ratios = sorted(first / second for first, second in zip(one, other, strict=True))
    _headline(text, target)
    print(f"    cpu {_spread(ratios)}   {median(one):.3f} s / {median(other):.3f} s", flush=True)


def _headline(text: str, target: str) -> None:
    print(f"{text}{f'   target: {target}' if target else ''}")


def _spread(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def _cost(costs: Sequence[Cost]) -> str:
    cpu = median([cost.cpu for cost in costs])
    wall = median([cost.wall for cost in costs])
    peak = max(cost.peak for cost in costs) / 1e6
    return f"{cpu:8.3f} s cpu {wall:8.3f} s clock {peak:7.0f} MB at most"


GROUPS: dict[str, Callable[[Bench], None]] = {
    "startup": startup,
    "kedro": kedro,
    "scale": scale,
    "check": check,
    "diff": diff,
    "graph": graph,
    "report": report,
    "advise": advise,
    "hamilton": hamilton,
    "policy": policy,
    "dagbag": dagbag,
    "task": task,
    "store": store,
}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("-n", "--pairs", type=int, default=5, help="runs of each  [default: 5]")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in GROUPS]
    if unknown:
        parser.error(f"there is no {unknown[0]}; choose of {', '.join(GROUPS)}")
    print(
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} processors; medians of {arguments.pairs} pairs, run in turn"
    )
    with tempfile.TemporaryDirectory(prefix="dagforge-bench-") as folder:
        bench = Bench(Path(folder), arguments.pairs)
        for name in arguments.names or GROUPS:
            print(f"\n{name}: {GROUPS[name].__doc__}")
            try:
                GROUPS[name](bench)
            except FailedError as error:
                sys.exit(str(error))


if __name__ == "__main__":
    main()
