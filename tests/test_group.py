"""Grouping: the modes, and every error with its whole text."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from dagforge.errors import Origin, PipelineError, SourceLocation
from dagforge.group import group, task_links
from dagforge.grouping.cycles import Change, GroupCycleError
from dagforge.ir import Grouping, GroupLink, Node, Pipeline
from tests.graphs import FILE, GROUPING, Lines, node, pipeline, with_nodes

SPACEFLIGHTS = pipeline(
    node("split", "table params:options", "X_train y_train X_test", tags="airflow:model"),
    node("train", "X_train y_train", "regressor", tags="airflow:model machine:medium"),
    node("evaluate", "regressor X_test", "", tags="daily"),
    name="data_science",
)


def shape(whole: Pipeline, by: Grouping) -> list[str]:
    """Return each group as `name: nodes`, a node in no group as its name."""
    return [
        f"{one.name}: {' '.join(each.name for each in one.nodes)}" if one.is_group else one.name
        for one in group(whole, by)
    ]


def message(whole: Pipeline, by: Grouping) -> str:
    """Return the whole text of what is wrong."""
    with pytest.raises(PipelineError) as caught:
        group(whole, by)
    return str(caught.value)


def test_a_group_holds_its_nodes_in_order_with_the_union_of_their_tags() -> None:
    model, evaluate = group(SPACEFLIGHTS, Grouping())
    assert model.name == "model" and model.is_group
    assert [each.name for each in model.nodes] == ["split", "train"]
    assert model.tags == ("airflow:model", "machine:medium")
    assert evaluate.name == "evaluate" and not evaluate.is_group
    assert evaluate.nodes == (SPACEFLIGHTS.nodes[2],)


def test_links_between_tasks_are_sorted_with_the_datasets_behind_each() -> None:
    whole = pipeline(
        *SPACEFLIGHTS.nodes, node("report", after="evaluate"), node("archive", "regressor X_test")
    )
    assert task_links(whole, group(whole, Grouping())) == (
        GroupLink("evaluate", "report", ()),
        GroupLink("model", "archive", ("X_test", "regressor")),
        GroupLink("model", "evaluate", ("X_test", "regressor")),
    )


MODES = [
    pytest.param(
        "tags",
        [node("a", "", "x", tags="airflow:g"), node("b", "x", "", tags="airflow.g")],
        ["g: a b"],
        id="two prefixes, one group",
    ),
    pytest.param(
        "tags",
        [node("a", tags="airflow:raw_airflow:x")],
        ["raw_airflow:x: a"],
        id="only the prefix is taken off, once",
    ),
    pytest.param("tags", [node("b"), node("a")], ["a", "b"], id="no grouping tags, no groups"),
    pytest.param(
        "tags",
        [node("a", tags="airflow:g airflow.g"), node("b", tags="airflow")],
        ["b", "g: a"],
        id="two tags that name one group",
    ),
    pytest.param(
        "namespace",
        [
            node("a", "", "x", namespace="prep.raw"),
            node("b", "x", "", namespace="prep"),
            node("c", "x", ""),
        ],
        ["prep: a b", "c"],
        id="top-level namespace",
    ),
    pytest.param(
        "module",
        [node("a", module="team.prep"), node("b", module="team.prep"), node("c")],
        ["c", "team.prep: a b"],
        id="module in full",
    ),
    pytest.param(
        "memory",
        [
            node("load", "", "stored kept"),
            node("a_clean", "stored", "rows"),
            node("b_join", "rows", "table"),
            node("report", "table kept", ""),
        ],
        ["load", "a_clean: a_clean b_join report"],
        id="tied through what is not stored",
    ),
    pytest.param("memory", [node("a", "free"), node("b", "free")], ["a", "b"], id="a free input"),
    pytest.param(
        "none",
        [node("b", "x", "", tags="airflow:g"), node("a", "", "x", tags="airflow:g")],
        ["a", "b"],
        id="none",
    ),
    pytest.param(
        "none",
        [node("a", "", "x", block="fan"), node("b", "x", "", block="fan")],
        ["fan: a b"],
        id="a block is a group by itself",
    ),
    pytest.param(
        "memory",
        [
            node("a", "", "stored", block="fan"),
            node("b", "stored", "y", block="fan"),
            node("c", "y"),
        ],
        ["a: a b c"],
        id="a block ties as memory does",
    ),
]


@pytest.mark.parametrize(("by", "nodes", "expected"), MODES)
def test_modes(by: str, nodes: list[Node], expected: list[str]) -> None:
    whole = pipeline(*nodes, persisted="stored kept", in_memory="rows")
    assert shape(whole, Grouping(by)) == expected


def test_a_map_lists_nodes_modules_and_outputs() -> None:
    whole = pipeline(
        node("a", "", "x"),
        node("b", "x", "y", module="team.prep"),
        node("c", "y", "z"),
        node("team.prep"),
        node("d"),
    )
    tasks = {"first": ("a", "y"), "second": ("z", "team.prep")}
    by = Grouping("map", tasks=tasks)
    assert shape(whole, by) == ["d", "first: a b", "second: c team.prep"]


def test_what_a_map_says_about_nodes_that_were_not_selected_is_no_mistake() -> None:
    whole = pipeline(node("a", "", "x"), node("b", "x", "y"))
    by = Grouping("map", tasks={"t": ("a", "b"), "u": ("c",)}, origin=GROUPING)
    part = with_nodes(whole, whole.nodes[1:])
    with pytest.raises(PipelineError, match="names 'c'"):
        group(part, by, whole)
    (task,) = group(part, replace(by, tasks={"t": ("a", "b")}), whole)
    assert task.name == "t"


def test_the_name_of_a_memory_group_can_be_set() -> None:
    whole = pipeline(node("b", "x"), node("a", "", "x"), node("c"))
    assert shape(whole, Grouping("memory", names={"a": "prepare"})) == ["c", "prepare: a b"]


def test_the_order_inside_a_group_does_not_depend_on_nodes_outside() -> None:
    # By the whole pipeline, z comes before a and so does b.
    whole = pipeline(
        node("z", "", "x"), node("a", "x", "", tags="airflow:g"), node("b", tags="airflow:g")
    )
    assert shape(whole, Grouping()) == ["z", "g: a b"]
    assert shape(pipeline(*whole.nodes[1:]), Grouping()) == ["g: a b"]


def test_the_cycle_of_the_article() -> None:
    whole = pipeline(
        node("split_data_node", "model_input", "X_train X_test", tags="airflow:split"),
        node("train_model_node", "X_train", "regressor"),
        node("evaluate_model_node", "regressor X_test", "", tags="daily airflow:split"),
    )
    with pytest.raises(GroupCycleError) as caught:
        group(whole, Grouping())
    assert str(caught.value) == (
        "conf/base/pipelines.yml:15:14: error: grouping makes a cycle in pipeline 'data_science'"
        " [group-cycle]\n"
        "  split -[X_train]-> train_model_node -[regressor]-> split\n"
        "    split_data_node (split) writes X_train, train_model_node reads it;\n"
        "    train_model_node writes regressor, evaluate_model_node (split) reads it\n"
        "  fix: tag train_model_node 'airflow:split' too,"
        " or drop that tag from evaluate_model_node (line 35)"
    )
    assert caught.value.cycle == (
        GroupLink("split", "train_model_node", ("X_train",)),
        GroupLink("train_model_node", "split", ("regressor",)),
    )
    (cycle,) = caught.value.cycles
    assert cycle.is_all
    assert cycle.changes == (
        Change("join", "split", ("train_model_node",)),
        Change("leave", "split", ("evaluate_model_node",)),
    )


CYCLE = "grouping makes a cycle in pipeline 'data_science' [group-cycle]"

CYCLES = [
    pytest.param(
        Grouping("namespace"),
        {"namespace": "ns.part"},
        f"{FILE}:10:7: error: {CYCLE}\n"
        "  ns -[x]-> b -[y]-> ns\n"
        "    a (ns) writes x, b reads it;\n"
        "    b writes y, c (ns) reads it\n"
        "  fix: put b into namespace 'ns', or take c out of namespace 'ns'",
        id="namespace",
    ),
    pytest.param(
        Grouping("module"),
        {"module": "team.prep"},
        f"{FILE}:10:7: error: {CYCLE}\n"
        "  team.prep -[x]-> b -[y]-> team.prep\n"
        "    a (team.prep) writes x, b reads it;\n"
        "    b writes y, c (team.prep) reads it\n"
        "  fix: write 'grouping' as a mapping of tasks to nodes, with b under 'team.prep',"
        " or without c",
        id="module",
    ),
    pytest.param(
        Grouping("map", tasks={"t": ("a", "c")}),
        {},
        f"{FILE}:10:7: error: {CYCLE}\n"
        "  t -[x]-> b -[y]-> t\n"
        "    a (t) writes x, b reads it;\n"
        "    b writes y, c (t) reads it\n"
        "  fix: list b under 't' in 'grouping', or take c out of 't' in 'grouping'",
        id="map",
    ),
    pytest.param(
        Grouping("memory"),
        {},
        f"{FILE}:10:7: error: {CYCLE}\n"
        "  a -[x]-> b -[y]-> a\n"
        "    a (a) writes x, b reads it;\n"
        "    b writes y, c (a) reads it\n"
        "  fix: persist dataset w in the catalog",
        id="memory",
    ),
    pytest.param(
        Grouping("tags"),
        {"tags": "airflow.t"},
        f"{FILE}:15:14: error: {CYCLE}\n"
        "  t -[x]-> b -[y]-> t\n"
        "    a (t) writes x, b reads it;\n"
        "    b writes y, c (t) reads it\n"
        "  fix: tag b 'airflow.t' too, or drop that tag from c (line 35)",
        id="tags, with the prefix in use",
    ),
]


@pytest.mark.parametrize(("by", "mark", "expected"), CYCLES)
def test_cycles_in_the_words_of_the_mode(by: Grouping, mark: dict[str, str], expected: str) -> None:
    a = node("a", "", "x w")
    c = node("c", "y w")
    marked = [
        replace(
            each,
            tags=tuple(mark.get("tags", "").split()),
            namespace=mark.get("namespace"),
            module=mark.get("module"),
        )
        for each in (a, c)
    ]
    whole = pipeline(marked[0], node("b", "x", "y"), marked[1], persisted="x y")
    assert message(whole, by) == expected


def test_every_knot_of_groups_is_reported_and_after_has_its_own_words() -> None:
    whole = pipeline(
        node("a", "", "x1 x2", tags="airflow:g"),
        node("b", "x1 x2", "y"),
        node("c", "y", "", tags="airflow:g"),
        node("d", after="c", tags="airflow:h"),
        node("e", after="d"),
        node("f", after="e", tags="airflow:h"),
    )
    assert message(whole, Grouping()) == (
        f"{FILE}:15:14: error: {CYCLE}\n"
        "  g -[x1, x2]-> b -[y]-> g\n"
        "    a (g) writes x1 and x2, b reads them;\n"
        "    b writes y, c (g) reads it\n"
        "  fix: tag b 'airflow:g' too, or drop that tag from c (line 35)\n"
        f"{FILE}:45:14: error: {CYCLE}\n"
        "  h -[after]-> e -[after]-> h\n"
        "    e is set to run after d (h);\n"
        "    f (h) is set to run after e\n"
        "  fix: tag e 'airflow:h' too, or drop that tag from f (line 65)"
    )


def test_a_long_cycle_is_shortened_in_the_middle() -> None:
    middle = [node(f"n{i}", f"d{i - 1}", f"d{i}") for i in range(1, 9)]
    whole = pipeline(
        node("n0", "", "d0", tags="airflow:g"), *middle, node("n9", "d8", tags="airflow:g")
    )
    assert message(whole, Grouping()) == (
        f"{FILE}:15:14: error: {CYCLE}\n"
        "  g -[d0]-> n1 -[d1]-> n2 -[d2]-> ... 3 more ... n6 -[d6]-> n7 -[d7]-> n8 -[d8]-> g\n"
        "    n0 (g) writes d0, n1 reads it;\n"
        "    n1 writes d1, n2 reads it;\n"
        "    n2 writes d2, n3 reads it;\n"
        "    ... 3 more steps ...\n"
        "    n6 writes d6, n7 reads it;\n"
        "    n7 writes d7, n8 reads it;\n"
        "    n8 writes d8, n9 (g) reads it\n"
        "  fix: drop 'airflow:g' from n9 (line 105)"
    )


def test_many_datasets_on_one_step_are_shortened() -> None:
    names = [f"x{i}" for i in range(6)]
    whole = pipeline(
        node("a", "", " ".join(names), tags="airflow:g"),
        node("b", " ".join(names), "y"),
        node("c", "y", tags="airflow:g"),
    )
    assert (
        "  g -[x0, x1, x2, 3 more]-> b -[y]-> g\n"
        "    a (g) writes x0, x1, x2 and 3 more, b reads them;\n"
    ) in message(whole, Grouping())


def test_a_fix_that_only_clears_the_cycle_shown_says_so() -> None:
    # g goes to h and back, k and m to each other many times, and all four reach each other.
    marks = ["g", "h", "g", *["k", "m"] * 5, "g"]
    nodes = [
        node(f"n{i:02}", f"d{i - 1}" if i else "", f"d{i}", tags=f"airflow:{mark}")
        for i, mark in enumerate(marks)
    ]
    text = message(pipeline(*nodes), Grouping())
    assert text.endswith("\n       this removes the cycle shown; these groups are in others too")


def test_late_nodes_are_split_off_together() -> None:
    whole = pipeline(
        node("a1", "", "x", tags="airflow:g"),
        node("a2", "x", "x2", tags="airflow:g"),
        node("a3", "x", "x3", tags="airflow:g"),
        node("b1", "x2 x3", "y", runner="operator"),
        node("c1", "y", "z", tags="airflow:g"),
        node("c2", "y z", "", tags="airflow:g"),
    )
    assert message(whole, Grouping()).endswith(
        "fix: tag c1 (line 55) and c2 (line 65) 'airflow:g_2' instead of 'airflow:g'"
    )


ERRORS = [
    pytest.param(
        Grouping(),
        [node("a", tags="daily airflow:p airflow.q")],
        f"{FILE}:15:16: error: node 'a' has 2 grouping tags, 'airflow:p' and 'airflow.q'"
        " [two-groups]\n"
        "  fix: a node runs in one task: keep one of them",
        id="two grouping tags",
    ),
    pytest.param(
        Grouping(),
        [node("a", tags="airflow:")],
        f"{FILE}:15:14: error: tag 'airflow:' of node 'a' names no group [group-name]\n"
        "  fix: write a name after 'airflow:', or drop the tag",
        id="a tag without a name",
    ),
    pytest.param(
        Grouping("namespace"),
        [node("a", namespace=".raw")],
        f"{FILE}:10:7: error: namespace '.raw' of node 'a' begins with no name [group-name]\n"
        "  fix: a namespace is written as names with dots between them",
        id="a namespace without a name",
    ),
    pytest.param(
        Grouping(),
        [node("a", "", "x", tags="airflow:b"), node("b", "x")],
        f"{FILE}:15:14: error: group 'b' is named like node 'b', which is in no group"
        " [group-name]\n"
        "  fix: rename one of them, or tag b 'airflow:b' too",
        id="a group named like a node",
    ),
    pytest.param(
        Grouping(),
        [
            node("a", block="fan"),
            node("b", block="fan"),
            node("c", tags="airflow:fan"),
        ],
        f"{FILE}:10:7: error: group 'fan' is named like a block of nodes that are not in it"
        " [group-name]\n"
        "  fix: give the group another name",
        id="a group named like a block",
    ),
    pytest.param(
        Grouping(),
        [
            node("a", "", "x", tags="airflow:g"),
            node("b", "x", "y", tags="airflow:g", runner="operator"),
            node("c", tags="airflow:g"),
        ],
        f"{FILE}:25:14: error: group 'g' holds nodes that cannot share a task [group-mixed]\n"
        "  function: a, c\n"
        "  operator: b\n"
        "  fix: drop 'airflow:g' from b (line 25)",
        id="an operator among functions",
    ),
    pytest.param(
        Grouping(),
        [
            node("a", "", "x", tags="airflow:g"),
            node("b", "x", "y", tags="airflow:g", runner="operator"),
            node("c", "y", tags="airflow:g"),
        ],
        f"{FILE}:25:14: error: group 'g' holds nodes that cannot share a task [group-mixed]\n"
        "  function: a, c\n"
        "  operator: b",
        id="no fix where taking the operator out makes a cycle",
    ),
    pytest.param(
        Grouping(),
        [
            node("a", tags="airflow:g", runner="operator"),
            node("b", tags="airflow:g", runner="operator"),
        ],
        f"{FILE}:15:14: error: group 'g' holds nodes that cannot share a task [group-mixed]\n"
        "  operator: a, b\n"
        "  fix: drop 'airflow:g' from a (line 15) and b (line 25)",
        id="two operators",
    ),
    pytest.param(
        Grouping(),
        [
            node("a", tags="airflow:g"),
            node("b", "", "x", tags="airflow:g", runner="command"),
            node("c", "x", tags="airflow:g", runner="command"),
            node("d", tags="airflow:g"),
            node("e", tags="airflow:g"),
        ],
        f"{FILE}:25:14: error: group 'g' holds nodes that cannot share a task [group-mixed]\n"
        "  command: b, c\n"
        "  function: a, d, e\n"
        "  fix: tag b (line 25) and c (line 35) 'airflow:g_2' instead of 'airflow:g'",
        id="two runners",
    ),
    pytest.param(
        Grouping("memory"),
        [node("a", "", "x"), node("b", "x", "y", runner="operator"), node("c", "y")],
        f"{FILE}:20:7: error: group 'a' holds nodes that cannot share a task [group-mixed]\n"
        "  function: a, c\n"
        "  operator: b\n"
        "  fix: persist datasets x and y in the catalog",
        id="an operator tied through memory",
    ),
    pytest.param(
        Grouping(),
        [
            node("a", "", "x", block="fan", tags="airflow:g"),
            node("b", "x", "y", block="fan"),
            node("c", "y", "z", block="fan", tags="airflow:h"),
            node("d", "z", "", block="fan", tags="airflow:g"),
        ],
        f"{FILE}:20:7: error: the nodes of block 'fan' must share a task [block-parted]\n"
        "  a: in group 'g'\n"
        "  b: in no group\n"
        "  c: in group 'h'\n"
        "  d: in group 'g'\n"
        "  fix: tag b 'airflow:g' too and tag c (line 35) 'airflow:g' instead of 'airflow:h'\n"
        f"{FILE}:15:14: error: {CYCLE}\n"
        "  g -[x]-> b -[y]-> h -[z]-> g\n"
        "    a (g) writes x, b reads it;\n"
        "    b writes y, c (h) reads it;\n"
        "    c (h) writes z, d (g) reads it\n"
        "  fix: tag b 'airflow:g' too and tag c (line 35) 'airflow:g' instead of 'airflow:h'",
        id="a parted block",
    ),
    pytest.param(
        Grouping("map", tasks={"t": ("clena", "train"), "u": ("team.ml",)}, origin=GROUPING),
        [node("clean"), node("train", module="team.ml")],
        "conf/base/airflow.yml:3:7: error: grouping names 'clena', which pipeline 'data_science'"
        " does not have [unknown-node]\n"
        "  fix: did you mean 'clean'?\n"
        "conf/base/airflow.yml:3:6: error: node 'train' is in 2 groups, 't' and 'u' [two-groups]\n"
        "  fix: a node runs in one task: keep one of them",
        id="a map with a slip and a node twice",
    ),
    pytest.param(
        Grouping("map", tasks={"t": ()}),
        [node("clean")],
        "error: grouping gives task 't' no nodes [empty-group]\n  fix: list its nodes, or drop 't'",
        id="a map with an empty entry",
    ),
    pytest.param(
        Grouping("memory", names={"b": "prepare", "nil": "x", "c": "y"}, origin=GROUPING),
        [node("a", "", "x"), node("b", "x"), node("c")],
        "conf/base/airflow.yml:2:13: error: node 'b' is not the first node of a group in memory,"
        " so it gives no group a name [unknown-node]\n"
        "  fix: there is 'a'\n"
        "conf/base/airflow.yml:2:13: error: node 'c' is not the first node of a group in memory,"
        " so it gives no group a name [unknown-node]\n"
        "  fix: there is 'a'\n"
        "conf/base/airflow.yml:2:13: error: grouping names 'nil', which pipeline 'data_science'"
        " does not have [unknown-node]\n"
        "  fix: there is 'a'",
        id="names for memory groups that are not there",
    ),
    pytest.param(
        Grouping("memory", names={"a": "both", "c": "both"}),
        [node("a", "", "x"), node("b", "x"), node("c", "", "y"), node("d", "y")],
        "error: the groups that begin with 'a' and 'c' are both named 'both' [group-name]\n"
        "  fix: give each group a name of its own",
        id="one name for two memory groups",
    ),
    pytest.param(
        Grouping("memory", names={"a": "c"}),
        [node("a", "", "x"), node("b", "x"), node("c")],
        f"{FILE}:10:7: error: group 'c' is named like node 'c', which is in no group"
        " [group-name]\n"
        "  fix: rename one of them",
        id="a memory group named like a node",
    ),
]


@pytest.mark.parametrize(("by", "nodes", "expected"), ERRORS)
def test_errors(by: Grouping, nodes: list[Node], expected: str) -> None:
    assert message(pipeline(*nodes), by) == expected


def test_all_problems_are_reported_but_no_cycle_that_hangs_on_another_problem() -> None:
    whole = pipeline(
        node("a", "", "x", tags="airflow:g"),
        node("b", "x", "y", tags="airflow:g airflow:h"),
        node("c", "y", "", tags="airflow:g"),
        node("d", tags="airflow:e"),
        node("e", "", "", tags="airflow:f"),
        node("f"),
    )
    with pytest.raises(PipelineError) as caught:
        group(whole, Grouping())
    assert [problem.code for problem in caught.value.problems] == ["two-groups", "group-name"]


def test_a_cycle_of_nodes_is_not_blamed_on_the_grouping() -> None:
    for tags in ("airflow:g", ""):
        whole = pipeline(node("a", "y", "x", tags=tags), node("b", "x", "y", tags=tags))
        assert "[node-cycle]" in message(whole, Grouping())


def test_a_tag_without_a_place_of_its_own_is_shown_at_its_node() -> None:
    class Wholes(Lines):
        def locate(self, path: tuple[str | int, ...], *, key: bool = False) -> SourceLocation:
            if len(path) > 1:
                raise KeyError(path)
            return Lines.locate(self, path, key=key)

    whole = pipeline(node("a", tags="airflow:"))
    whole = with_nodes(whole, [replace(whole.nodes[0], origin=Origin(Wholes(), (0,)))])
    assert message(whole, Grouping()).startswith(f"{FILE}:10:7: error: tag 'airflow:'")


def chain(size: int) -> Pipeline:
    """Return nodes that each need the one before, four to a group."""
    return pipeline(
        *(
            node(f"n{i}", f"d{i - 1}" if i else "", f"d{i}", tags=f"airflow:g{i // 4}")
            for i in range(size)
        )
    )


def test_a_chain_of_100_000_nodes_is_grouped() -> None:
    assert len(group(chain(100_000), Grouping())) == 25_000


def test_a_cycle_of_5_000_groups_is_explained() -> None:
    whole = chain(20_000)
    last = replace(whole.nodes[-1], tags=("airflow:g0",))
    text = message(with_nodes(whole, [*whole.nodes[:-1], last]), Grouping())
    assert "... 4994 more ..." in text
    assert "fix: drop 'airflow:g0' from n19999 (line 200005), or" in text


def test_time_grows_with_the_edges() -> None:
    def seconds(size: int) -> float:
        nodes = [
            node(
                f"n{i:05}",
                " ".join(f"d{earlier}" for earlier in {i - 1, i - 7, i - 40} if earlier >= 0),
                f"d{i}",
                tags=f"airflow:g{i // 4}",
            )
            for i in range(size)
        ]
        whole = pipeline(*nodes)
        start = time.process_time()
        task_links(whole, group(whole, Grouping()))
        return time.process_time() - start

    # Sixteen times the nodes: 256 times the work if anything were quadratic.
    assert seconds(16_000) < 64 * max(seconds(1000) for _ in range(3))
