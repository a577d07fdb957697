"""Packages that a project extends: their settings, templates and targets."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dagforge.errors import DagForgeError
from tests.projects import Ran, build_project, run, write_project

ACME = {
    "acme_dagforge/__init__.py": "raise RuntimeError('its code is imported')\n",
    "acme_dagforge/dagforge.toml": 'target = "acme-pods"\nairflow-version = "3.1"\n',
    "acme_dagforge/targets.yml": """
        acme-pods:
          target: airflow-k8s
          settings: {namespace: data, image: registry.acme.io/base:1}
        """,
    "acme_dagforge/conf/base/airflow.yml": """
        default:
          owner: platform
          retries: 2
          machines: {small: {requests: {cpu: 100m}}}
          labels: {team: platform, cost: shared}
          for_tags:
            pii: {pool: pii}
            unheard-of: {pool: other}
        """,
    "acme_dagforge/conf/prod/airflow.yml": """
        default:
          retries: 4
          namespace: prod
        """,
    "acme_dagforge/templates/templates.yaml": "template_api: 1\n",
    "acme_dagforge/templates/airflow/dag.py.jinja": """
        {% extends "builtin/airflow/dag.py.jinja" %}
        {% block module_docstring %}
        \"\"\"Made by the platform.\"\"\"
        {% endblock %}
        {% block before_tasks %}
            CONTACT = {{ contact }}
        {% endblock %}
        """,
    "acme_dagforge/conf/base/dagforge.yml": "default: {contact: data@acme.io}\n",
}
PLATFORM = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "acme-dagforge"
        version = "2.1.3"

        [project.entry-points."dagforge.policy"]
        acme-owner = "acme_dagforge.rules:owner"
        """,
    "acme_dagforge/rules.py": """
        def owner(dag, *, owners):
            for task in dag.tasks:
                if task.settings["owner"] not in owners:
                    name = task.settings["owner"]
                    yield task.problem(f"'{name}' is unknown here", setting="owner")
        """,
}
SHOP = {"dagforge.toml": 'project = "shop"\nextends = ["acme_dagforge"]\n'}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where Python looks for packages, with `acme_dagforge` in it."""
    site = tmp_path / "site"
    write(site, ACME)
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    return site


def write(folder: Path, files: dict[str, str]) -> None:
    write_project(folder, files)
    (folder / "conf/base/pipelines.yml").unlink()


def explain(root: Path, path: str, *more: str) -> str:
    ran = run("explain", path, "--project", str(root), *more)
    assert ran.code == 0, ran.err
    return ran.out


def created(root: Path, *more: str) -> str:
    ran: Ran = run("create", "--project", str(root), "-o", str(root / "dags"), *more)
    assert ran.code == 0, ran.err
    return (root / "dags" / "shop_etl.py").read_text(encoding="utf-8")


@pytest.mark.usefixtures("site")
def test_a_package_gives_the_lowest_layer_its_target_and_its_templates(tmp_path: Path) -> None:
    root = write_project(tmp_path / "shop", SHOP)
    text = created(root)
    assert '"""Made by the platform."""' in text
    assert 'CONTACT = "data@acme.io"' in text
    assert "#   target    acme-pods\n" in text
    assert "--target acme-pods --airflow-version 3.1\n" in text
    assert '"owner": "platform"' in text
    assert '"image": "registry.acme.io/base:1"' in text
    assert "acme_dagforge" not in sys.modules


@pytest.mark.usefixtures("site")
def test_explain_shows_where_a_package_says_something(tmp_path: Path) -> None:
    settings = {"conf/base/airflow.yml": "default: {owner: shop, labels: {team: shop}}\n"}
    root = write_project(tmp_path / "shop", {**SHOP, **settings, "conf/prod/airflow.yml": ""})
    assert explain(root, "etl.owner") == (
        'etl.owner = "shop"\n'
        '  "shop"      conf/base/airflow.yml:1:18                default (base airflow)\n'
        '  "platform"  acme_dagforge/conf/base/airflow.yml:2:10  default (acme_dagforge base'
        " airflow)\n"
        "Owner of the task, shown in the Airflow UI.\n"
    )
    assert explain(root, "etl.labels").startswith(
        'etl.labels = {"team": "shop", "cost": "shared"}\n'
    )
    # The package's own environment lies below whatever the project says.
    assert explain(root, "etl.retries", "--env", "prod").splitlines()[1:3] == [
        "  4  acme_dagforge/conf/prod/airflow.yml:2:12  default (acme_dagforge prod airflow)",
        "  2  acme_dagforge/conf/base/airflow.yml:3:12  default (acme_dagforge base airflow)",
    ]
    # What a target is for is said by the target.
    assert explain(root, "etl.namespace", "--env", "prod").splitlines()[1:3] == [
        '  "data"  acme_dagforge/targets.yml:3:25            target acme-pods',
        '  "prod"  acme_dagforge/conf/prod/airflow.yml:3:14  default (acme_dagforge prod airflow)',
    ]


@pytest.mark.usefixtures("site")
def test_tags_that_a_project_does_not_have_are_no_mistake_of_it(tmp_path: Path) -> None:
    pipelines = """
        etl:
          nodes:
            - {name: load, func: "team.etl:load", outputs: raw, tags: pii}
        """
    files = {**SHOP, "conf/base/pipelines.yml": pipelines}
    built = build_project(tmp_path / "shop", files, every=True, target="acme-pods", render=True)
    assert built.problems == ()
    assert built.dags[0].tasks[0].settings["pool"] == "pii"


@pytest.mark.usefixtures("site")
def test_a_project_may_choose_another_target(tmp_path: Path) -> None:
    root = write_project(tmp_path / "shop", SHOP)
    assert "PythonOperator" in created(root, "--target", "airflow")


def test_of_several_packages_the_later_wins(tmp_path: Path, site: Path) -> None:
    write(
        site,
        {
            "acme/team/dagforge.toml": 'airflow-version = "2.11"\n',
            "acme/team/conf/base/airflow.yml": "default: {owner: team}\n",
            "acme/team/templates/templates.yaml": "template_api: 1\n",
            "acme/team/templates/airflow/dag.py.jinja": """
                {% extends "acme_dagforge/airflow/dag.py.jinja" %}
                {% block after_tasks %}
                    TEAM = True
                {% endblock %}
                """,
            "acme/team/templates/airflow/values.py.jinja": """
                {% macro Date(date) %}made_of({{ date.parts }}){% endmacro %}
                """,
        },
    )
    facts = 'project = "shop"\nextends = ["acme_dagforge", "acme.team"]\n'
    root = write_project(tmp_path / "shop", {"dagforge.toml": facts})
    text = created(root)
    assert "--airflow-version 2.11\n" in text
    assert '"owner": "team"' in text
    assert 'CONTACT = "data@acme.io"' in text
    assert "TEAM = True" in text
    assert "start_date=made_of(" in text
    own = {
        "templates/templates.yaml": "template_api: 1\n",
        "templates/airflow/dag.py.jinja": '{% extends "acme/team/airflow/dag.py.jinja" %}\n'
        "{% block module_docstring %}\n# the shop's\n{% endblock %}\n",
    }
    write_project(root, own)
    text = created(root, "--templates", str(root / "templates"))
    assert "# the shop's" in text
    assert "TEAM = True" in text


def test_a_release_that_the_project_asks_for(tmp_path: Path, site: Path) -> None:
    metadata = "Metadata-Version: 2.1\nName: acme-dagforge\nVersion: 2.1\n"
    write(site, {"acme_dagforge-2.1.dist-info/METADATA": metadata})
    facts = {"dagforge.toml": 'project = "shop"\nextends = ["acme_dagforge >=2,<3"]\n'}
    assert "Made by the platform" in created(write_project(tmp_path / "shop", facts))


def _renamed(text: str) -> str:
    return text.replace("acme_dagforge", "acme_built").replace("acme-dagforge", "acme-built")


def test_a_package_that_was_built_and_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What hatchling builds from the files that docs/platform.md lists is all that is needed."""
    files = {**ACME, "acme_dagforge/__init__.py": "", **PLATFORM}
    # A name of its own: what is imported once stays.
    source = tmp_path / "source"
    named = {path: path.replace("acme_dagforge", "acme_built") for path in files}
    write(source, {named[path]: _renamed(text) for path, text in files.items()})
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    site = tmp_path / "site-packages"
    with zipfile.ZipFile(next(source.glob("dist/*.whl"))) as wheel:
        wheel.extractall(site)
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    facts = """
        project = "shop"
        extends = ["acme_built ~= 2.1"]
        [policy]
        acme-owner = {owners = ["platform"]}
        """
    root = write_project(tmp_path / "shop", {"dagforge.toml": facts})
    assert "Made by the platform" in created(root)
    ran = run("validate", "--project", str(root), "--params", "owner=me")
    assert (ran.code, ran.err) == (
        1,
        "conf/base/pipelines.yml:1:1: error: 'me' is unknown here [policy]\n"
        "  task 'load' of pipeline 'etl' and 1 more; rule 'acme-owner', dagforge.toml:4:14\n",
    )


def test_what_runs_nodes_needs_no_package(tmp_path: Path) -> None:
    """An image holds the project, not what its DAG was generated with."""
    from dagforge.conf import read_conf, read_project
    from dagforge.frontends import load

    root = write_project(tmp_path / "shop", SHOP)
    conf = read_conf(root, project=read_project(root), environ={})
    assert [node.name for node in load("etl", conf).nodes] == ["load", "clean"]
    with pytest.raises(DagForgeError, match="'acme_dagforge' is not installed"):
        build_project(root, SHOP)


@pytest.mark.usefixtures("site")
def test_completion_knows_the_targets_of_packages(tmp_path: Path) -> None:
    from dagforge.build import Request
    from dagforge.cli.completion import complete

    root = write_project(tmp_path / "shop", SHOP)
    found = complete("targets", lambda: Request(root=root), "acme")
    assert [item.value for item in found] == ["acme-pods"]
