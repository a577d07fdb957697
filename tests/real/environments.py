"""The interpreters of the real orchestrators, which `make environments` installs."""

from __future__ import annotations

from pathlib import Path

_PROJECT = Path(__file__).parents[2]


def python_of(name: str) -> Path:
    """Return the interpreter of a real environment.

    Args:
        name: what its lock file in `tests/real/requirements` is called, such as `airflow-3.3`.

    Raises:
        FileNotFoundError: there is no such environment here. A missing orchestrator fails a test
            and never skips it: a skipped test would look like a file that loads.
    """
    if not (_PROJECT / "tests/real/requirements" / f"{name}.txt").is_file():
        raise FileNotFoundError(f"no lock file tests/real/requirements/{name}.txt")
    python = _PROJECT / ".venvs" / name / "bin" / "python"
    if not python.exists():
        raise FileNotFoundError(f"the environment {name!r} is not installed: run make real")
    return python
