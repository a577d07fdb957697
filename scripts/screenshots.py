"""Make the pictures in docs/images: the report of the demo project, in a real browser.

python scripts/screenshots.py, in the environment .venv, after `make .venvs/browser/.installed`, which
installs the browser.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.real.browser import ask  # noqa: E402

IMAGES = ROOT / "docs" / "images"
PIPELINE = "#pipeline-0"
OPEN = {"click": f'nav a[href="{PIPELINE}"]'}
SIZE = {"width": 1280, "height": 800}
# A moment after which a drawing is painted in its new size.
REST = {"ask": "new Promise((done) => setTimeout(done, 500))"}
RUN = f"{PIPELINE} .run"


def dagforge(folder: Path, *arguments: str) -> None:
    """Run a command of DagForge in a folder.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    subprocess.run([sys.executable, "-m", "dagforge", *arguments], cwd=folder, check=True)


def demo(folder: Path) -> Path:
    """Return the report of the demo project, with one run of it."""
    dagforge(folder, "init", "spaceflights")
    project = folder / "spaceflights"
    (project / "conf/base/dagforge.yml").write_text("default: {preview_rows: 3}\n")
    subprocess.run([sys.executable, "make_data.py"], cwd=project, check=True)
    dagforge(project, "run", "__default__", "--run-id", "monday", "--jobs", "2")
    dagforge(project, "report", "-q", "--store", ".dagforge/store")
    return project / "dagforge-report.html"


def shots() -> Mapping[str, tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]:
    """Return what is done before each picture, by its name, after how the page is opened."""
    return {
        "report.png": (
            {},
            [OPEN, {"click": f'{PIPELINE}-after .shape[data-name="split"]'}, REST],
        ),
        "report-dark.png": (
            {"dark": True},
            [
                OPEN,
                {"click": f"{PIPELINE} .views button:nth-child(3)"},
                {"click": f'{PIPELINE}-nodes .shape[data-name="split_data_node"]'},
                REST,
            ],
        ),
        "report-run.png": (
            {},
            [
                OPEN,
                {"click": f"{RUN} > summary"},
                {"click": f'{RUN} .shape[data-name="evaluate_model_node"]'},
                {"ask": f"document.querySelector('{RUN}').scrollIntoView({{behavior: 'instant'}})"},
                REST,
            ],
        ),
    }


def main() -> None:
    """Write every picture."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        page = demo(Path(folder))
        for name, (how, steps) in shots().items():
            last = {"screenshot": str(IMAGES / name)}
            answer = ask("visit", file=str(page), steps=[*steps, last], **SIZE, **how)
            if answer["complaints"]:
                sys.exit(f"{name}: {answer['complaints']}")
            print(f"docs/images/{name}")


if __name__ == "__main__":
    main()
