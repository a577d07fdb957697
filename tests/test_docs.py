"""The pages of docs/: generated ones are up to date, and what they show is true."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import jinja2
import pytest

from dagforge.cli import invoke
from dagforge.commands.template_files import blocks, read_template
from dagforge.planning.model import DagPlan, Task
from dagforge.render import CONTEXT_NAMES, TEMPLATE_API, Templates
from dagforge.resources import templates_dir
from dagforge.target import read_target
from scripts.settings_page import PAGE, main, page

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TEMPLATES = (DOCS / "templates.md").read_text(encoding="utf-8")
FILE = re.compile(r"^```\w+ (?P<path>\S+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


def test_settings_page_is_up_to_date(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--golden"):
        main()
    assert PAGE.read_text(encoding="utf-8") == page(), "run python scripts/settings_page.py"


@pytest.mark.parametrize("target", ["airflow-k8s", "prefect"])
def test_every_setting_is_on_the_page(target: str) -> None:
    for name in read_target(target, templates_dir()).canonical:
        assert f"`{name}`" in page()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (DOCS / link).exists(), link


# --- docs/templates.md


def test_every_block_is_described() -> None:
    for orchestrator in ("airflow", "prefect"):
        for block in blocks(read_template(f"{orchestrator}/dag.py.jinja")):
            assert f"`{block}`" in TEMPLATES, block
    described = set(
        re.findall(r"^\| `(\w+)` \|", TEMPLATES.partition("## What a template")[0], re.M)
    )
    assert described == set(blocks(read_template("airflow/dag.py.jinja"))) | {"deployment"}


@pytest.mark.parametrize(("name", "kind"), [("dag", DagPlan), ("task", Task)])
def test_every_attribute_is_described(name: str, kind: type) -> None:
    fields = {field.name for field in dataclasses.fields(kind)}
    properties = {key for key, value in vars(kind).items() if isinstance(value, property)}
    rows = "".join(re.findall(rf"^\| `{name}\..*? \|", TEMPLATES, re.M))
    assert set(re.findall(rf"`{name}\.(\w+)`", rows)) == fields | properties


def test_every_name_of_the_context_is_described() -> None:
    for name in CONTEXT_NAMES:
        assert f"| `{name}` |" in TEMPLATES
    ours = Templates.open(
        None, templates_dir(), read_target("airflow", templates_dir())
    ).environment
    plain = jinja2.Environment()
    for name in ours.globals.keys() - plain.globals.keys():
        assert f"| `{name}(" in TEMPLATES, name
    assert f"template_api: {TEMPLATE_API}\n" in TEMPLATES
    assert {name for name in ours.filters.keys() - plain.filters.keys() if name.isidentifier()} == {
        "code",
        "names",
        "suffixed",
    }


def test_the_example_gives_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "shop"
    files = {match["path"]: match["text"] for match in FILE.finditer(TEMPLATES)}
    expected = files.pop("dags/shop_etl.py")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    invoke(["create", "--target", "airflow-k8s", "--templates", "templates"])
    written = (folder / "dags" / "shop_etl.py").read_text(encoding="utf-8")
    if request.config.getoption("--golden"):
        replaced = TEMPLATES.replace(
            f"```python dags/shop_etl.py\n{expected}```",
            f"```python dags/shop_etl.py\n{written}```",
        )
        (DOCS / "templates.md").write_text(replaced, encoding="utf-8")
    else:
        assert written == expected
