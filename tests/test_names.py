"""Names that others will see, and names that Kubernetes and Python take."""

from __future__ import annotations

import keyword
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slugify import slugify

from dagforge.planning.names import digest, identifiers, module_stem, pod_names, slug


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


SOMEBODY_IS_CALLED_SO = [
    ["a.b", "a_b", f"a_b_{digest('a.b')}"],
    [f"a_b_{digest('a.b')}", f"a_b_{digest('a.b', 12)}", "a.b", "a_b"],
    ["a.b", "a-b", f"a-b-{digest('shop/a.b')}"],
    ["load", "load_run", f"load_run_{digest('load_run')}", f"load_run_{digest('load_run')}_run"],
    ["x" * 99, "x" * 41 + "_" + digest("x" * 99), "x" * 40 + "-" + digest("shop/" + "x" * 99)],
]
texts = st.lists(
    st.one_of(
        st.text("aA.b_-1 ", min_size=1, max_size=6),
        st.text(min_size=1, max_size=60),
        st.sampled_from(["class", "match", "None", "dag", "__file__", "_", "žluťoučký", "日本"]),
        st.sampled_from([name for names in SOMEBODY_IS_CALLED_SO for name in names]),
    ),
    unique=True,
    max_size=12,
)


@pytest.mark.parametrize("tasks", SOMEBODY_IS_CALLED_SO)
def test_a_name_with_a_mark_may_be_somebodys_own(tasks: list[str]) -> None:
    assert len(set(pod_names("shop", tasks).values())) == len(tasks)
    names = identifiers(tasks, (), suffixes=["_run"])
    assert len({*names.values(), *(f"{name}_run" for name in names.values())}) == 2 * len(tasks)


@given(texts, st.sampled_from(["shop", "d" * 60, "日本", "..."]))
def test_pods_have_names_of_their_own(tasks: list[str], dag_id: str) -> None:
    names = pod_names(dag_id, tasks)
    assert list(names) == tasks
    assert len(set(names.values())) == len(tasks)
    for name in names.values():
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,52}[a-z0-9])?", name)


@given(texts, st.sets(st.sampled_from(["dag", "a_b", "load", "task_1"])), st.sampled_from([34, 59]))
def test_variables_are_names_of_their_own(
    tasks: list[str], reserved: set[str], max_length: int
) -> None:
    names = identifiers(tasks, reserved, suffixes=["_run"], max_length=max_length)
    assert list(names) == tasks
    every = [*names.values(), *(f"{name}_run" for name in names.values())]
    assert len(set(every)) == len(every)
    for name in names.values():
        assert name.isidentifier()
        assert name.isascii()
        assert not keyword.iskeyword(name)
        assert len(name) <= max_length
        assert name not in reserved


@given(texts)
def test_a_name_does_not_depend_on_the_order_of_others(tasks: list[str]) -> None:
    """But where two marks meet, of which there is no example yet."""
    there, back = identifiers(tasks, {"dag"}), identifiers(tasks[::-1], {"dag"})
    assert {text: there[text] for text in tasks} == {text: back[text] for text in tasks}
    assert pod_names("shop", tasks) == pod_names("shop", tasks[::-1])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["load", "Load"], ["load", "Load"]),
        (["a.b", "a_b"], ["a_b_2e7336dc", "a_b"]),
        (["class", "match", "print"], ["class_", "match_", "print"]),
        (["1st", "żółw"], ["task_1st", "zolw"]),
        (["DAG"], ["DAG_c2e154fb"]),
        (["__file__", "__x"], ["task_file", "__x"]),
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
