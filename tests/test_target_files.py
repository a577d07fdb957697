"""The `target.yaml` files agree with themselves; tests/real holds them against the real thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dagforge.target import Target, read_target, target_names

TEMPLATES = Path(__file__).parents[1] / "templates"
TARGETS = [read_target(name, TEMPLATES) for name in target_names(TEMPLATES)]

by_name = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def entries(target: Target) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = target.facts["settings"]
    return found


@by_name
def test_a_name_means_one_setting(target: Target) -> None:
    names = [
        name for setting in target.settings.values() for name in (setting.name, *setting.aliases)
    ]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert target.facts.get("hints", {}).keys() & set(names) == set()


@by_name
def test_an_argument_is_given_once(target: Target) -> None:
    for kind in target.kinds:
        given = [
            target.arguments[setting.name]
            for setting in target.settings_for("task", kind)
            if setting.name in target.arguments
        ]
        assert [name for name, count in Counter(given).items() if count > 1] == []
    given_to = [
        (setting.group, target.arguments[setting.name])
        for setting in target.settings_for("dag")
        if setting.name in target.arguments
    ]
    assert [each for each, count in Counter(given_to).items() if count > 1] == []


@by_name
def test_versions_are_those_of_the_target(target: Target) -> None:
    stated: set[str] = set()
    for entry in entries(target).values():
        stated |= {entry[key] for key in ("since", "until") if key in entry}
        stated |= set(entry.get("enum_since", {}).values())
        if isinstance(entry.get("argument"), dict):
            stated |= entry["argument"].keys()
    for table in (*target.facts["imports"].values(), target.facts["cron_meaning"]):
        if isinstance(table, dict):
            stated |= table.keys()
    assert stated - set(target.facts["versions"]) == set()


@by_name
def test_kinds_and_what_they_need_exist(target: Target) -> None:
    kinds = target.kinds.keys()
    runs_in = {settings["run_in"] for settings in target.facts["targets"].values()}
    assert runs_in - kinds == set()
    for name, kind in target.kinds.items():
        known = {setting.name for setting in target.settings_for("task", name)}
        known |= {setting.name for setting in target.settings_for("dag")}
        assert set(kind["required"]) - known == set()
        assert kind.get("operator", "PythonOperator") in {"PythonOperator", *target.imports}
    used = {kind for setting in target.settings.values() for kind in setting.kinds or ()}
    assert used - kinds == set()


@by_name
def test_every_setting_has_one_line_that_says_what_it_does(target: Target) -> None:
    wrong = [
        setting.name
        for setting in target.settings.values()
        if not setting.doc.endswith(".")
        or "\n" in setting.doc
        or not (setting.doc[0].isupper() or setting.doc.startswith("/"))
    ]
    assert wrong == []


@by_name
def test_later_values_of_an_enum_are_values_of_it(target: Target) -> None:
    for entry in entries(target).values():
        assert entry.get("enum_since", {}).keys() - set(entry.get("enum", ())) == set()


@by_name
def test_providers_that_a_setting_needs_are_listed(target: Target) -> None:
    needed = {name for setting in target.settings.values() for name in setting.needs}
    assert needed - target.facts.get("providers", {}).keys() == set()
