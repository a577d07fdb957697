"""Environment variables that tell a process which task of which run it is.

Where a task's own command cannot carry them, as that of Kedro.
"""

from __future__ import annotations

from typing import Final

TASK: Final = "DAGFORGE_TASK"
"""`project/dag_id/task_id`."""
RUN_ID: Final = "DAGFORGE_RUN_ID"
CONTRACT: Final = "DAGFORGE_CONTRACT"
STRUCTURE: Final = "DAGFORGE_STRUCTURE"
