"""Machines: quantities as Kubernetes reads them, and which machine a merged task gets."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagforge.planning.machines import Machine, contradict, larger, machine, quantity

POWERS = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}


@st.composite
def sizes(draw: st.DrawFn) -> tuple[str, Fraction]:
    """Return a quantity and what it is worth, worked out in another way."""
    whole = draw(st.integers(0, 10**6))
    places = draw(st.integers(0, 6))
    part = draw(st.integers(0, 10**places - 1))
    number = f"{whole}.{part:0{places}}" if places else str(whole)
    value = Fraction(Decimal(number))
    if draw(st.booleans()):
        power = draw(st.integers(-9, 9))
        sign = draw(st.sampled_from("eE"))
        return f"{number}{sign}{power}", value * Fraction(10) ** power
    suffix = draw(st.sampled_from(sorted(POWERS)))
    return number + suffix, value * POWERS[suffix]


@given(sizes())
def test_a_quantity_is_what_it_says(size: tuple[str, Fraction]) -> None:
    text, value = size
    assert quantity(text) == value
    assert quantity(f"+{text}") == value
    assert quantity(f"-{text}") == -value


@given(st.lists(sizes(), min_size=1, max_size=4))
def test_the_larger_request_wins_however_it_is_written(sizes: list[tuple[str, Fraction]]) -> None:
    machines = [Machine(f"m{i}", {"cpu": text}) for i, (text, _) in enumerate(sizes)]
    assert quantity(larger(machines).requests["cpu"]) == max(value for _, value in sizes)


@given(st.lists(st.tuples(sizes(), sizes()), min_size=1, max_size=4))
def test_a_limit_is_at_least_the_request(sides: list[tuple[Any, Any]]) -> None:
    machines = [
        machine(f"m{i}", {"requests": {"cpu": request}, "limits": {"cpu": limit}})
        for i, ((request, _), (limit, _)) in enumerate(sides)
    ]
    for each in [*machines, larger(machines)]:
        request, limit = quantity(each.requests["cpu"]), quantity(each.limits["cpu"])
        assert request is not None
        assert limit is not None
        assert limit >= request
    highest = max(max(request, limit) for (_, request), (_, limit) in sides)
    assert quantity(larger(machines).limits["cpu"]) == highest


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (1, 1),
        (0.5, Fraction(1, 2)),
        ("1.", 1),
        (".5", Fraction(1, 2)),
        ("1E", 10**18),
        ("1E3", 1000),
        ("1e-3", Fraction(1, 1000)),
        (1e-05, Fraction(1, 10**5)),
        ("100m", Fraction(1, 10)),
    ],
)
def test_forms_of_a_quantity(text: object, value: Fraction) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "64GB",
        "1 Gi",
        "K",
        "1K",
        "1ki",
        "1e",
        "--1",
        "0x10",
        "1_000",
        "١",
        True,
        None,
        [],
        "1\n",
    ],
)
def test_what_is_no_quantity(text: object) -> None:
    assert quantity(text) is None


@pytest.mark.parametrize(
    ("entry", "requests", "limits"),
    [
        ({}, {}, {}),
        ({"requests": None, "limits": None}, {}, {}),
        ({"requests": {"cpu": 1}}, {"cpu": "1"}, {}),
        (
            {"requests": {"memory": "1Gi"}, "limits": {"memory": "500M", "cpu": 2}},
            {"memory": "1Gi"},
            {"memory": "1Gi", "cpu": "2"},
        ),
        ({"gpu": 2}, {"nvidia.com/gpu": "2"}, {"nvidia.com/gpu": "2"}),
        ({"gpu": {"amd.com/gpu": 1}}, {"amd.com/gpu": "1"}, {"amd.com/gpu": "1"}),
    ],
)
def test_an_entry_of_machines(
    entry: dict[str, Any], requests: dict[str, str], limits: dict[str, str]
) -> None:
    found = machine("m", entry)
    assert (found.requests, found.limits) == (requests, limits)


def test_the_larger_is_one_of_them_where_it_can_be() -> None:
    small = Machine("small", {"cpu": "100m"}, {"memory": "250M"})
    large = Machine("large", {"cpu": "1"}, {"memory": "1Gi"})
    assert larger([small, large]) is large
    assert larger([large, small]) is large


def test_a_mixture_has_the_names_of_all_and_the_larger_of_each() -> None:
    first = Machine("b", {"cpu": "2"}, {"cpu": "2"}, {"zone": "x"}, ({"key": "a"},))
    second = Machine("a", {"cpu": "500m", "memory": "1Gi"}, {"memory": "2Gi"}, {}, ({"key": "b"},))
    for order in ([first, second], [second, first]):
        found = larger(order)
        assert found.name == "a_b"
        assert found.requests == {"cpu": "2", "memory": "1Gi"}
        assert found.limits == {"cpu": "2", "memory": "2Gi"}
        assert found.node_selector == {"zone": "x"}
        assert sorted(each["key"] for each in found.tolerations) == ["a", "b"]


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ({}, {}, None),
        ({"node_selector": {"zone": "x"}}, {"node_selector": {"zone": "x"}}, None),
        ({"node_selector": {"zone": "x"}}, {"node_selector": {"disk": "y"}}, None),
        (
            {"node_selector": {"zone": "x"}},
            {"node_selector": {"zone": "y"}},
            "node selector 'zone'",
        ),
        ({"gpu": 1}, {"gpu": 2}, None),
        ({"gpu": 1}, {}, None),
        ({"gpu": 0}, {"gpu": {"amd.com/gpu": 1}}, None),
        (
            {"gpu": 1},
            {"gpu": {"amd.com/gpu": 1}},
            "accelerators amd.com/gpu and nvidia.com/gpu",
        ),
    ],
)
def test_what_no_node_can_have_at_once(
    first: dict[str, Any], second: dict[str, Any], clash: str | None
) -> None:
    one, other = machine("one", first), machine("other", second)
    assert contradict(one, other) == clash
    assert contradict(other, one) == clash
