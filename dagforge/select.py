"""Take a part of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from dagforge.errors import Origin, PipelineError, Problems, UsageError, did_you_mean
from dagforge.ir import Node, Pipeline, Selection
from dagforge.order import edges_between, nodes_by_name, quoted, smallest_first

OPTION_OF = {
    "tags": "--tags",
    "nodes": "--nodes",
    "from_nodes": "--from-nodes",
    "to_nodes": "--to-nodes",
}


def select(
    pipeline: Pipeline,
    selection: Selection,
    name: str | None = None,
    origin: Origin | None = None,
) -> Pipeline:
    """Return the part of a pipeline that a selection asks for, as Kedro slices.

    `tags` keeps nodes with any of the tags, `nodes` these nodes, `from_nodes` these and all that
    depends on them, `to_nodes` these and all they depend on; what several of them keep, stays.
    What is left runs in the old order: where one node came before another by way of nodes that
    are left out, it stands in `after`, unless the nodes that are left say so already. A dataset
    whose producer is left out stays an input.

    Args:
        pipeline: acyclic.
        selection: an empty one keeps everything.
        name: of the result; that of the pipeline when it is None.
        origin: the mapping that holds the selection; None for the command line.

    Raises:
        PipelineError: `[unknown-node]`, `[unknown-tag]`, `[empty-selection]`, or `[block-parted]`
            for a block that is cut.
        UsageError: the same, where the command line asks for it.
    """
    whole = replace(pipeline, name=name if name is not None else pipeline.name)
    if not selection:
        return whole
    problems = Problems()
    # What the command line asks for in vain is its own mistake.
    kind = UsageError if origin is None else PipelineError
    _check_words(pipeline, selection, origin, problems)
    problems.raise_errors(kind)
    nodes = nodes_by_name(pipeline)
    pairs = [(earlier, later) for earlier, later, _ in edges_between(nodes)]
    kept_by = _kept_by(nodes, pairs, selection)
    kept = set.intersection(*kept_by.values())
    _check_kept(pipeline, nodes, kept, kept_by, selection, origin, problems)
    problems.raise_errors(kind)
    after_of = _order_kept(len(nodes), pairs, kept)
    names = {nodes[number].name for number in kept}
    number_of = {node.name: number for number, node in enumerate(nodes)}
    return replace(
        whole,
        nodes=tuple(
            _with_after(
                node,
                names,
                [nodes[earlier].name for earlier in after_of.get(number_of[node.name], ())],
            )
            for node in pipeline.nodes
            if node.name in names
        ),
    )


def check_inputs(part: Pipeline, whole: Pipeline) -> None:
    """Refuse a part that reads what only nodes outside of it write, and nothing keeps.

    Args:
        part: of `whole`, as `select` gives it.
        whole: the pipeline that it was taken from.

    Raises:
        PipelineError: `[unknown-dataset]`, with every such input.
    """
    problems = Problems()
    written = {dataset for node in part.nodes for dataset in node.outputs}
    writer_of = {dataset: node.name for node in whole.nodes for dataset in node.outputs}
    for node in part.nodes:
        for dataset in dict.fromkeys(node.inputs):
            declared = whole.datasets.get(dataset)
            kept = declared is not None and declared.persisted
            if dataset in writer_of and dataset not in written and not kept:
                problems.error(
                    "unknown-dataset",
                    f"node '{node.name}' reads '{dataset}', whose writer "
                    f"'{writer_of[dataset]}' is not selected",
                    node.origin,
                    fix=f"select '{writer_of[dataset]}' too, or declare where '{dataset}' is "
                    "stored in the catalog",
                )
    problems.raise_errors(PipelineError)


def _with_after(node: Node, kept: Collection[str], added: Sequence[str]) -> Node:
    """Return the node without the names that were left out, and with the order that they gave."""
    after = (*(name for name in node.after if name in kept), *added)
    return node if after == node.after else replace(node, after=after)


def _check_words(
    pipeline: Pipeline, selection: Selection, origin: Origin | None, problems: Problems
) -> None:
    """Report nodes and tags that the pipeline does not have."""
    names = {node.name for node in pipeline.nodes}
    tags = {tag for node in pipeline.nodes for tag in node.tags}
    for part, words in _parts(selection):
        kind, known = ("tag", tags) if part == "tags" else ("node", names)
        for position, word in enumerate(words):
            if word not in known and word not in words[:position]:
                asked = f"'{part}'" if origin else OPTION_OF[part]
                problems.error(
                    f"unknown-{kind}",
                    f"{asked} asks for {kind} '{word}', which pipeline '{pipeline.name}' "
                    "does not have",
                    origin / part / position if origin else None,
                    fix=did_you_mean(word, known),
                )


def _parts(selection: Selection) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the filters of a selection that are set."""
    for part in OPTION_OF:
        words: tuple[str, ...] = getattr(selection, part)
        if words:
            yield part, words


def _kept_by(
    nodes: Sequence[Node], pairs: Sequence[tuple[int, int]], selection: Selection
) -> dict[str, set[int]]:
    """Return the nodes that each filter keeps."""
    backwards = [(later, earlier) for earlier, later in pairs]
    filters: Mapping[str, Callable[[set[str]], set[int]]] = {
        "tags": lambda words: {
            n for n, node in enumerate(nodes) if not words.isdisjoint(node.tags)
        },
        "nodes": lambda words: _named(nodes, words),
        "from_nodes": lambda words: _reached(_named(nodes, words), pairs),
        "to_nodes": lambda words: _reached(_named(nodes, words), backwards),
    }
    return {part: filters[part](set(words)) for part, words in _parts(selection)}


def _named(nodes: Sequence[Node], names: Collection[str]) -> set[int]:
    return {number for number, node in enumerate(nodes) if node.name in names}


def _reached(starts: Iterable[int], pairs: Iterable[tuple[int, int]]) -> set[int]:
    """Return `starts` and everything that pairs lead to from there."""
    next_of: dict[int, list[int]] = {}
    for start, end in pairs:
        next_of.setdefault(start, []).append(end)
    reached = set(starts)
    todo = list(reached)
    while todo:
        for number in next_of.get(todo.pop(), ()):
            if number not in reached:
                reached.add(number)
                todo.append(number)
    return reached


def _check_kept(
    pipeline: Pipeline,
    nodes: Sequence[Node],
    kept: Collection[int],
    kept_by: Mapping[str, Collection[int]],
    selection: Selection,
    origin: Origin | None,
    problems: Problems,
) -> None:
    """Report a selection of nothing, and one that cuts a block."""
    if not kept:
        spelling = {part: part if origin else option for part, option in OPTION_OF.items()}
        lines = [
            f"  {spelling[part]} {', '.join(words)}: {_count(len(kept_by[part]))}"
            for part, words in _parts(selection)
        ]
        problems.error(
            "empty-selection",
            "\n".join([f"the selection leaves no node of pipeline '{pipeline.name}'", *lines]),
            origin,
            fix="a node is kept when all of these keep it: drop one",
        )
    blocks: dict[str, list[int]] = {}
    for number, node in enumerate(nodes):
        if node.block is not None:
            blocks.setdefault(node.block, []).append(number)
    for block, numbers in sorted(blocks.items()):
        missing = [nodes[number].name for number in numbers if number not in kept]
        if 0 < len(missing) < len(numbers):
            problems.error(
                "block-parted",
                f"the selection leaves {quoted(missing)} out of block '{block}', "
                "whose nodes only work together",
                origin,
                fix="select all nodes of the block or none",
            )


def _count(nodes: int) -> str:
    return f"{nodes} node" if nodes == 1 else f"{nodes} nodes"


def _order_kept(
    size: int, pairs: Sequence[tuple[int, int]], kept: Collection[int]
) -> dict[int, list[int]]:
    """Return for each node the nodes that it must now be told to run after, in order.

    The fewest that keep the old order, given the pairs between kept nodes. Sets of nodes are the
    bits of an int. Only a kept node in front of one that is left out has a bit; they are given in
    topological order, so that the highest bit of a set comes before no other one of it.
    """
    earlier_of: dict[int, list[int]] = {}
    left_behind = [0] * size
    for earlier, later in pairs:
        earlier_of.setdefault(later, []).append(earlier)
        left_behind[earlier] += 1
    borders = {earlier for earlier, later in pairs if earlier in kept and later not in kept}
    order = smallest_first(size, pairs)
    borders_in_order = [number for number in order if number in borders]
    bit_of = {number: 1 << bit for bit, number in enumerate(borders_in_order)}
    # For a kept node: itself and what runs before it. For one that is left out: the kept nodes
    # that lead to it through such nodes only. Of both, what nothing can ask for again is dropped.
    reach: dict[int, int] = {}
    added: dict[int, list[int]] = {}
    for number in order:
        near = 0
        known = 0
        for earlier in earlier_of.get(number, ()):
            if earlier not in kept:
                near |= reach[earlier]
            elif number in kept:
                known |= reach[earlier]
            else:
                near |= bit_of[earlier]
            left_behind[earlier] -= 1
            if not left_behind[earlier] and earlier not in borders:
                del reach[earlier]
        if number not in kept:
            reach[number] = near
            continue
        near &= ~known
        while near:
            nearest = borders_in_order[near.bit_length() - 1]
            added.setdefault(number, []).append(nearest)
            known |= reach[nearest]
            near &= ~known
        reach[number] = known | bit_of.get(number, 0)
    return {number: earlier[::-1] for number, earlier in added.items()}
