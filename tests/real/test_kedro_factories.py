"""Dataset factories give what Kedro's own resolver gives."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.real.environments import python_of
from tests.real.kedro_runs import VERSIONS, variables
from tests.real.run_project import REPOSITORY

ENTRIES = {
    "plain": {"type": "pandas.CSVDataset", "filepath": "data/plain.csv"},
    "{layer}.{name}": {"type": "pandas.CSVDataset", "filepath": "data/{layer}/{name}.csv"},
    "{space}.model": {
        "type": "partitions.PartitionedDataset",
        "dataset": {"type": "pickle.PickleDataset", "load_args": {"names": ["{space}", 1, None]}},
        "path": "models/{space}",
    },
    "raw_{name}@{kind}": {"type": "json.JSONDataset", "filepath": "raw/{name}"},
    "More_{what}": {"type": "json.JSONDataset", "filepath": "more/{what}.json"},
    "more_{what}_{way}": {"type": "json.JSONDataset", "filepath": "more/{what}/{way}.json"},
}
NAMES = [
    "shop.table",
    "shop.model",
    "a.b.model",
    "shop.models",
    "raw_x@pandas",
    "raw_@pandas",
    "more_x",
    "MORE_X",
    "more_x_y",
    "more_x_y_z",
    "more_",
    "12_th",
    "x_th",
    "nothing",
    "zażółć.jaźń",
    "a b.c\nd",
    "{name}",
]
BOTH = """\
import json, sys
from kedro.io.catalog_config_resolver import CatalogConfigResolver
from dagforge.frontends.kedro.factories import factories_of, made_by

entries, names = json.load(sys.stdin)
resolver = CatalogConfigResolver(entries, {})
factories = factories_of(resolver.list_patterns(), entries)
answers = []
for name in names:
    found = made_by(factories, name)
    theirs = resolver.resolve_pattern(name)
    if theirs == {"type": "kedro.io.MemoryDataset"}:
        theirs = None  # what Kedro 1 says of a name that nothing declares
    answers.append([name, None if found is None else found[1], theirs or None])
print(json.dumps(answers))
"""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("catch_all", [False, True], ids=["", "catch-all"])
def test_factories_are_kedros(version: str, catch_all: bool) -> None:
    more = {"{default}": {"type": "pickle.PickleDataset", "filepath": "all/{default}.pkl"}}
    done = subprocess.run(
        [str(python_of(f"kedro-{version}")), "-c", BOTH],
        input=json.dumps([{**ENTRIES, **(more if catch_all else {})}, NAMES]),
        env=variables(REPOSITORY),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    for name, ours, theirs in answers:
        assert ours == theirs, name
    assert sum(ours is not None for _, ours, _ in answers) == (len(NAMES) if catch_all else 11)
