"""Problems as text, JSON, GitHub annotations and SARIF."""

from __future__ import annotations

import json
import re

import click
import pytest

from dagforge.errors import Problem, SourceLocation
from dagforge.report import as_github, as_json, as_sarif, as_text

AT = SourceLocation("conf/base/airflow.yml", 3, 7)
ERROR = Problem("wrong-type", "'retries' must be a number", AT, "drop the quotes")
WARNING = Problem("no-match", "nothing has the tag 'x'", severity="warning")
DETAILED = Problem("group-cycle", "a cycle\n  a -> b\n  b -> a", AT, "first line\nsecond line")
ODD = Problem("odd-name", "100% a:b,c\r\n  ‮\x1b[31m", SourceLocation("a b,c:d%.yml", 1), "x%\ny")


def test_text_is_the_problem_and_the_fix() -> None:
    assert as_text([ERROR]) == (
        "conf/base/airflow.yml:3:7: error: 'retries' must be a number [wrong-type]\n"
        "  fix: drop the quotes"
    )
    assert as_text([WARNING]) == "warning: nothing has the tag 'x' [no-match]"
    assert as_text([]) == ""


def test_the_code_stands_in_the_first_line() -> None:
    assert as_text([DETAILED]) == (
        "conf/base/airflow.yml:3:7: error: a cycle [group-cycle]\n"
        "  a -> b\n"
        "  b -> a\n"
        "  fix: first line\n"
        "       second line"
    )


@pytest.mark.parametrize(
    ("problems", "count"),
    [
        ([ERROR, ERROR], "2 errors"),
        ([WARNING, WARNING], "2 warnings"),
        ([ERROR, WARNING], "1 error and 1 warning"),
        ([ERROR, ERROR, WARNING, WARNING], "2 errors and 2 warnings"),
    ],
)
def test_several_are_counted(problems: list[Problem], count: str) -> None:
    assert as_text(problems).splitlines()[-1] == count


def test_colour_changes_no_letter() -> None:
    found = [ERROR, WARNING, DETAILED]
    coloured = as_text(found, color=True)
    assert "\x1b[31m" in coloured
    assert click.unstyle(coloured) == as_text(found)


def test_what_a_file_says_does_not_reach_the_terminal_as_it_is() -> None:
    for text in (as_text([ODD]), as_json([ODD]), as_sarif([ODD], "1"), as_github([ODD])):
        assert "\x1b" not in text
        assert "‮" not in text


def test_json_has_stable_keys() -> None:
    assert json.loads(as_json([ERROR, WARNING], target="airflow", files=[])) == {
        "target": "airflow",
        "files": [],
        "problems": [
            {
                "code": "wrong-type",
                "severity": "error",
                "message": "'retries' must be a number",
                "file": "conf/base/airflow.yml",
                "line": 3,
                "column": 7,
                "fix": "drop the quotes",
            },
            {
                "code": "no-match",
                "severity": "warning",
                "message": "nothing has the tag 'x'",
                "file": None,
                "line": None,
                "column": None,
                "fix": None,
            },
        ],
    }
    assert json.loads(as_json([])) == {"problems": []}
    assert as_json([ODD]).isascii()
    assert json.loads(as_json([ODD]))["problems"][0]["message"] == ODD.message


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (
            ERROR,
            "::error file=conf/base/airflow.yml,line=3,col=7,title=wrong-type::"
            "'retries' must be a number%0Afix: drop the quotes",
        ),
        (WARNING, "::warning title=no-match::nothing has the tag 'x'"),
        (
            Problem("missing-file", "x", SourceLocation("dags/a.py")),
            "::error file=dags/a.py,title=missing-file::x",
        ),
        (
            ODD,
            "::error file=a b%2Cc%3Ad%25.yml,line=1,title=odd-name::"
            "100%25 a:b,c\\r%0A  \\u202e\\x1b[31m%0Afix: x%25%0Ay",
        ),
    ],
)
def test_github_annotations(problem: Problem, line: str) -> None:
    assert as_github([problem]) == line


def test_an_annotation_is_one_line_and_begins_no_other_command() -> None:
    found = [ERROR, WARNING, DETAILED, ODD, Problem("c", "\n::stop-commands::x\n")]
    lines = as_github(found).splitlines()
    assert len(lines) == len(found)
    assert all(re.match(r"::(error|warning) ", line) for line in lines)


def test_sarif() -> None:
    log = json.loads(as_sarif([ERROR, WARNING, ERROR, ODD], "1.2.3"))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("dagforge", "1.2.3")
    rules = [rule["id"] for rule in driver["rules"]]
    assert rules == ["no-match", "odd-name", "wrong-type"]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == [
        result["ruleId"] for result in run["results"]
    ]
    first, second, _, odd = run["results"]
    assert first == {
        "ruleId": "wrong-type",
        "ruleIndex": 2,
        "level": "error",
        "message": {"text": "'retries' must be a number\nfix: drop the quotes"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "conf/base/airflow.yml"},
                    "region": {"startLine": 3, "startColumn": 7},
                }
            }
        ],
    }
    assert (second["level"], "locations" in second) == ("warning", False)
    place = odd["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b%2Cc%3Ad%25.yml"
    assert place["region"] == {"startLine": 1}


def test_sarif_of_nothing() -> None:
    (run,) = json.loads(as_sarif([], "1"))["runs"]
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])
