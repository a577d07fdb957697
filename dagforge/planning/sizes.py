"""The machines of tasks: from tags to the resources that a pod asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dagforge.errors import (
    Origin,
    Problem,
    did_you_mean,
    suggest,
)
from dagforge.ir import Node, NodeGroup
from dagforge.planning.machines import (
    GPU_RESOURCE,
    RESOURCES,
    Machine,
    contradict,
    is_resource,
    larger,
    machine,
    quantity,
)
from dagforge.planning.planner import Planner, reporter, tag_prefixes
from dagforge.settings.convert import Report
from dagforge.settings.schema import Finding, describe

DEFAULT_MACHINE = "__default__"


def machines_of(planner: Planner, data: Mapping[str, Any]) -> dict[str, Machine]:
    """Return every machine of the settings by name."""
    report = reporter(planner.problems, planner.settings, "machines", planner.settings.dag_layers)
    machines: dict[str, Machine] = {}
    for name, entry in data.get("machines", {}).items():
        if entry is not None:
            # A machine that is refused here is still known to those who ask for it.
            sound = _check_machine(name, entry, report)
            machines[name] = machine(name, entry) if sound else Machine(name)
    return machines


def _check_machine(name: str, entry: Mapping[str, Any], report: Report) -> bool:
    """Report what Kubernetes would not take of a machine; say whether there is nothing."""
    found: list[Finding] = []
    for side in ("requests", "limits"):
        for resource, text in (entry.get(side) or {}).items():
            if not is_resource(resource):
                message = f"Kubernetes has no resource '{resource}'"
                found.append(((side, resource), "bad-resource", message, _resource_fix(resource)))
            wrong = _wrong_size(resource, text)
            if wrong is not None:
                found.append(((side, resource), "bad-quantity", *wrong))
    gpu = entry.get("gpu")
    counts = list(gpu.values()) if isinstance(gpu, dict) else [gpu]
    if gpu is not None and not all(re.fullmatch(r"\d+", str(count)) for count in counts):
        message = f"'gpu' of machine '{name}' must be a whole number"
        found.append((("gpu",), "bad-quantity", message, "gpu: 1"))
    for resource in gpu if isinstance(gpu, dict) else ():
        if not is_resource(resource):
            message = f"Kubernetes has no resource '{resource}'"
            fix = f"write {GPU_RESOURCE}, or what its vendor calls it"
            found.append((("gpu", resource), "bad-resource", message, fix))
    for finding in found:
        report((name, *finding[0]), *finding[1:])
    return not found


def _wrong_size(resource: str, text: object) -> tuple[str, str] | None:
    """Return why a quantity is none, or cannot be meant, and what to write.

    Kubernetes takes 512 bytes of memory and 2G cores. No container starts in the one, and no node
    has the other.
    """
    size = quantity(text)
    if size is None or size < 0:
        return f"{describe(text)} is no Kubernetes quantity", "write it like 500m, 2, 250M or 1Gi"
    if resource == "cpu" and size > _MOST_CORES:
        return f"{describe(text)} is {float(size):g} cores", "write it like 500m or 2"
    if resource not in ("memory", "ephemeral-storage") or not 0 < size < _LEAST_BYTES:
        return None
    number = re.match(r"[\d.]*", str(text))
    unit = str(text)[number.end() :] if number else ""
    fix = "write it like 250M or 1Gi"
    if number and unit in ("", "m"):
        fix = f"write the unit: {number[0]}Mi or {number[0]}Gi"
    return f"{describe(text)} is {float(size):g} bytes of {resource}", fix


_MOST_CORES = 10_000
_LEAST_BYTES = 1_000_000


def _resource_fix(resource: str) -> str:
    if "gpu" in resource.casefold():
        return "write gpu: 1 beside requests and limits"
    near = suggest(resource, RESOURCES)
    if near is None and resource.casefold() in ("ram", "disk"):
        near = {"ram": "memory", "disk": "ephemeral-storage"}[resource.casefold()]
    if near is not None:
        return f"did you mean '{near}'?"
    return f"one of {', '.join(RESOURCES)}, or a device with its domain such as {GPU_RESOURCE}"


def machine_of(planner: Planner, group: NodeGroup, data: Mapping[str, Any]) -> Machine | None:
    """Return the machine that a task's tags ask for."""
    prefixes = tag_prefixes(data, "resources_tag_prefix")
    wanted: dict[str, tuple[Node, int]] = {}
    for node in group.nodes:
        for index, tag in enumerate(node.tags):
            if not tag.startswith(prefixes):
                continue
            name = tag.removeprefix(next(each for each in prefixes if tag.startswith(each)))
            if name not in planner.machines:
                if planner.once("machine", name, node.name):
                    planner.problems.error(
                        "unknown-machine",
                        f"node '{node.name}' asks for the machine '{name}', which no `machines` "
                        "setting has",
                        _place_of_tag(node, index),
                        fix=did_you_mean(name, planner.machines)
                        or "define it under `machines:` in the settings",
                    )
                continue
            wanted.setdefault(name, (node, index))
    if not wanted:
        return planner.machines.get(DEFAULT_MACHINE)
    names = sorted(wanted)
    machines = [planner.machines[name] for name in names]
    for index, first in enumerate(machines):
        for second in machines[index + 1 :]:
            clash = contradict(first, second)
            if clash is not None:
                planner.problems.error(
                    "machine-clash",
                    f"task '{group.name}' has the machines '{first.name}' and '{second.name}', "
                    f"which differ in their {clash}",
                    _place_of_tag(*wanted[second.name]),
                    fix="give its nodes one machine, or take the group apart",
                )
                return None
    if len(machines) == 1:
        return machines[0]
    chosen = larger(machines)
    planner.problems.warn(
        Problem(
            "several-machines",
            f"task '{group.name}' has several machines, "
            + ", ".join(f"'{name}'" for name in names)
            + "; it gets the larger of each resource",
            _place_of_tag(*wanted[names[-1]]),
            fix="give its nodes one machine tag",
        )
    )
    return chosen


def _place_of_tag(node: Node, index: int) -> Origin:
    return node.origin / "tags" / index


def machine_unused(planner: Planner, group: NodeGroup, data: Mapping[str, Any]) -> None:
    """Warn of machine tags where a target has no resources by task, once a run."""
    prefixes = tag_prefixes(data, "resources_tag_prefix")
    for node in group.nodes:
        for index, tag in enumerate(node.tags):
            if tag.startswith(prefixes) and planner.once_a_run("machine tags"):
                # Where there are machines, they are the one place to point at for all pipelines.
                machines = planner.settings.place(("machines",), planner.settings.dag_layers)
                planner.problems.warn(
                    Problem(
                        "cannot-express",
                        f"machine tags such as '{tag}' mean nothing: {planner.target.name} has no "
                        "resources by task",
                        machines or node.origin / "tags" / index,
                        at_key=machines is not None,
                    )
                )
