"""Where the built-in templates and the demo project lie, in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def templates_dir() -> Path:
    """Return the folder of the built-in templates, one folder an orchestrator."""
    return _find("templates")


def demo_conf_dir() -> Path:
    """Return the `conf` folder of the demo project, which `dagforge init` copies."""
    return _find("conf")


def demo_dir() -> Path:
    """Return the folder with the demo project's code, and the script that writes its data."""
    return _find("demo")


def examples_dir() -> Path:
    """Return the folder of the examples, one folder a project, which `dagforge init` copies."""
    return _find("examples")


def errors_page() -> str:
    """Return docs/errors.md, the page of all error codes."""
    return (_find("docs") / "errors.md").read_text(encoding="utf-8")


def _find(name: str) -> Path:
    # The wheel first: beside an installed package, `templates` would be another project's folder.
    packaged = _PACKAGE / f"_{name}"
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
