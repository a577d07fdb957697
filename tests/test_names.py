"""Names that others will see, and names that Kubernetes and Python take."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slugify import slugify

from dagforge.names import identifiers, module_stem, pod_names, slug


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        (["load"], ["shop-load"]),
        (["a-b", "a.b", "a_b"], ["shop-a-b", "shop-a-b-5bbf04d9", "shop-a-b-fd1d1e84"]),
        (["żółw"], ["shop-zolw"]),
        (["n" * 60], ["shop-" + "n" * 40 + "-5257894b"]),
        (["?"], ["shop"]),
        (["?", "!"], ["shop-37436dee", "shop-d29cc19b"]),
    ],
)
def test_pod_names(tasks: list[str], expected: list[str]) -> None:
    names = pod_names("shop", tasks)
    assert list(names.values()) == expected


def test_pod_names_are_dns_labels_that_leave_room_for_a_suffix() -> None:
    for dag_id in ("shop", "日本", "...", "d" * 250):
        tasks = ["a.b", "a_b", "-", "--", "1", "x" * 250, "x" * 249 + "y", "日", "本", ""]
        names = list(pod_names(dag_id, tasks).values())
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,52}[a-z0-9])?", name) for name in names)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["load", "Load"], ["load", "Load"]),
        (["a.b", "a_b"], ["a_b_2e7336dc", "a_b"]),
        (["class", "match", "print"], ["class_", "match_", "print"]),
        (["1st", "żółw"], ["task_1st", "zolw"]),
        (["DAG"], ["DAG_c2e154fb"]),
        (["n" * 51], ["n" * 41 + "_9feeed8a"]),
        (["n" * 50], ["n" * 50]),
    ],
)
def test_identifiers(texts: list[str], expected: list[str]) -> None:
    assert list(identifiers(texts, {"DAG"}).values()) == expected


def test_identifiers_with_suffixes_do_not_meet() -> None:
    names = identifiers(["load", "load_run"], (), suffixes=["_run"])
    assert names["load"] == "load"
    assert names["load_run"] != "load_run"


@pytest.mark.parametrize(
    ("dag_id", "stem"),
    [
        ("shop-sales", "shop_sales"),
        ("v1.2", "v1_2"),
        ("2024", "dag_2024"),
        ("import", "import_"),
        ("日本", "dag_cf2abf0c"),
    ],
)
def test_module_stem(dag_id: str, stem: str) -> None:
    assert module_stem(dag_id) == stem


def test_slug() -> None:
    assert [slug(text) for text in ("A b_c", "Straße", "日本", "?")] == [
        "a-b-c",
        "strasse",
        "ri-ben",
        "",
    ]


@given(
    st.from_regex(r"[A-Za-z0-9_.:-]{0,30}", fullmatch=True), st.sampled_from("-_"), st.booleans()
)
def test_a_plain_name_is_spelled_as_slugify_spells_it(
    text: str, separator: str, lowercase: bool
) -> None:
    assert slug(text, separator, lowercase) == slugify(
        text, separator=separator, lowercase=lowercase
    )
