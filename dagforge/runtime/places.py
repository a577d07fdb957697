"""Where the data of a run lie.

`<base>/<project>/<env>/<dag_id>/<run>/<dataset>/`: two teams or environments that share a bucket
and a run id never meet.
"""

from __future__ import annotations

import hashlib
import re

from dagforge.frozen import frozen

BASE_ENV = "base"
TASKS = "_tasks"
STRUCTURES = "_structures"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def slug(text: str, limit: int = 80) -> str:
    """Return `text` as one part of a path, different for different texts.

    Letters, digits, `_`, `.` and `-` stay. When anything had to be changed, eight hex digits of
    the text's SHA-256 follow, so that `a/b`, `a,b` and `a b` differ. Never begins with a digit,
    which YAML and OmegaConf would read as a number, nor with `_`, which is DagForge's own.

    Args:
        text: any, also what is no valid UTF-8.
        limit: the most characters.
    """
    safe = _UNSAFE.sub("-", text).strip("-.")
    if not safe or not safe[0].isalpha():
        safe = f"r-{safe.lstrip('_-.')}".rstrip("-")
    if safe != text or len(safe) > limit:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        safe = f"{safe[: limit - 9].rstrip('-.')}-{digest}"
    return safe


@frozen
class RunPlace:
    """One run of one DAG.

    Attributes:
        env: environment; None for base alone.
        run_id: the orchestrator's, the same over retries.
    """

    project: str
    env: str | None
    dag_id: str
    run_id: str

    @property
    def dag_path(self) -> str:
        """Folder of all runs of the DAG, below the store's base."""
        return "/".join(slug(part) for part in (self.project, self.env or BASE_ENV, self.dag_id))

    @property
    def path(self) -> str:
        """Folder of the run, below the store's base."""
        return f"{self.dag_path}/{slug(self.run_id)}"

    @property
    def catalog_path(self) -> str:
        """Folder of what Kedro's catalog keeps of the run, below the store's base.

        An overlay of the catalog names it with the orchestrator's run id as it is
        (`planning/kedro_run.py`), not as one part of a path.
        """
        return f"{self.project}/{self.env or BASE_ENV}/{self.dag_id}/r-{self.run_id}"

    def dataset(self, name: str) -> str:
        """Return the folder of a dataset, below the store's base."""
        return f"{self.path}/{slug(name)}"

    def task(self, task_id: str) -> str:
        """Return the file of a task's record, below the store's base."""
        return f"{self.path}/{TASKS}/{slug(task_id)}.json"

    def structure(self, digest: str) -> str:
        """Return the file of a plan, below the store's base."""
        return f"{self.dag_path}/{STRUCTURES}/{slug(digest)}.json"
