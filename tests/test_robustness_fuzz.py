"""Random changes to the demo's files: DAG files that compile, or problems that say where."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagforge.build import Request, build
from dagforge.errors import DagForgeError
from dagforge.report import as_github, as_json, as_sarif, as_text

CONF = Path(__file__).parents[1] / "conf"
TARGETS = ("airflow", "airflow-k8s", "airflow-gke", "prefect")
EXAMPLES = int(os.environ.get("DAGFORGE_FUZZ_EXAMPLES", "150"))
SCALARS = (
    *("", "null", "~", "true", "no", "0", "-1", "5", "1.5", ".nan", ".inf", "-.inf", "1e400"),
    *("99999999999999999999", "2024-02-30", "[2023, 1, 1]", "0123", "5:00", "@daily", '"@daily"'),
    *('"0 0 31 2 *"', '"R * * * *"', "5m", "P1Y", "Europe/Warsaw", "[]", "{}", "[[]]", "{a: b}"),
    *("{import: os}", '{import: "os:path"}', '{call: "a:B", args: {x: {import: 5}}}', "{call: 5}"),
    *('{literal: "{{ x }}"}', "{literal: [1]}", '"{{ ds }}"', '"{{ ds"', '"{% if %}"', "${env:X}"),
    *("*a", "&a b", "&a [*a]", "!!python/name:os.system", "|", ">-"),
    *('"', "'", "]", "}", ", ,", "<<"),
    *('"\\0"', '"\\e[31m"', '"\\u202e"', '"a\\nb"', "zażółć", "数据", "🚀", "../x", "a/b", "-p"),
    *("class", "None", "dag", "data_science", "split_data_node", "model_input_table", "params:x"),
    *('["airflow:split", "airflow:x"]', '[machine:big]', "airflow:split", "x" * 300),
    '"' + "y" * 70,
)  # fmt: skip


@cache
def demo() -> Mapping[str, str]:
    """Return the texts of the demo's files by path."""
    return {
        path.relative_to(CONF).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(CONF.rglob("*.yml"))
    }


def lines_of(name: str) -> int:
    return demo()[name].count("\n")


@st.composite
def changes(draw: st.DrawFn) -> dict[str, str]:
    """Draw the demo's files with a few lines changed."""
    texts = dict(demo())
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(sorted(texts)))
        lines = texts[name].split("\n")
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        how = draw(
            st.sampled_from(
                ("scalar", "key", "delete", "twice", "swap", "indent", "text", "cut", "move")
            )
        )
        if how == "scalar":
            key, colon, _ = line.partition(": ")
            dash = key[: len(key) - len(key.lstrip())] + "- "
            value = draw(st.sampled_from(SCALARS))
            lines[at] = f"{key}: {value}" if colon else f"{dash}{value}"
        elif how == "key":
            _, colon, value = line.partition(":")
            space = line[: len(line) - len(line.lstrip())]
            lines[at] = f"{space}{draw(st.sampled_from(SCALARS))}{colon or ':'}{value}"
        elif how == "delete":
            del lines[at]
        elif how == "twice":
            lines.insert(at, line)
        elif how == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], line
        elif how == "indent":
            lines[at] = draw(st.sampled_from((" ", "  ", "\t", "- "))) + line
        elif how == "text":
            place = draw(st.integers(0, len(line)))
            more = draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=4))
            lines[at] = line[:place] + more + line[place:]
        elif how == "cut":
            lines[at] = line[: draw(st.integers(0, len(line)))]
        else:
            source = draw(st.sampled_from(sorted(demo())))
            others = demo()[source].split("\n")
            lines.insert(at, others[draw(st.integers(0, len(others) - 1))])
        texts[name] = "\n".join(lines)
    return texts


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
@given(changes(), st.sampled_from(TARGETS), st.sampled_from((None, "cloud")))
def test_any_change_gives_files_or_problems(
    texts: dict[str, str], target: str, env: str | None
) -> None:
    root = Path(tempfile.mkdtemp())
    try:
        for name, text in texts.items():
            path = root / "conf" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        check(root, texts, target, env)
    finally:
        shutil.rmtree(root)


def check(root: Path, texts: Mapping[str, str], target: str, env: str | None) -> None:
    """Build the project and say what must hold of what comes out."""
    try:
        found = build(Request(root=root, every=True, target=target, env=env, environ={}))
    except DagForgeError as error:
        problems = error.problems
        assert any(problem.severity == "error" for problem in problems)
    else:
        problems = found.warnings
        assert all(problem.severity == "warning" for problem in problems)
        assert found.files
        for file in found.files:
            compile(file.text, file.path, "exec")
    for problem in problems:
        at = problem.location
        assert at is not None, problem
        assert at.file.startswith("conf/"), problem
        if at.line is not None:
            lines = texts[at.file.removeprefix("conf/")].splitlines() or [""]
            assert 1 <= at.line <= len(lines), problem
            if at.column is not None:
                assert 1 <= at.column <= len(lines[at.line - 1]) + 1, problem
        assert problem.message
        assert str(problem).count("\n") <= 12, problem
    for tell in (as_text, as_json, as_github):
        assert tell(problems) or not problems
    assert as_sarif(problems, "0")
