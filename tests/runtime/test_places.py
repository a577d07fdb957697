"""Where data lie: readable, and never two things in one place."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagforge.runtime.places import RunPlace, slug

TEXT = st.text(st.characters(exclude_categories=()), max_size=120)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model_input_table", "model_input_table"),
        ("a.b-c", "a.b-c"),
        ("scheduled__2023-01-01T00:00:00+00:00", "scheduled__2023-01-01T00-00-00-00-00-ef111c6c"),
        ("a/b", "a-b-c14cddc0"),
        ("a b", "a-b-c8687a08"),
        ("007", "r-007-629f4cf9"),
        ("", "r-e3b0c442"),
        ("..", "r-5ec1f7e7"),
        ("_tasks", "r-tasks-93824e51"),
        ("x" * 100, "x" * 71 + "-09ecb6eb"),
    ],
)
def test_readable_part_of_a_path(text: str, expected: str) -> None:
    assert slug(text) == expected


@given(TEXT)
def test_one_safe_part_whatever_the_text(text: str) -> None:
    found = slug(text)
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,79}", found)


@given(TEXT, TEXT)
def test_different_texts_have_different_places(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) == (one == other)


def test_teams_environments_dags_and_runs_never_meet() -> None:
    places = [
        RunPlace(project, env, dag_id, run_id)
        for project in ("team_a", "team_b")
        for env in (None, "prod")
        for dag_id in ("daily", "daily-all")
        for run_id in ("r1", "r2")
    ]
    folders = {place.dataset("features") for place in places}
    assert len(folders) == len(places)
    assert RunPlace("p", None, "d", "r").path == "p/base/d/r"


def test_no_run_or_dataset_is_taken_for_what_dagforge_keeps() -> None:
    place = RunPlace("p", None, "d", "_structures")
    assert place.path != RunPlace("p", None, "d", "r").structure("x").rpartition("/")[0]
    assert place.dataset("_tasks") != place.task("x").rpartition("/")[0]
