"""Write docs/settings.md: every setting, from the settings tables of the targets.

python scripts/settings_page.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from dagforge.conf import parse_yaml
from dagforge.resources import templates_dir
from dagforge.settings.schema import TYPE_NAMES
from dagforge.target import SHARED_FILE, Setting, Target, orchestrators, read_target, version_key

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

INTRODUCTION = """\
# Settings

This page is made from the targets' tables by `scripts/settings_page.py`. `dagforge explain PIPELINE.TASK.SETTING` says what a
setting is in a project and where it comes from, `dagforge schema` prints a JSON Schema for editors.

Settings stand in `conf/base` and `conf/<env>`: those of `dagforge*.yml` are for every target, those of `airflow*.yml` and
`airflow/**`, or `prefect*.yml` and `prefect/**`, for one orchestrator. A file has a section `default:` and one for each
pipeline; in each of them `for_tags:` and `for_tasks:` hold settings by tag and by task or node. Low to high:

1. DagForge's own defaults, and what the target's name means
2. `default:`
3. the pipeline's section
4. `for_tags`, of `default:` and then of the pipeline
5. `for_tasks`, of `default:` and then of the pipeline
6. `settings` of the node itself
7. `--params`

Within each, [packages that the project extends](platform.md) come first, base before the environment, and `dagforge*.yml` before the orchestrator's files. Mappings are merged
key by key, everything else replaces; null within a mapping removes the key (in `vars`, `params` and `parameters` it is
a value).

How values are written:

| type | how |
|---|---|
| duration | with its unit: `90s`, `5m`, `1h30m`, `2d`, or ISO 8601 (`PT5M`). A bare number only where the table says so |
| date | `2024-01-31`, `2024-01-31T06:00` or `[2024, 1, 31]`, in the zone that `timezone` says |
| schedule | a cron, a preset (`@hourly`, `@daily`, `@weekly`, `@monthly`, ...), a duration, `@once`, `@continuous`, an object, or null |
| object | `{import: "team.alerts:notify"}`, or `{call: "team.Notifier", args: {channel: data}}` for what a call gives (`positional: [...]` is for arguments without a name). Any setting that is passed to the orchestrator may be an object |
| V1..., list of V1... | Kubernetes' own YAML, checked field by field |

Where the table says *template*, texts may hold Airflow's `{{ }}`; `{literal: "..."}` is text that is none.
"""  # noqa: E501  # rows of tables cannot be broken


def page() -> str:
    """Return the text of docs/settings.md."""
    templates = templates_dir()
    first_target = {
        name: next(iter(facts["targets"])) for name, facts in orchestrators(templates).items()
    }
    targets = [read_target(target, templates) for target in first_target.values()]
    shared = parse_yaml((templates / SHARED_FILE).read_bytes(), SHARED_FILE).data["settings"]
    lines = [INTRODUCTION, "## DagForge", ""]
    own = [setting for name, setting in targets[0].settings.items() if name in shared]
    lines += table(own, targets[0])
    for target in targets:
        mine = [setting for name, setting in target.settings.items() if name not in shared]
        title = target.orchestrator.capitalize()
        lines += [f"## {title}", "", *_needs(target)]
        for part, settings in _parts(mine):
            lines += [f"### {title}: {part}", "", *table(settings, target)]
    return "\n".join(lines).rstrip() + "\n"


def _needs(target: Target) -> Iterator[str]:
    """Yield which settings a kind of task cannot do without."""
    for kind, facts in target.kinds.items():
        required = [f"`{name}`" for name in facts.get("required", ())]
        if required:
            yield f"A task in a `{kind}` needs {', '.join(required)}."
            yield ""


def _parts(settings: Iterable[Setting]) -> list[tuple[str, list[Setting]]]:
    """Return the settings by what takes them, in the order in which they first appear."""
    parts: dict[str, list[Setting]] = {}
    for setting in settings:
        parts.setdefault(_part(setting), []).append(setting)
    return list(parts.items())


def _part(setting: Setting) -> str:
    if setting.scope == "dag":
        return f"the {setting.group or 'DAG'}"
    if setting.kinds is None:
        return "every task"
    return "tasks in " + " or ".join(f"`{kind}`" for kind in sorted(setting.kinds, reverse=True))


def table(settings: Iterable[Setting], target: Target) -> list[str]:
    """Return a Markdown table of settings."""
    rows = ["| setting | type | default | |", "|---|---|---|---|"]
    for setting in settings:
        default = f"`{json.dumps(setting.default)}`" if setting.has_default else ""
        cells = [_names(setting), _type(setting), default, _about(setting, target)]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*rows, ""]


def _names(setting: Setting) -> str:
    others = f" ({', '.join(f'`{name}`' for name in setting.aliases)})" if setting.aliases else ""
    return f"`{setting.name}`{others}"


def _type(setting: Setting) -> str:
    types = setting.schema.get("type", [])
    types = [types] if isinstance(types, str) else list(types)
    null = ["null"] if "null" in types else []
    if setting.value == "model":
        name = f"list of {setting.model}" if "array" in types else str(setting.model)
        return ", ".join([name, *null])
    if setting.value in ("duration", "date"):
        bare = [f"number of {unit}" for unit in [setting.bare or setting.unit] if unit]
        number = bare if {"number", "integer"} & set(types) else []
        return ", ".join([setting.value, *number, *null])
    if setting.value == "schedule":
        return "schedule"
    if "enum" in setting.schema:
        return ", ".join(_option(str(option), setting) for option in setting.schema["enum"])
    names = [TYPE_NAMES[name] for name in types if name != "null"]
    if setting.value in ("object", "free"):
        names = ["object" if name == "a mapping" else name for name in names]
    return ", ".join([*names, *null])


def _option(option: str, setting: Setting) -> str:
    since = setting.enum_since.get(option)
    return f"`{option}`" if since is None else f"`{option}` (from {since} on)"


def _about(setting: Setting, target: Target) -> str:
    orchestrator = target.orchestrator.capitalize()
    more = []
    if setting.since:
        more.append(f"From {orchestrator} {setting.since} on.")
    if setting.until:
        more.append(f"Up to {orchestrator} {setting.until}.")
    more += [f"Needs {name} {release}." for name, release in setting.needs.items()]
    more += _arguments(setting, orchestrator)
    if setting.templated:
        more.append("*template*")
    return " ".join([setting.doc, *more])


def _arguments(setting: Setting, orchestrator: str) -> Iterator[str]:
    """Yield what the constructor's argument is called where it has another name."""
    by_version = sorted(setting.argument.items(), key=lambda item: version_key(item[0]))
    for number, (since, name) in enumerate(by_version):
        if name == setting.name:
            continue
        when = f" from {orchestrator} {since} on" if number else ""
        if not number and len(by_version) > 1:
            when = f" before {orchestrator} {by_version[1][0]}"
        yield f"Passed as `{name}`{when}."


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
