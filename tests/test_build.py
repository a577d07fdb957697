"""The program as a whole: all problems of a run at once, and the same bytes everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dagforge.build import Request, attempt, build
from dagforge.errors import DagForgeError, UsageError
from tests.projects import AIRFLOW, PIPELINES, build_project, problems_of, write_project

IMAGE = "image: 'registry/image:1'"
GOOD = f"""
    default: {{{IMAGE}, schedule: '@daily', retries: 2}}
    """
TWO = """
    first:
      nodes:
        - {name: a, func: "m:f", outputs: x, tags: ["airflow:g"]}
        - {name: b, func: "m:f", inputs: x, outputs: y}
        - {name: c, func: "m:f", inputs: y, tags: ["airflow:g"]}
    second:
      nodes:
        - {name: a, func: "m:f", outputs: x}
        - {name: b, func: "m:f", inputs: x}
    """
TEMPLATE = {
    "tpl/templates.yaml": "template_api: 1\n",
    "tpl/airflow/tasks/worker.py.jinja": "{{ nope }}\n",
}


def codes_of(root: Path, files: Mapping[str, str], **request: Any) -> list[str]:
    """Return code and file of every error, in their order."""
    with pytest.raises(DagForgeError) as caught:
        build_project(root, files, render=True, **{"every": True, **request})
    problems = caught.value.problems
    assert len({str(problem) for problem in problems}) == len(problems)
    errors = [problem for problem in problems if problem.severity == "error"]
    assert list(problems[: len(errors)]) == errors
    return [f"{problem.code} {_file(problem)}".strip() for problem in errors]


def _file(problem: Any) -> str:
    return Path(problem.location.file).name if problem.location else ""


# --- all problems at once


@pytest.mark.parametrize(
    ("airflow", "expected"),
    [
        # The cycle of one pipeline and what is wrong elsewhere.
        (f"default: {{{IMAGE}, retries: many}}", ["wrong-type airflow.yml", "group-cycle"]),
        (f"default: {{{IMAGE}, schedule: '61 * * * *'}}", ["group-cycle", "bad-schedule"]),
        (f"default: {{{IMAGE}, retry_delay: 5 minutes}}", ["group-cycle", "wrong-value"]),
        (f"default: {{{IMAGE}, retires: 5}}", ["group-cycle", "unknown-setting"]),
        (f"default: {{{IMAGE}}}\nfirst: {{retires: 5}}", ["group-cycle", "unknown-setting"]),
        (f"default: {{{IMAGE}}}\nfirst: {{schedule: x}}", ["group-cycle", "bad-schedule"]),
        (f"default: {{{IMAGE}}}\nsecond: {{schedule: x}}", ["group-cycle", "bad-schedule"]),
        (f"default: {{{IMAGE}}}\nsecnd: {{retries: 1}}", ["unknown-section", "group-cycle"]),
        (
            f"default: {{{IMAGE}, machines: {{m: {{requests: {{cpu: 1c}}}}}}}}",
            ["group-cycle", "bad-quantity"],
        ),
        # What was refused once has no second problem that follows from it.
        ("default: {image: 5}", ["wrong-type airflow.yml", "group-cycle"]),
        (f"default: {{{IMAGE}, grouping: [1]}}", ["wrong-type airflow.yml"]),
        (f"default: {{{IMAGE}}}\nfirst: {{grouping: [1]}}", ["wrong-type airflow.yml"]),
        (f"default: {{{IMAGE}}}\nfrst: {{grouping: none}}", ["unknown-section airflow.yml"]),
        ("deflt: {image: i}", ["unknown-section airflow.yml", "group-cycle"]),
        (
            f"default: {{{IMAGE}, catchup: true, start_date: 5}}",
            ["wrong-type airflow.yml", "group-cycle"],
        ),
        (f"default: {{{IMAGE}, timezone: Mars}}", ["group-cycle", "wrong-value airflow.yml"]),
    ],
)
def test_no_problem_hides_another(airflow: str, expected: list[str], tmp_path: Path) -> None:
    found = codes_of(tmp_path, {PIPELINES: TWO, AIRFLOW: airflow})
    assert sorted(code for code in found) == sorted(
        next(code for code in found if code.startswith(start)) for start in expected
    )


def test_problems_of_several_pipelines_files_and_stages(tmp_path: Path) -> None:
    files = {
        PIPELINES: TWO
        + """
    third:
      nodes: [{name: a, func: "m:f", inputs: nothing}]
    fourth:
      nodes: [{name: a, func: "no path"}]
    """,
        "conf/base/pipelines/more.yml": "fifth: {nodes: []}",
        AIRFLOW: f"default: {{{IMAGE}, retries: many}}\nsecond: {{schedule: never}}",
        "conf/base/dagforge.yml": "default: {labels: [x]}\nsixth: {}",
    }
    assert codes_of(tmp_path, files) == [
        "empty-pipeline more.yml",
        "unknown-dataset pipelines.yml",
        "function-path pipelines.yml",
        "wrong-type dagforge.yml",
        "unknown-section dagforge.yml",
        "wrong-type airflow.yml",
        "group-cycle pipelines.yml",
        "bad-schedule airflow.yml",
    ]


def test_a_template_that_fails_hides_nothing(tmp_path: Path) -> None:
    files = {
        **TEMPLATE,
        PIPELINES: TWO,
        AIRFLOW: f"default: {{{IMAGE}}}\nsecond: {{for_tasks: {{a: {{pool: p}}}}}}",
    }
    found = codes_of(tmp_path, files, target="airflow", templates=tmp_path / "tpl")
    assert found == ["group-cycle pipelines.yml", "template-undefined worker.py.jinja"]


def test_a_team_template_may_read_what_is_unknown(tmp_path: Path) -> None:
    """Of a template that did not run, nobody knows what it would have read."""
    files = {**TEMPLATE, PIPELINES: TWO, AIRFLOW: f"default: {{{IMAGE}, channel: a}}"}
    found = codes_of(tmp_path, files, target="airflow", templates=tmp_path / "tpl")
    assert "unknown-setting airflow.yml" not in found


@pytest.mark.parametrize(
    "files",
    [
        {PIPELINES: "etl: {nodes: [{name: load, func: 'm:f', settings: {retires: 1}}]}"},
        {AIRFLOW: f"default: {{{IMAGE}, for_tasks: {{load: {{retires: 1}}}}}}"},
        {AIRFLOW: f"default: {{{IMAGE}, default_args: {{retires: 1}}}}"},
        {AIRFLOW: f"default: {{{IMAGE}, for_tags: {{'machine:small': {{retires: 1}}}}}}"},
    ],
)
def test_a_setting_that_nobody_knows_is_refused_wherever_it_stands(
    files: dict[str, str], tmp_path: Path
) -> None:
    files = {AIRFLOW: f"default: {{{IMAGE}}}", **files}
    with pytest.raises(DagForgeError) as caught:
        build_project(tmp_path, files, target="airflow", render=True)
    (problem,) = (each for each in caught.value.problems if each.severity == "error")
    assert problem.message == "there is no setting 'retires', and no template reads such a variable"
    assert problem.fix == "did you mean 'retries'?"
    assert problem.location is not None


def test_a_file_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    files = {PIPELINES: "etl: [", AIRFLOW: "default: {a: 1, a: 2}", "conf/base/dagforge.yml": "@"}
    told = problems_of(tmp_path, files)
    assert [text.split(":")[0] for text in told] == [
        "conf/base/pipelines.yml",
        "conf/base/dagforge.yml",
        "conf/base/airflow.yml",
    ]


def test_the_command_line_is_wrong_among_other_things(tmp_path: Path) -> None:
    files = {AIRFLOW: f"default: {{{IMAGE}, retries: many}}"}
    write_project(tmp_path, files)
    with pytest.raises(UsageError) as caught:
        build(Request(root=tmp_path, pipelines=("etl", "elt"), templates=tmp_path / "no"))
    assert [problem.code for problem in caught.value.problems] == [
        "unknown-pipeline",
        "wrong-type",
        "no-templates",
    ]


def test_the_project_lists_a_pipeline_that_is_not_there(tmp_path: Path) -> None:
    files = {"dagforge.toml": 'pipelines = ["etl", "elt"]', AIRFLOW: "default: {retries: many}"}
    write_project(tmp_path, files)
    with pytest.raises(DagForgeError) as caught:
        build(Request(root=tmp_path))
    assert caught.value.exit_code == 1
    assert [str(problem.location) for problem in caught.value.problems] == [
        "dagforge.toml:1:13",
        "conf/base/airflow.yml:1:20",
    ]


def test_an_attempt_gives_what_can_be_had(tmp_path: Path) -> None:
    write_project(tmp_path, {PIPELINES: TWO, AIRFLOW: GOOD})
    found = attempt(Request(root=tmp_path, every=True))
    assert [dag.pipeline.name for dag in found.dags] == ["second"]
    assert [problem.code for problem in found.problems] == ["group-cycle"]
    assert (found.files, found.warnings, found.misused) == ((), (), False)


def test_keys_that_match_nothing_are_told_beside_other_errors(tmp_path: Path) -> None:
    files = {
        PIPELINES: TWO.replace('tags: ["airflow:g"]', "tags: [t]"),
        AIRFLOW: f"""
            default: {{{IMAGE}, for_tasks: {{aa: {{retries: 1}}}}, for_tags: {{t: {{retries: 1}}}}}}
            first: {{dag_id: same}}
            second: {{dag_id: same}}
            """,
    }
    assert codes_of(tmp_path, files) == ["id-collision pipelines.yml", "no-match airflow.yml"]


# --- strict


def test_strict_makes_errors_of_warnings(tmp_path: Path) -> None:
    write_project(tmp_path, {AIRFLOW: f"default: {{{IMAGE}, machines: {{small: {{}}}}}}"})
    request = Request(root=tmp_path, target="prefect")
    assert [problem.severity for problem in build(request).problems] == ["warning"]
    with pytest.raises(DagForgeError) as caught:
        build(request, strict=True)
    assert [problem.severity for problem in caught.value.problems] == ["error"]


# --- the same bytes


def files_of(root: Path, target: str, **request: Any) -> dict[str, str]:
    """Return what the command line would write, by path."""
    found = build(Request(root=root, every=True, target=target, **request))
    return {file.path: file.text for file in found.files}


SPACEFLIGHTS = Path(__file__).parents[1]


@pytest.mark.parametrize("target", ["airflow-gke", "prefect"])
def test_the_same_bytes_in_every_process(target: str, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from dagforge.build import *\n"
        f"found = build(Request(Path(sys.argv[1]), every=True, env='cloud', target={target!r}))\n"
        "for file in found.files: sys.stdout.buffer.write((file.path + file.text).encode())\n"
    )
    expected = files_of(SPACEFLIGHTS, target, env="cloud")
    outputs = set()
    for index, (language, zone) in enumerate(
        (("C", "Asia/Tokyo"), ("tr_TR.UTF-8", "America/St_Johns"))
    ):
        here = tmp_path / str(index)
        here.mkdir()
        run = subprocess.run(
            [sys.executable, "-c", program, str(SPACEFLIGHTS)],
            env={
                **os.environ,
                "PYTHONHASHSEED": str(index + 1),
                "PYTHONPATH": str(SPACEFLIGHTS),
                "LANG": language,
                "LC_ALL": language,
                "TZ": zone,
            },
            cwd=here,
            capture_output=True,
            check=True,
        )
        outputs.add(run.stdout.decode())
    assert outputs == {"".join(path + text for path, text in expected.items())}


ONE = "{nodes: [{name: a, func: 'm:f', outputs: x}, {name: b, func: 'm:f', inputs: x}]}"


def test_files_may_be_called_and_parted_as_one_likes(tmp_path: Path) -> None:
    """What is in a file counts; the file's name shows only where a pipeline was defined."""
    settings = {
        "retries": "default: {retries: 3, for_tasks: {a: {retries: 4}}}",
        "image": f"default: {{{IMAGE}, labels: {{b: '1', a: '2'}}}}",
        "schedule": "one: {schedule: '@daily'}",
    }
    found = []
    for number, names in enumerate((("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a"))):
        root = tmp_path / str(number) / "shop"
        write_project(
            root,
            {
                PIPELINES: f"one: {ONE}\ntwo: {{include: [one]}}",
                **{
                    f"conf/base/airflow/{name}.yml": text
                    for name, text in zip(names, settings.values(), strict=True)
                },
            },
        )
        found.append(files_of(root, "airflow-k8s"))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 2


def test_the_working_directory_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_project(tmp_path / "shop", {PIPELINES: f"one: {ONE}", AIRFLOW: GOOD})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    before = files_of(root, "airflow-k8s")
    monkeypatch.chdir(elsewhere)
    assert files_of(root, "airflow-k8s") == before
    monkeypatch.chdir(root)
    assert files_of(Path(os.curdir), "airflow-k8s") == before
