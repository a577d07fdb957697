"""The order between nodes, and cycles of nodes."""

from __future__ import annotations

import pytest

from dagforge.errors import PipelineError
from dagforge.ir import Node, Pipeline
from dagforge.order import check_acyclic, topological_order
from tests.graphs import FILE, node, pipeline


def message(whole: Pipeline) -> str:
    with pytest.raises(PipelineError) as caught:
        check_acyclic(whole)
    return str(caught.value)


def test_ties_go_by_name_whatever_the_order_of_the_definition() -> None:
    nodes = [node("c", "x"), node("z", "", "x"), node("b", after="z"), node("d")]
    for definition in (nodes, nodes[::-1]):
        whole = pipeline(*definition)
        check_acyclic(whole)
        assert [each.name for each in topological_order(whole)] == ["d", "z", "b", "c"]


def test_a_chain_of_100_000_nodes_is_ordered() -> None:
    nodes = [node(f"n{i}", f"d{i + 1}", f"d{i}") for i in range(100_000)]
    order = topological_order(pipeline(*nodes))
    assert [order[0].name, order[-1].name] == ["n99999", "n0"]


HEAD = "nodes of pipeline 'data_science' wait for each other [node-cycle]"

CYCLES = [
    pytest.param(
        [node("a", "z", "x"), node("b", "x", "y1 y2"), node("c", "y2 y1", "z"), node("d", "z")],
        f"{FILE}:10:7: error: {HEAD}\n  a -[x]-> b -[y1, y2]-> c -[z]-> a",
        id="datasets",
    ),
    pytest.param(
        [node("a", "y", "x"), node("b", "x", after="a"), node("c", "x", "y", after="b")],
        f"{FILE}:10:7: error: {HEAD}\n  a -[x]-> c -[y]-> a",
        id="a shortest one",
    ),
    pytest.param(
        [node("a", "", "x", after="b"), node("b", "x")],
        f"{FILE}:10:7: error: {HEAD}\n  a -[x]-> b -[after]-> a\n"
        "  fix: drop 'b' from 'after' of 'a'",
        id="after",
    ),
    pytest.param(
        [node("a", "x y", "y x z")],
        f"{FILE}:10:7: error: node 'a' reads 'x' and 'y', which it writes itself [node-cycle]\n"
        "  fix: write the result under another name",
        id="a node that reads what it writes",
    ),
    pytest.param(
        [node("a", after="a")],
        f"{FILE}:10:7: error: node 'a' is set to run after itself [node-cycle]\n"
        "  fix: drop 'a' from its 'after'",
        id="a node after itself",
    ),
    pytest.param(
        [node("d", "c", "d"), node("c", "d", "c"), node("b", "a", "b"), node("a", "b", "a")],
        f"{FILE}:40:7: error: {HEAD}\n  a -[a]-> b -[b]-> a\n"
        f"{FILE}:20:7: error: {HEAD}\n  c -[c]-> d -[d]-> c",
        id="every knot once",
    ),
]


@pytest.mark.parametrize(("nodes", "expected"), CYCLES)
def test_cycles(nodes: list[Node], expected: str) -> None:
    assert message(pipeline(*nodes)) == expected
    with pytest.raises(PipelineError, match="node-cycle"):
        check_acyclic(pipeline(*nodes[::-1]))


def test_a_long_cycle_is_shortened() -> None:
    nodes = [node(f"n{i}", f"d{(i - 1) % 9000}", f"d{i}") for i in range(9000)]
    assert "-> n2 -[d2]-> ... 8994 more ... n8997 -[d8997]-> " in message(pipeline(*nodes))
