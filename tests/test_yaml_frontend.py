"""Pipelines in YAML: what comes out of them, and every error's whole text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from dagforge.conf import Conf, read_conf
from dagforge.errors import DagForgeError, LoadError
from dagforge.frontends import load, registry
from dagforge.ir import Dataset, Node, Operator, Pipeline, Work

REFUSED = Path(__file__).parent / "refused_pipelines.txt"


def conf_of(root: Path, files: Mapping[str, str], env: str | None = None) -> Conf:
    """Return the configuration with these files, named from conf/base or as `env/file`."""
    for name, text in files.items():
        path = root / "conf" / (name if "/" in name else f"base/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_conf(root, env=env, environ={})


def problems_of(conf: Conf) -> str:
    """Return the problems of all pipelines, each said once."""
    try:
        names = list(registry(conf))
    except LoadError as exc:
        return str(exc)
    return "\n".join(dict.fromkeys(text for name in names for text in problems_in(name, conf)))


def problems_in(name: str, conf: Conf) -> list[str]:
    try:
        load(name, conf)
    except DagForgeError as exc:
        return [str(problem) for problem in exc.problems]
    return []


def cases() -> list[tuple[str, dict[str, str]]]:
    """Return the cases in the file: their name, and their texts by name."""
    found = []
    for case in re.split(r"^=== ", REFUSED.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, _, body = case.partition("\n")
        parts = re.split(r"^--- (.*)\n", body, flags=re.MULTILINE)[1:]
        found.append((name, dict(zip(parts[::2], parts[1::2], strict=True))))
    return found


@pytest.mark.parametrize("name", [name for name, _ in cases()])
def test_what_is_refused(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    texts = dict(cases())[name]
    expected = texts.pop("error").strip("\n")
    found = problems_of(conf_of(tmp_path, texts))
    assert found
    if request.config.getoption("--golden") and found != expected:
        all_cases = REFUSED.read_text(encoding="utf-8")
        before, mark, rest = all_cases.partition(f"=== {name}\n")
        texts_of_case, error, after = rest.partition("--- error\n")
        after = after.removeprefix(expected)
        REFUSED.write_text(before + mark + texts_of_case + error + found + after, encoding="utf-8")
        return
    assert found == expected


def node_of(tmp_path: Path, text: str, **files: str) -> Node:
    """Return the only node of a pipeline with it."""
    files = {f"{name}.yml": content for name, content in files.items()}
    conf = conf_of(tmp_path, {"pipelines.yml": f"p: {{nodes: [{text}]}}\n", **files})
    (node,) = load("p", conf).nodes
    return node


ACTIONS = [
    pytest.param("func: a.b:c", Work("function", "a.b:c"), "a.b", id="function"),
    pytest.param("func: m:C.method", Work("function", "m:C.method"), "m", id="method"),
    pytest.param(
        "command: [sh, -c, 'a | b', '']",
        Work("command", command=("sh", "-c", "a | b", "")),
        None,
        id="command",
    ),
    pytest.param(
        "operator: {type: p.m.Op, arguments: {sql: '{{ ds }}', n: [1, null]}}",
        Operator("p.m.Op", {"sql": "{{ ds }}", "n": [1, None]}),
        None,
        id="operator",
    ),
    pytest.param("operator: {type: p.Op}", Operator("p.Op", {}), None, id="bare operator"),
]


@pytest.mark.parametrize(("text", "action", "module"), ACTIONS)
def test_what_a_node_does(
    text: str, action: Work | Operator, module: str | None, tmp_path: Path
) -> None:
    node = node_of(tmp_path, f"{{name: a, {text}}}")
    assert node.action == action
    assert node.module == module


def test_all_keys_of_a_node(tmp_path: Path) -> None:
    node = node_of(
        tmp_path,
        "{name: a b, func: m:f, inputs: {x: data, y: params:n, z: data}, outputs: [o, p],"
        " tags: [t, u, t], namespace: my.space, settings: {retries: 3}}",
        catalog="data: {path: d}\n",
        parameters="n: 1\n",
    )
    assert node.name == "a b"
    assert node.action == Work("function", "m:f", (), {"x": "data", "y": "params:n", "z": "data"})
    assert node.inputs == ("data", "params:n")
    assert node.outputs == ("o", "p")
    assert node.tags == ("t", "u")
    assert node.namespace == "my.space"
    assert node.settings == {"retries": 3}
    assert str(node.origin.location()) == "conf/base/pipelines.yml:1:13"


@pytest.mark.parametrize(
    ("text", "inputs", "outputs"),
    [
        ("inputs: x, outputs: y", ("x",), ("y",)),
        ("inputs: [x], outputs: [y, z]", ("x",), ("y", "z")),
        ("inputs: null, outputs: null, tags: null, after: null", (), ()),
        ("inputs: [], outputs: []", (), ()),
        ("outputs: y", (), ("y",)),
    ],
)
def test_datasets_of_a_node(
    text: str, inputs: tuple[str, ...], outputs: tuple[str, ...], tmp_path: Path
) -> None:
    node = node_of(tmp_path, f"{{name: a, func: m:f, {text}}}", catalog="x: {path: d}\n")
    assert (node.inputs, node.outputs) == (inputs, outputs)


SEVERAL = """
_common: &common {func: m:f}
__default__: {include: [prepare, learn]}
prepare:
  description: First.
  nodes:
    - {name: a, <<: *common, outputs: x, tags: early}
    - {name: b, <<: *common, inputs: x, outputs: y, tags: late}
learn:
  nodes:
    - {name: c, <<: *common, inputs: y, after: a, tags: late}
some: {select: {from: __default__, tags: late}}
both: {include: [prepare, some, __default__]}
"""


def shape(pipeline: Pipeline) -> list[str]:
    return [" ".join([node.name, *node.after]) for node in pipeline.nodes]


def test_pipelines_made_of_others(tmp_path: Path) -> None:
    conf = conf_of(tmp_path, {"pipelines.yml": SEVERAL, "catalog.yml": "x: {path: x}\n"})
    assert list(registry(conf)) == ["__default__", "prepare", "learn", "some", "both"]
    assert load("prepare", conf).description == "First."
    assert shape(load("__default__", conf)) == ["a", "b", "c a"]
    assert shape(load("some", conf)) == ["b", "c"]
    # What is reached on several ways is one node, with every order that one of them needs.
    assert shape(load("both", conf)) == ["a", "b", "c a"]


def test_what_follows_from_a_node_that_was_left_out_stays(tmp_path: Path) -> None:
    text = """
p:
  nodes:
    - {name: a, func: m:f}
    - {name: b, func: m:f, after: a}
    - {name: c, func: m:f, after: b}
q: {select: {from: p, nodes: [a, c]}}
"""
    assert shape(load("q", conf_of(tmp_path, {"pipelines.yml": text}))) == ["a", "c a"]


def test_a_long_chain_of_includes_does_not_recurse(tmp_path: Path) -> None:
    lines = ["p0: {nodes: [{name: a, func: m:f}]}\n"]
    lines += [f"p{i}: {{include: [p{i - 1}]}}\n" for i in range(1, 3_000)]
    conf = conf_of(tmp_path, {"pipelines.yml": "".join(reversed(lines))})
    assert shape(load("p2999", conf)) == ["a"]


def test_a_long_circle_of_includes_does_not_recurse(tmp_path: Path) -> None:
    lines = [f"p{i}: {{include: [p{(i + 1) % 3_000}]}}\n" for i in range(3_000)]
    conf = conf_of(tmp_path, {"pipelines.yml": "".join(lines)})
    with pytest.raises(DagForgeError) as caught:
        load("p17", conf)
    assert str(caught.value).startswith(
        "conf/base/pipelines.yml:1:16: error: pipeline 'p0' is made of itself: p0 -> p1 -> "
    )


def test_pipelines_of_several_files_are_one_registry(tmp_path: Path) -> None:
    files = {
        "pipelines.yml": "b: {nodes: [{name: b, func: m:f}]}\n",
        "pipelines/a.yaml": "a: {include: [b]}\n",
        "pipelines_more.yml": "c: {nodes: [{name: c, func: m:f}]}\n",
    }
    files = {name if "/" not in name else f"base/{name}": text for name, text in files.items()}
    conf = conf_of(tmp_path, files)
    assert list(registry(conf)) == ["a", "b", "c"]
    assert shape(load("a", conf)) == ["b"]


def test_a_pipeline_that_two_files_define(tmp_path: Path) -> None:
    text = "a: {nodes: [{name: b, func: m:f}]}\n"
    conf = conf_of(tmp_path, {"pipelines.yml": text, "pipelines_b.yml": "\n" + text})
    assert problems_of(conf) == (
        "conf/base/pipelines_b.yml:2:1: error: pipeline 'a' is defined twice, first at"
        " conf/base/pipelines.yml:1:1 [duplicate-pipeline]\n"
        "  fix: rename one of them"
    )


def test_a_pipeline_that_there_is_not(tmp_path: Path) -> None:
    conf = conf_of(tmp_path, {"pipelines.yml": "clean: {nodes: [{name: b, func: m:f}]}\n"})
    with pytest.raises(LoadError) as caught:
        load("claen", conf)
    assert str(caught.value) == (
        "error: there is no pipeline 'claen' [unknown-pipeline]\n  fix: did you mean 'clean'?"
    )


CATALOG = """
_csv: &csv {type: pandas.CSVDataset}
kedro: {<<: *csv, filepath: data/a.csv, load_args: {sep: ;}}
ours: {path: s3://b/x, format: parquet, shared: true}
folder: {type: partitions.PartitionedDataset, path: data/parts, dataset: *csv}
table: {type: pandas.SQLTableDataset, table_name: t}
memory: {type: MemoryDataset}
old: {type: kedro.io.MemoryDataSet, copy_mode: assign}
cached: {type: CachedDataset, dataset: {type: pandas.CSVDataset, filepath: c.csv}}
held: {type: CachedDataset, dataset: MemoryDataset}
stored: {format: pickle}
"{layer}.{name}#csv": {<<: *csv, filepath: "data/{layer}/{name}.csv"}
"{name}#csv": {<<: *csv, filepath: "data/{name}.csv"}
"{a}_to_{a}": {path: "{a}"}
"""

DATASETS = [
    ("kedro", True, "data/a.csv", "pandas.CSVDataset", False),
    ("ours", True, "s3://b/x", "parquet", True),
    ("folder", True, "data/parts", "partitions.PartitionedDataset", False),
    ("table", True, None, "pandas.SQLTableDataset", False),
    ("memory", False, None, "MemoryDataset", False),
    ("old", False, None, "kedro.io.MemoryDataSet", False),
    ("cached", True, None, "CachedDataset", False),
    ("held", False, None, "CachedDataset", False),
    ("stored", False, None, "pickle", False),
    ("raw.orders#csv", True, "data/raw/orders.csv", "pandas.CSVDataset", False),
    ("orders#csv", True, "data/orders.csv", "pandas.CSVDataset", False),
    ("x_to_x", True, "x", None, False),
]


@pytest.mark.parametrize(("name", "persisted", "uri", "form", "shared"), DATASETS)
def test_what_the_catalog_says(
    name: str, persisted: bool, uri: str | None, form: str | None, shared: bool, tmp_path: Path
) -> None:
    text = f"p: {{nodes: [{{name: a, func: m:f, inputs: '{name}'}}]}}\n"
    conf = conf_of(tmp_path, {"pipelines.yml": text, "catalog.yml": CATALOG})
    dataset = load("p", conf).datasets[name]
    args = {"sep": ";"} if name == "kedro" else {}
    assert dataset == Dataset(name, dataset.origin, persisted, uri, form, shared, load_args=args)


def test_no_factory_fits(tmp_path: Path) -> None:
    text = "p: {nodes: [{name: a, func: m:f, inputs: x_to_y}]}\n"
    conf = conf_of(tmp_path, {"pipelines.yml": text, "catalog.yml": CATALOG})
    assert problems_of(conf).startswith(
        "conf/base/pipelines.yml:1:42: error: node 'a' reads 'x_to_y', which nothing writes"
    )


def test_an_environment_replaces_entries_as_a_whole(tmp_path: Path) -> None:
    text = "p: {nodes: [{name: a, func: m:f, inputs: [x, y, params:m.a]}]}\n"
    files = {
        "pipelines.yml": text,
        "catalog.yml": "x: {path: base, shared: true}\ny: {path: y}\n",
        "parameters.yml": "m: {a: 1}\n",
        "cloud/catalog.yml": "x: {path: cloud}\n",
    }
    datasets = load("p", conf_of(tmp_path, files, env="cloud")).datasets
    assert (datasets["x"].uri, datasets["x"].shared, datasets["y"].uri) == ("cloud", False, "y")
    files["cloud/parameters.yml"] = "m: {b: 1}\n"
    assert problems_of(conf_of(tmp_path, files, env="cloud")).startswith(
        "conf/base/pipelines.yml:1:49: error: node 'a' reads 'params:m.a'"
    )


def test_an_entry_that_two_files_of_one_layer_have(tmp_path: Path) -> None:
    files = {
        "pipelines.yml": "p: {nodes: [{name: a, func: m:f}]}\n",
        "catalog.yml": "x: {path: a}\n_y: 1\n",
        "catalog_b.yml": "_y: 2\nx: {path: b}\n",
    }
    assert problems_of(conf_of(tmp_path, files)) == (
        "conf/base/catalog_b.yml:2:1: error: the dataset 'x' is declared twice, first at"
        " conf/base/catalog.yml:1:1 [duplicate-key]\n"
        "  fix: remove one of them"
    )


def test_the_demo_project() -> None:
    conf = read_conf(Path(__file__).parents[1], env="cloud", environ={})
    assert list(registry(conf)) == ["__default__", "data_processing", "data_science"]
    pipeline = load("__default__", conf)
    assert [node.name for node in pipeline.nodes] == [
        "preprocess_companies_node",
        "preprocess_shuttles_node",
        "create_model_input_table_node",
        "split_data_node",
        "train_model_node",
        "evaluate_model_node",
    ]
    assert {tag for node in pipeline.nodes for tag in node.tags} == {
        "airflow:companies",
        "airflow:shuttles",
        "airflow:split",
        "machine:medium",
    }
    assert {name for name in pipeline.datasets if not pipeline.datasets[name].persisted} == set()
    for name in ("data_processing", "data_science"):
        assert len(load(name, conf).nodes) == 3


def test_the_examples_of_the_documentation(tmp_path: Path) -> None:
    page = Path(__file__).parents[1] / "docs" / "pipelines.md"
    blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    catalog = [block for block in blocks if "catalog.yml" in block.splitlines()[0]]
    assert len(catalog) == 1
    files = {
        "pipelines.yml": "\n".join(block for block in blocks if block not in catalog),
        "catalog.yml": catalog[0] + "model_input_table: {path: data/table}\n",
        "parameters.yml": "model_options: {test_size: 0.2}\nload: {mode: append}\n",
    }
    conf = conf_of(tmp_path, files)
    assert problems_of(conf) == ""
    assert {name: shape(load(name, conf)) for name in registry(conf)} == {
        "data_science": ["split_data_node", "train_model_node"],
        "split_only": ["split_data_node"],
        "ingest": ["wait_for_file", "unpack wait_for_file", "load"],
    }
