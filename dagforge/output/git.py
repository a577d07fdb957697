"""What git holds, so that an edit is never lost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_GIT_SECONDS: Final = 20


_GIT_PATHS: Final = 500


def held_by_git(folder: Path, paths: Sequence[str]) -> set[str]:
    """Return those of `paths` whose present content is committed.

    Without git, without a repository, or when git takes too long: none.
    """
    held: set[str] = set()
    for first in range(0, len(paths), _GIT_PATHS):
        some = paths[first : first + _GIT_PATHS]
        listed = ask_git(folder, "ls-files", "-v", "-z", "--", *some)
        changed = ask_git(
            folder, "diff", "--name-only", "--relative", "--no-ext-diff", "-z", "HEAD", "--", *some
        )
        if listed is None or changed is None:
            return set()
        # Of another sort are those whose changes git was told not to see (--assume-unchanged).
        held |= {path[2:] for path in listed if path.startswith("H ")} - changed
    return held


def ask_git(folder: Path, *arguments: str) -> set[str] | None:
    """Return the paths that git lists, None when it fails."""
    import subprocess

    try:
        result = run_git(folder, *arguments, seconds=_GIT_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return {os.fsdecode(path) for path in result.split(b"\0") if path}


def run_git(
    folder: Path,
    *arguments: str,
    seconds: float | None = None,
    **variables: str,
) -> bytes:
    """Return what git prints; it takes no locks and asks for nothing.

    Args:
        folder: where it works.
        arguments: of git.
        seconds: how long it may take.
        variables: of its environment.

    Raises:
        OSError: there is no git.
        subprocess.SubprocessError: it failed, or took too long.
    """
    import subprocess

    # A hook's environment names its repository by paths that hold in its own folder only.
    repository = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
    environment = {name: os.environ[name] for name in os.environ if name not in repository}
    own = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", **variables}
    return subprocess.run(
        ["git", "--literal-pathspecs", "-C", str(folder), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        check=True,
        env=environment | own,
    ).stdout
