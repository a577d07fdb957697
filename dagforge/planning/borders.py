"""Datasets of a Kedro project at the borders of tasks: does the next task find them?

Each task is a session of Kedro of its own: what one leaves in memory, another never sees. Kedro
says so only when the second one runs; here it is known from the catalog's configuration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from dagforge.errors import Problem, Problems
from dagforge.ir import GroupLink, Node, Pipeline
from dagforge.order import shortened
from dagforge.planning.handover import is_kedro
from dagforge.planning.kedro_run import RUN_PARAMETER
from dagforge.planning.names import digest
from dagforge.reading.kedro_names import OVERLAY_MARK
from dagforge.resolve import Settings

SETTING = "memory_borders"
REFUSE, FIX, ALLOW = "refuse", "fix", "allow"
_HEADER = f"""\
{OVERLAY_MARK}: datasets that live in memory and that one task hands to another.
# `dagforge create` makes this file anew. It belongs into the image, as the rest of the catalog.
"""


def kept_at_borders(
    pipeline: Pipeline, links: Iterable[GroupLink], settings: Settings, problems: Problems
) -> tuple[str, ...]:
    """Return the datasets in memory that an overlay of the catalog is to keep, sorted.

    Args:
        pipeline: the nodes and their datasets.
        links: between all tasks.
        settings: of the pipeline.
        problems: takes `memory-border` errors and `versioned-border` warnings.
    """
    writers = {
        dataset: node for node in pipeline.nodes if is_kedro(node) for dataset in node.outputs
    }
    mode = settings.for_dag().get(SETTING, REFUSE)
    if mode != ALLOW:
        _refuse_absent(pipeline, problems)
    crossing = {dataset: link for link in links for dataset in link.datasets if dataset in writers}
    _warn_versioned(pipeline, crossing, problems)
    if mode == ALLOW:
        return ()
    lost = [name for name in writers if name in crossing and _in_memory(pipeline, name)]
    can_be_kept = [name for name in lost if _can_be_kept(pipeline, name, writers[name], problems)]
    if mode == FIX:
        return tuple(sorted(can_be_kept))
    if can_be_kept:
        links_of_lost = [crossing[name] for name in can_be_kept]
        _refuse(pipeline, links_of_lost, can_be_kept, writers, problems)
    return ()


def _in_memory(pipeline: Pipeline, name: str) -> bool:
    dataset = pipeline.datasets.get(name)
    return dataset is None or not dataset.persisted


def _refuse_absent(pipeline: Pipeline, problems: Problems) -> None:
    """Refuse what nodes read from a memory into which no node puts it."""
    written = {dataset for node in pipeline.nodes for dataset in node.outputs}
    for node in pipeline.nodes:
        for number, name in enumerate(node.inputs):
            dataset = pipeline.datasets.get(name)
            if not is_kedro(node) or name in written or dataset is None or dataset.persisted:
                continue
            problems.error(
                "memory-border",
                f"node '{node.name}' reads '{name}' from memory, where no node of "
                f"'{pipeline.name}' puts it",
                node.origin / "inputs" / number,
                fix=f"give it a place in the catalog ({dataset.origin.location(key=True)}); or, "
                f"where a hook puts it there, set `{SETTING}: {ALLOW}`",
            )


def _refuse(
    pipeline: Pipeline,
    links: Sequence[GroupLink],
    lost: Sequence[str],
    writers: Mapping[str, Node],
    problems: Problems,
) -> None:
    crossings = [
        f"'{name}' from task '{link.upstream}' to '{link.downstream}'"
        for name, link in zip(lost, links, strict=True)
    ]
    first = writers[lost[0]]
    place = first.origin / "outputs" / first.outputs.index(lost[0])
    if len(lost) == 1:
        message = f"'{pipeline.name}' hands {crossings[0]}, but it lives in memory"
    else:
        lines = shortened(crossings, "... {} more ...")
        message = "\n  ".join(
            [f"'{pipeline.name}' hands over {len(lost)} datasets that live in memory", *lines]
        )
    which = "it" if len(lost) == 1 else "them"
    problems.error(
        "memory-border",
        message,
        place,
        fix=f"give {which} a place in the catalog; or put the nodes into one task; or let DagForge "
        f"keep {which}: `{SETTING}: {FIX}` in the settings, or `create --fix-borders` for once",
    )


def _can_be_kept(pipeline: Pipeline, name: str, writer: Node, problems: Problems) -> bool:
    """Say whether an entry of the catalog can keep a dataset, and report why not."""
    dataset = pipeline.datasets.get(name)
    if dataset is not None and dataset.formats:
        why = f"in several formats ({', '.join(dataset.formats)}), which no single file can keep"
        fix = "give each of them a place in the catalog"
    elif name.startswith("_") or "{" in name:
        reads = "leaves out" if name.startswith("_") else "takes for a factory"
        why = f"and no entry of the catalog can keep it: Kedro {reads} what is called like this"
        fix = "give it another name, or put the nodes into one task"
    else:
        return True
    problems.error(
        "memory-border",
        f"'{name}' lives in memory and crosses the border of a task, {why}",
        writer.origin / "outputs" / writer.outputs.index(name),
        fix=fix,
    )
    return False


def _warn_versioned(
    pipeline: Pipeline, crossing: Mapping[str, GroupLink], problems: Problems
) -> None:
    for name in sorted(crossing):
        dataset = pipeline.datasets.get(name)
        if dataset is not None and dataset.versioned:
            link = crossing[name]
            problems.warn(
                Problem(
                    "versioned-border",
                    f"'{name}', from task '{link.upstream}' to '{link.downstream}', is versioned: "
                    "each task makes a version of its own and reads the newest, perhaps another "
                    "run's",
                    dataset.origin,
                    fix="leave out `versioned`, or have the run in its path: "
                    "${runtime_params:...} and `runtime_params` in the settings",
                    at_key=True,
                )
            )


def overlay_text(names: Iterable[str]) -> str:
    """Return the file of the catalog that keeps datasets, each run's apart; empty for none.

    A run says by a parameter of its own where; without one, as in a `kedro run` by hand, they are
    in one place.
    """
    run = f"${{runtime_params:{RUN_PARAMETER}, .dagforge/manual}}"
    entries = [
        f"\n{json.dumps(name, ensure_ascii=False)}:\n"
        "  type: pickle.PickleDataset\n"
        f"  filepath: {run}/{_file_name(name)}.pkl\n"
        for name in sorted(set(names))
    ]
    return _HEADER + "".join(entries) if entries else ""


def _file_name(dataset: str) -> str:
    """Return a name for the file of a dataset, different for different datasets."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "-", dataset)[:80]
    return safe if safe == dataset else f"{safe}-{digest(dataset)}"
