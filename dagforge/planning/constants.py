"""Values that stand once at the top of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dagforge.planning.names import (
    digest,
    identifiers,
)
from dagforge.planning.planner import Planner
from dagforge.planning.tasks import Draft
from dagforge.values import Constant, Model


def constants_of(
    planner: Planner, drafts: Sequence[Draft]
) -> tuple[dict[str, Any], dict[str, Constant]]:
    """Return the resources that tasks use, each a module constant, and the constant by machine."""
    machines = {
        draft.machine.name: draft.machine
        for draft in drafts
        if draft.machine is not None
        and draft.has_resources
        and (draft.machine.requests or draft.machine.limits)
    }
    texts = {name: name.strip("_") or name for name in sorted(machines)}
    names = identifiers(
        [text.upper() for text in texts.values()], planner.target.imports, fallback="machine"
    )
    constants: dict[str, Any] = {}
    constant_of: dict[str, Constant] = {}
    for name, text in texts.items():
        constant = str(names[text.upper()]).upper()
        if constant in constants:
            constant = f"{constant}_{digest(name).upper()}"
        fields = {
            side: dict(values)
            for side in ("requests", "limits")
            if (values := getattr(machines[name], side))
        }
        constants[constant] = Model("V1ResourceRequirements", fields)
        constant_of[name] = Constant(constant)
    return constants, constant_of
