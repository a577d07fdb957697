"""Machines: named sizes of a task's container, compared as Kubernetes compares quantities."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from fractions import Fraction
from typing import Any

from dagforge.frozen import frozen

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(
    r"([+-]?)(\d{1,100}\.?\d{0,100}|\.\d{1,100})"
    r"(?:(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE])|[eE]([+-]?\d{1,3}))?",
    re.ASCII,
)
_SUFFIXES = {
    **{
        suffix: Fraction(1024) ** power
        for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
    },
    **{
        suffix: Fraction(1000) ** power
        for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)
    },
    **{suffix: Fraction(1, 1000**power) for power, suffix in enumerate(("m", "u", "n"), 1)},
}
GPU_RESOURCE = "nvidia.com/gpu"
RESOURCES = ("cpu", "memory", "ephemeral-storage")


def quantity(text: object) -> Fraction | None:
    """Return the size of a Kubernetes quantity such as `250M` or `0.5`; None when it is none."""
    match = _QUANTITY.fullmatch(str(text)) if isinstance(text, (str, int, float)) else None
    if match is None or isinstance(text, bool):
        return None
    sign, number, suffix, exponent = match.groups()
    value = Fraction(number) * (_SUFFIXES[suffix] if suffix else 1)
    if exponent:
        value *= Fraction(10) ** int(exponent)
    return -value if sign == "-" else value


def is_resource(name: str) -> bool:
    """Say whether Kubernetes takes the name of a container's resource.

    Its own are few; those of devices have a domain in front
    (https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/).
    """
    domain, slash, _ = name.partition("/")
    return name in RESOURCES or name.startswith("hugepages-") or bool(slash and "." in domain)


@frozen
class Machine:
    """What a task asks of the cluster.

    Attributes:
        name: the key under `machines`; several, joined, when sizes were merged.
        requests: quantities by resource.
        limits: quantities by resource, none below its request.
        tolerations: Kubernetes YAML.
    """

    name: str
    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()


def machine(name: str, entry: Mapping[str, Any]) -> Machine:
    """Return one entry of `machines`; its quantities were checked before.

    A GPU is asked for as a limit and a request of one extended resource, as Kubernetes demands
    (https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/).
    """
    requests = {key: str(value) for key, value in (entry.get("requests") or {}).items()}
    limits = {key: str(value) for key, value in (entry.get("limits") or {}).items()}
    gpu = entry.get("gpu")
    if gpu is not None:
        by_resource = gpu if isinstance(gpu, dict) else {GPU_RESOURCE: gpu}
        for resource, count in by_resource.items():
            requests[resource] = limits[resource] = str(count)
    return Machine(
        name,
        requests,
        _raised(limits, requests),
        dict(entry.get("node_selector") or {}),
        tuple(entry.get("tolerations") or ()),
    )


def _raised(limits: Mapping[str, str], requests: Mapping[str, str]) -> dict[str, str]:
    """Return the limits, each at least its request."""
    raised = dict(limits)
    for resource, limit in limits.items():
        request = requests.get(resource)
        if request is not None and _size(request) > _size(limit):
            raised[resource] = request
    return raised


def _size(text: str) -> Fraction:
    return quantity(text) or Fraction(0)


def larger(machines: Sequence[Machine]) -> Machine:
    """Return the element-wise larger of several machines.

    One of them is returned itself where it is at least as large in everything.
    """
    requests = _largest([machine.requests for machine in machines])
    limits = _raised(_largest([machine.limits for machine in machines]), requests)
    selector: dict[str, str] = {}
    tolerations: list[Mapping[str, Any]] = []
    for each in machines:
        selector.update(each.node_selector)
        tolerations += [item for item in each.tolerations if item not in tolerations]
    merged = Machine(
        "_".join(sorted(each.name for each in machines)),
        requests,
        limits,
        selector,
        tuple(tolerations),
    )
    for each in machines:
        if (each.requests, each.limits, each.node_selector, each.tolerations) == (
            merged.requests,
            merged.limits,
            merged.node_selector,
            merged.tolerations,
        ):
            return each
    return merged


def _largest(sides: Sequence[Mapping[str, str]]) -> dict[str, str]:
    names = list(dict.fromkeys(name for side in sides for name in side))
    return {name: max((side[name] for side in sides if name in side), key=_size) for name in names}


def contradict(first: Machine, second: Machine) -> str | None:
    """Return what two machines demand that no node can have at once, else None."""
    for key in sorted(first.node_selector.keys() & second.node_selector.keys()):
        if first.node_selector[key] != second.node_selector[key]:
            return f"node selector '{key}'"
    extended = [
        {name for name in each.limits if "/" in name and _size(each.limits[name]) > 0}
        for each in (first, second)
    ]
    if extended[0] and extended[1] and extended[0] != extended[1]:
        return "accelerators " + " and ".join(sorted(extended[0] | extended[1]))
    return None
