"""Projects of any size, written as people write them: a line for each key of a node."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

INPUTS = 3
# How far back a node reads: pipelines are long rather than tangled.
REACH = 200

SETTINGS = """\
default:
  image: registry.example.com/team/pipelines:2024.1
  namespace: jobs
  store_url: s3://example-bucket/store
  owner: data-platform
  schedule: "@daily"
  start_date: "2024-01-01"
  catchup: false
  retries: 2
  retry_delay: 5m
  machines:
    medium:
      requests: {cpu: 500m, memory: 1Gi}
      limits: {memory: 2Gi}
"""
SUBJECTS = ("companies", "shuttles", "reviews", "orders", "customers", "payments", "prices")
VERBS = ("preprocess", "join", "clean", "aggregate", "score", "split", "enrich", "validate")


def write_project(folder: Path, *, pipelines: int, nodes: int, group: int | None) -> Path:
    """Write a project of many pipelines and return its folder.

    Each node reads `INPUTS` datasets of earlier nodes, so there are about as many edges.

    Args:
        folder: does not exist yet.
        pipelines: each in a file of its own.
        nodes: in each pipeline.
        group: how many neighbours share a task; None leaves each alone.
    """
    base = folder / "conf" / "base"
    (base / "pipelines").mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.dagforge]\nproject = "measured"\n')
    (base / "airflow.yml").write_text(SETTINGS)
    chance = random.Random(1)
    for number in range(pipelines):
        name = f"pipeline_{number:03}"
        text = "".join(_definition(name, nodes, group, chance))
        (base / "pipelines" / f"{name}.yml").write_text(text)
    return folder


def _definition(name: str, nodes: int, group: int | None, chance: random.Random) -> Iterator[str]:
    yield f"{name}:\n  description: Measured, never run.\n  nodes:\n"
    written: list[str] = []
    for number in range(nodes):
        verb, subject = chance.choice(VERBS), chance.choice(SUBJECTS)
        earlier = written[-REACH:]
        inputs = sorted(chance.sample(earlier, min(INPUTS, len(earlier))))
        output = f"{subject}_{number}"
        tags = ["machine:medium"]
        if group is not None:
            tags.insert(0, f"airflow:step_{number // group}")
        yield f"    - name: {verb}_{subject}_{number}_node\n"
        yield f"      func: measured.{subject}:{verb}_{subject}\n"
        if inputs:
            yield f"      inputs: [{', '.join(inputs)}]\n"
        yield f"      outputs: {output}\n"
        yield f"      tags: [{', '.join(tags)}]\n\n"
        written.append(output)


def write_hamilton_project(folder: Path, functions: int) -> None:
    """Write a project whose only module has so many functions, each of which takes two others."""
    texts = ["def f0(size: int) -> int:\n    return size\n"]
    for number in range(1, functions):
        taken = sorted({number - 1, max(0, number - 7)})
        arguments = ", ".join(f"f{each}: int" for each in taken)
        texts.append(f"def f{number}({arguments}) -> int:\n    return f{taken[0]}\n")
    files = {
        "big.py": "\n\n".join(texts),
        "conf/base/pipelines.yml": "big: {hamilton: {modules: [big], inputs: {size: 3}}}\n",
        "dagforge.toml": 'project = "big"\n',
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
