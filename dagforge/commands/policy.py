"""The rules in force, and who is excepted from them and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagforge.commands.show import as_json, counted, table
from dagforge.commands.stage_data import Data, place
from dagforge.policy.model import view
from dagforge.policy.rules import Rule
from dagforge.resolve import EXCEPTIONS

if TYPE_CHECKING:
    from dagforge.build import Build


def policy_text(found: Build, rules: Sequence[Rule], form: str) -> str:
    """Return the rules in force, each with where it stands, and the exceptions from them.

    Args:
        found: the pipelines that could be compiled.
        rules: in force.
        form: `text` or `json`.
    """
    answer = {"rules": [_rule(rule) for rule in rules], "exceptions": list(_exceptions(found))}
    return as_json(answer) if form == "json" else "\n".join(_text(answer))


def _rule(rule: Rule) -> Data:
    demands = {key: value for key, value in rule.written.items() if key not in ("severity", "fix")}
    # Dates and infinity are TOML, but no JSON.
    demands = json.loads(json.dumps(demands, default=str), parse_constant=str)
    return {
        "rule": rule.name,
        "demands": demands,
        "severity": rule.severity,
        "fix": rule.fix,
        "at": place(rule.origin),
        "package": rule.package,
    }


def _exceptions(found: Build) -> Iterator[Data]:
    """Yield each exception once, in the order of the pipelines."""
    seen: set[int] = set()
    for stages in found.stages:
        dag = view(stages.dag, stages.settings, stages.groups)
        for subject in (dag, *dag.tasks):
            for layer in subject.layers:
                if id(layer) in seen:
                    continue
                seen.add(id(layer))
                for rule, reason in (layer.data.get(EXCEPTIONS) or {}).items():
                    at = place(layer.place((EXCEPTIONS, rule)))
                    yield {"rule": rule, "reason": reason, "layer": layer.label, "at": at}


def _text(answer: Mapping[str, Sequence[Data]]) -> Iterator[str]:
    rules, exceptions = answer["rules"], answer["exceptions"]
    if not rules:
        yield "no rules: neither the project nor a package that it extends has a policy"
    else:
        rows = [["rule", "demands", "severity", "at"]]
        rows += [
            [rule["rule"], _demands(rule["demands"]), rule["severity"], rule["at"]]
            for rule in rules
        ]
        yield from table(rows).splitlines()
    if exceptions:
        yield ""
        yield counted(len(exceptions), "exception")
        rows = [[f"  {each['rule']}", each["at"] or "-", each["reason"]] for each in exceptions]
        yield from table(rows).splitlines()


def _demands(demands: Mapping[str, Any]) -> str:
    return ", ".join(
        key if value is True else f"{key} {json.dumps(value, ensure_ascii=False)}"
        for key, value in demands.items()
    )
