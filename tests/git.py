"""Real git repositories for tests, the same on every machine."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

AUTHOR = "Somebody"
# Nothing of the machine's own configuration counts.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": AUTHOR,
    "GIT_AUTHOR_EMAIL": "somebody@example.com",
    "GIT_COMMITTER_NAME": AUTHOR,
    "GIT_COMMITTER_EMAIL": "somebody@example.com",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """A working tree.

    Attributes:
        root: its top.
    """

    root: Path

    def git(self, *arguments: str, code: int = 0) -> str:
        """Return what git prints; fail when it ends otherwise."""
        ran = subprocess.run(
            ["git", *arguments], cwd=self.root, env=ENVIRONMENT, capture_output=True, text=True
        )
        assert ran.returncode == code, (arguments, ran.stdout, ran.stderr)
        return ran.stdout

    def commit(self, message: str = "work") -> None:
        """Commit everything that changed."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)


def make_repository(root: Path) -> Repository:
    """Return a new repository whose branch is `main`."""
    root.mkdir(parents=True, exist_ok=True)
    made = Repository(root)
    made.git("init", "-q", "-b", "main")
    return made
