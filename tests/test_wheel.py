"""The wheel works in an empty environment that knows nothing of the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import dagforge
from tests.actions import run_action
from tests.projects import write_project

PROJECT = Path(__file__).parents[1]
LOCKS = PROJECT / "tests/real/requirements"
COPY_DEMO = """
import shutil
from dagforge.resources import demo_conf_dir

shutil.copytree(demo_conf_dir(), "conf")
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Return what a command prints; a failure shows everything that it said."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, (
        f"{command} exited with {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built from the source distribution as a package index would get both."""
    folder = tmp_path_factory.mktemp("dist")
    hatchling = (sys.executable, "-m", "hatchling", "build")
    run(*hatchling, "-t", "sdist", "-d", folder, cwd=PROJECT)
    (source,) = folder.glob("*.tar.gz")
    run(sys.executable, "-m", "tarfile", "--extract", source, folder, cwd=folder)
    run(*hatchling, "-t", "wheel", "-d", folder, cwd=folder / source.name.removesuffix(".tar.gz"))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session", params=["demo", "oldest"])
def scripts(
    wheel: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of programs of an environment that holds the wheel and what it asks for.

    Once in the versions that are new, once in the oldest that pyproject.toml allows.
    """
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", environment, cwd=environment)
    scripts = environment / "bin"
    lock = LOCKS / f"{request.param}.txt"
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(scripts / "python", *install, "--constraint", lock, wheel, cwd=environment)
    return scripts


def test_wheel_holds_what_the_checkout_holds(wheel: Path) -> None:
    places = {
        "dagforge": "dagforge",
        "templates": "dagforge/_templates",
        "conf": "dagforge/_conf",
        "demo": "dagforge/_demo",
        "examples": "dagforge/_examples",
    }
    expected = {
        f"{place}/{file.relative_to(PROJECT / folder).as_posix()}"
        for folder, place in places.items()
        for file in (PROJECT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    expected.add("dagforge/_docs/errors.md")
    assert {"dagforge/py.typed", "dagforge/_conf/base/pipelines.yml"} <= expected
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    information = f"dagforge-{dagforge.__version__}.dist-info"
    assert {path for path in packed if not path.startswith(information)} == expected
    assert f"{information}/licenses/LICENSE" in packed


def test_installed_program_says_its_version(scripts: Path, tmp_path: Path) -> None:
    place = run(scripts / "python", "-c", "import dagforge; print(dagforge.__file__)", cwd=tmp_path)
    assert Path(place).is_relative_to(scripts.parent)
    for command in [scripts / "dagforge"], [scripts / "python", "-m", "dagforge"]:
        assert dagforge.__version__ in run(*command, "--version", cwd=tmp_path).split()


@pytest.mark.parametrize("target", ["airflow", "airflow-k8s", "airflow-gke", "prefect"])
def test_installed_program_compiles_the_demo(scripts: Path, tmp_path: Path, target: str) -> None:
    run(scripts / "python", "-c", COPY_DEMO, cwd=tmp_path)
    create = ("create", "--all", "--conf", "conf", "--target", target, "--output-dir", "dags")
    run(scripts / "dagforge", *create, cwd=tmp_path)
    written = {file.name: file.read_bytes() for file in (tmp_path / "dags").glob("*.py")}
    assert len(written) == 3, "spaceflights has __default__, data_processing and data_science"
    for name, text in written.items():
        compile(text, name, "exec")
    run(scripts / "dagforge", *create, "--check", cwd=tmp_path)


def test_the_action_installs_the_release_that_it_comes_with(tmp_path: Path) -> None:
    project = write_project(tmp_path / "shop", {"dagforge.toml": 'project = "shop"\n'})
    created = [sys.executable, "-m", "dagforge", "create", "--quiet"]
    subprocess.run(created, cwd=project, check=True)
    done = run_action(tmp_path, tmp_path, install=True, project="shop", strict="false")
    assert [(name, code) for name, code, _ in done] == [
        ("Install DagForge", 0),
        ("Are the definitions right?", 0),
        ("Are the files what they give?", 0),
    ], done
    assert (tmp_path / "dagforge/bin/dagforge").is_file()
