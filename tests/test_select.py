"""Taking a part of a pipeline."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagforge.errors import Origin, PipelineError, UsageError
from dagforge.ir import Node, Pipeline, Selection
from dagforge.order import topological_order
from dagforge.select import select
from tests.graphs import GROUPING, node, pipeline, with_nodes
from tests.projects import problems_of
from tests.test_group_properties import distances, node_links

CHAIN = pipeline(
    node("load", "", "raw", tags="daily"),
    node("clean", "raw", "rows", tags="daily slow"),
    node("train", "rows", "model", tags="slow"),
    node("report", "model raw", "", tags="daily"),
    node("audit", "raw", ""),
)


def shape(whole: Pipeline) -> list[str]:
    """Return each node as `name`, or as `name after others`."""
    return [
        f"{each.name} after {' '.join(each.after)}" if each.after else each.name
        for each in whole.nodes
    ]


SELECTIONS = [
    pytest.param(Selection(), ["load", "clean", "train", "report", "audit"], id="everything"),
    pytest.param(
        Selection(tags=("daily", "daily")), ["load", "clean", "report after clean"], id="a tag"
    ),
    pytest.param(
        Selection(tags=("daily", "slow")),
        ["load", "clean", "train", "report"],
        id="any of the tags",
    ),
    pytest.param(Selection(nodes=("report", "audit")), ["report", "audit"], id="nodes"),
    pytest.param(Selection(from_nodes=("clean",)), ["clean", "train", "report"], id="downstream"),
    pytest.param(Selection(to_nodes=("train",)), ["load", "clean", "train"], id="upstream"),
    pytest.param(
        Selection(from_nodes=("clean",), to_nodes=("train",)), ["clean", "train"], id="between"
    ),
    pytest.param(
        Selection(tags=("daily",), from_nodes=("clean",)),
        ["clean", "report after clean"],
        id="filters are intersected",
    ),
    pytest.param(
        Selection(nodes=("load", "train")),
        ["load", "train after load"],
        id="a middle node left out",
    ),
    pytest.param(
        Selection(nodes=("load", "clean", "report")),
        ["load", "clean", "report after clean"],
        id="an order that the rest gives is not added",
    ),
]


@pytest.mark.parametrize(("selection", "expected"), SELECTIONS)
def test_selections(selection: Selection, expected: list[str]) -> None:
    assert shape(select(CHAIN, selection)) == expected


def test_what_is_left_is_otherwise_unchanged() -> None:
    part = select(CHAIN, Selection(nodes=("train",)), "just_train")
    assert part.name == "just_train"
    assert part.nodes == (CHAIN.nodes[2],)
    assert part.datasets == CHAIN.datasets and part.origin == CHAIN.origin
    assert select(CHAIN, Selection(), "all").nodes == CHAIN.nodes
    assert select(CHAIN, Selection()) == CHAIN


def test_after_of_a_node_that_was_left_out_becomes_that_of_the_ones_before() -> None:
    whole = pipeline(node("b"), node("a"), node("m", after="b a"), node("z", after="m a"))
    assert shape(select(whole, Selection(nodes=("a", "b", "z")))) == ["b", "a", "z after a b"]


ERRORS = [
    pytest.param(
        Selection(tags=("dialy",), nodes=("clean", "x"), from_nodes=("trian",), to_nodes=("laod",)),
        None,
        "error: --tags asks for tag 'dialy', which pipeline 'data_science' does not have"
        " [unknown-tag]\n"
        "  fix: did you mean 'daily'?\n"
        "error: --nodes asks for node 'x', which pipeline 'data_science' does not have"
        " [unknown-node]\n"
        "  fix: there is 'audit', 'clean', 'load', 'report', 'train'\n"
        "error: --from-nodes asks for node 'trian', which pipeline 'data_science' does not have"
        " [unknown-node]\n"
        "  fix: did you mean 'train'?\n"
        "error: --to-nodes asks for node 'laod', which pipeline 'data_science' does not have"
        " [unknown-node]\n"
        "  fix: did you mean 'load'?",
        id="unknown names, all at once",
    ),
    pytest.param(
        Selection(from_nodes=("clean", "trian")),
        GROUPING,
        "conf/base/airflow.yml:3:20: error: 'from_nodes' asks for node 'trian', which pipeline"
        " 'data_science' does not have [unknown-node]\n"
        "  fix: did you mean 'train'?",
        id="unknown name in a file",
    ),
    pytest.param(
        Selection(nodes=("audit",), tags=("slow",)),
        None,
        "error: the selection leaves no node of pipeline 'data_science' [empty-selection]\n"
        "  --tags slow: 2 nodes\n"
        "  --nodes audit: 1 node\n"
        "  fix: a node is kept when all of these keep it: drop one",
        id="nothing left",
    ),
    pytest.param(
        Selection(from_nodes=("train",), to_nodes=("clean",)),
        GROUPING,
        "conf/base/airflow.yml:2:13: error: the selection leaves no node of pipeline"
        " 'data_science' [empty-selection]\n"
        "  from_nodes train: 2 nodes\n"
        "  to_nodes clean: 2 nodes\n"
        "  fix: a node is kept when all of these keep it: drop one",
        id="nothing left, in a file",
    ),
]


@pytest.mark.parametrize(("selection", "origin", "expected"), ERRORS)
def test_errors(selection: Selection, origin: Origin | None, expected: str) -> None:
    with pytest.raises(UsageError if origin is None else PipelineError) as caught:
        select(CHAIN, selection, origin=origin)
    assert str(caught.value) == expected


def test_a_block_is_taken_whole_or_not_at_all() -> None:
    whole = pipeline(node("a", block="fan"), node("b", block="fan"), node("c"))
    assert shape(select(whole, Selection(nodes=("a", "b")))) == ["a", "b"]
    assert shape(select(whole, Selection(nodes=("c",)))) == ["c"]
    with pytest.raises(UsageError) as caught:
        select(whole, Selection(nodes=("a", "c")))
    assert str(caught.value) == (
        "error: the selection leaves 'b' out of block 'fan', whose nodes only work together"
        " [block-parted]\n"
        "  fix: select all nodes of the block or none"
    )


def random_pipeline(size: int, density: float, seed: int) -> Pipeline:
    r = random.Random(seed)
    names = [f"n{number:02}" for number in range(size)]
    r.shuffle(names)
    nodes: list[Node] = []
    for i, name in enumerate(names):
        earlier = [names[other] for other in range(i) if r.random() < density]
        read = [other for other in earlier if r.random() < 0.8]
        nodes.append(
            node(
                name,
                " ".join(f"{other}_out" for other in read),
                f"{name}_out",
                after=" ".join(other for other in earlier if other not in read),
                tags="kept" if r.random() < 0.5 else "",
            )
        )
    r.shuffle(nodes)
    return pipeline(*nodes, node("last", tags="kept"))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 40), st.sampled_from([0.03, 0.08, 0.2]), st.integers(0, 2**32), st.randoms())
def test_the_order_is_the_old_one_and_no_addition_is_needless(
    size: int, density: float, seed: int, r: random.Random
) -> None:
    whole = random_pipeline(size, density, seed)
    part = select(whole, Selection(tags=("kept",)))
    names = {each.name for each in whole.nodes if "kept" in each.tags}
    assert {each.name for each in part.nodes} == names
    old = {pair for pair in distances(set(node_links(whole))) if names.issuperset(pair)}
    links = set(node_links(part))
    assert set(distances(links)) == old
    for added in links - set(node_links(whole)):
        assert added not in distances(links - {added})
    shuffled = with_nodes(whole, r.sample(whole.nodes, len(whole.nodes)))
    again = {each.name: each for each in select(shuffled, Selection(tags=("kept",))).nodes}
    assert again == {each.name: each for each in part.nodes}


@pytest.mark.parametrize("every", [2, 20, 1000])
def test_a_large_pipeline_is_cut_in_little_time(every: int) -> None:
    size = 20_000
    nodes = [
        node(
            f"n{i}",
            " ".join(f"d{earlier}" for earlier in (i - 1, i - 30, i - 200) if earlier >= 0),
            f"d{i}",
            tags="kept" if i % every == 0 else "",
        )
        for i in range(size)
    ]
    start = time.process_time()
    part = select(pipeline(*nodes), Selection(tags=("kept",)))
    assert time.process_time() - start < 5
    assert [each.name for each in topological_order(part)] == [
        f"n{i}" for i in range(0, size, every)
    ]
    assert sum(len(each.after) for each in part.nodes) <= size // every


def test_a_part_that_reads_what_nothing_keeps_is_refused(tmp_path: Path) -> None:
    files = {"conf/base/airflow.yml": "default: {image: i, machines: {small: {}}}"}
    chosen: dict[str, Any] = {"selection": Selection(nodes=("clean",)), "pipelines": ("etl",)}
    assert problems_of(tmp_path, files, **chosen) == [
        "conf/base/pipelines.yml:4:7: error: node 'clean' reads 'raw', whose writer 'load' is not "
        "selected [unknown-dataset]\n  fix: select 'load' too, or declare where 'raw' is stored in "
        "the catalog"
    ]
    stored = {**files, "conf/base/catalog.yml": "raw: {path: data/raw.csv, format: csv}"}
    assert problems_of(tmp_path, stored, **chosen) == []
