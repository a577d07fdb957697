"""Chromium, Mermaid and Graphviz, asked by way of Node: `tests/real/browser/browser.mjs`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_ENVIRONMENT = _HERE.parents[1] / ".venvs" / "browser"


def ask(question: str, **about: Any) -> dict[str, Any]:
    """Return the answer to a question of `browser.mjs`.

    Raises:
        FileNotFoundError: the browser is not installed here. That fails a test, none is skipped.
    """
    if not (_ENVIRONMENT / ".installed").exists():
        raise FileNotFoundError("the environment 'browser' is not installed: run make real")
    done = subprocess.run(
        ["node", str(_HERE / "browser" / "browser.mjs")],
        input=json.dumps({"question": question, **about}),
        env={**os.environ, "DAGFORGE_BROWSER": str(_ENVIRONMENT.resolve())},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
