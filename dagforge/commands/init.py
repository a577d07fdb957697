"""The start of a project: the demo's configuration and code or an example, and what git knows."""

from __future__ import annotations

from pathlib import Path

from dagforge.commands.examples import DEMO, read_example
from dagforge.errors import OutputError, SourceLocation
from dagforge.output.new_files import create_files
from dagforge.planning.names import slug
from dagforge.resources import demo_conf_dir, demo_dir

FACTS = """\
# Facts about this project. The same keys may stand under [tool.dagforge] in pyproject.toml instead.

# Every dag_id begins with it.
project = "{name}"

# What `dagforge create` writes for: airflow, airflow-k8s, airflow-gke or prefect.
target = "airflow-k8s"
# airflow-version = "3.3"

# Where it writes to, and the environment (a folder in conf/) that it reads.
# output = "dags"
# env = "cloud"

# What it writes unless --pipeline or --all is given. Without it: __default__.
# pipelines = ["data_processing", "data_science"]

# A folder with templates of your own; `dagforge templates copy NAME` puts the first one there.
# templates = "templates"

# Environment variables that the configuration may read as ${{env:NAME}}.
# inputs = ["IMAGE_TAG"]

# Checked before anything else, so that two versions never rewrite each other's files.
# required-version = "~=0.1"

# Where `dagforge deploy` brings the files: Airflow's folder of DAGs, in a bucket or here.
# deploy.url = "gs://bucket/dags"
"""
FACTS_FILE = Path("dagforge.toml")
GIT_ATTRIBUTES = "dags/*.py eol=lf linguist-generated"


def init_project(folder: Path, *, force: bool, example: str = DEMO) -> list[tuple[str, Path]]:
    """Write a project that `dagforge create` compiles; return what became of each file.

    Args:
        folder: made when it does not exist; may hold other files.
        force: overwrite files that hold something else; `.gitattributes` is only added to.
        example: what it begins with, one of `examples.names()`.

    Returns:
        `created`, `changed` or `unchanged` for each file.

    Raises:
        OutputError: a file is in the way or cannot be written; nothing was changed then.
    """
    files = _read_demo(folder) if example == DEMO else read_example(example)
    if _has_facts(folder / "pyproject.toml"):
        files.pop(FACTS_FILE, None)
    contents = {folder / path: content for path, content in files.items()}
    attributes = folder / ".gitattributes"
    contents[attributes] = _with_line(attributes, GIT_ATTRIBUTES)
    # Many projects have this file; a line at its end takes nothing away.
    return create_files(contents, may_replace=contents if force else {attributes})


def _read_demo(folder: Path) -> dict[Path, bytes]:
    """Return the content of each file of the demo, as a project called like its folder."""
    conf, code = demo_conf_dir(), demo_dir()
    files = {
        Path("conf") / file.relative_to(conf): file.read_bytes()
        for file in sorted(conf.rglob("*"))
        if file.suffix in (".yml", ".yaml") and file.is_file()
    }
    files |= {file.relative_to(code): file.read_bytes() for file in sorted(code.rglob("*.py"))}
    name = slug(folder.absolute().resolve().name) or "project"
    files[FACTS_FILE] = FACTS.format(name=name).encode()
    return files


def _has_facts(pyproject: Path) -> bool:
    return pyproject.is_file() and b"[tool.dagforge" in _read(pyproject)


def _with_line(path: Path, line: str) -> bytes:
    """Return the content of a file, with one line more unless it is there."""
    content = _read(path) if path.is_file() else b""
    if line.encode() in content.splitlines():
        return content
    if content and not content.endswith(b"\n"):
        content += b"\n"
    return content + line.encode() + b"\n"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise OutputError.of(
            "unreadable", f"cannot be read: {exc.strerror}", at=SourceLocation(path.as_posix())
        ) from exc
