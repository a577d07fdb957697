"""A real Airflow with a database of its own, on SQLite."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real.environments import python_of


@dataclass(frozen=True, slots=True)
class Airflow:
    """An environment of `tests/real/requirements` with a home, a database and a DAG folder.

    Attributes:
        version: as `--airflow-version` has it.
        variables: of the environment, for every process.
    """

    version: str
    home: Path
    variables: Mapping[str, str]

    @property
    def dags(self) -> Path:
        """The folder that is read for DAGs."""
        return self.home / "dags"

    @property
    def programs(self) -> Path:
        """The folder of Airflow's own programs."""
        return python_of(f"airflow-{self.version}").parent

    def airflow(self, *arguments: str, **variables: str) -> str:
        """Return what `airflow` prints, in a folder that holds nothing; fail when it fails."""
        done = subprocess.run(
            [str(self.programs / "airflow"), *arguments],
            env={**self.variables, **variables},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[Path]:
        """Keep one of Airflow's processes running; gives its log."""
        log = self.home / f"{arguments[0]}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(self.programs / "airflow"), *arguments],
                env=dict(self.variables),
                cwd=self.home,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield log
        finally:
            process.terminate()
            # How it stops is Airflow's affair; a busy scheduler takes its time.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            # What it has started itself and left behind.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what the database answers."""
        connection = sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the state of every task of a run."""
        query = "select task_id, state from task_instance where dag_id = ? and run_id = ?"
        return dict(self.rows(query, dag_id, run_id))

    def run_ids(self, dag_id: str) -> dict[str, str]:
        """Return the state of every run of a DAG."""
        return dict(self.rows("select run_id, state from dag_run where dag_id = ?", dag_id))

    def exchanged(self, dag_id: str) -> list[tuple[str, str]]:
        """Return the key and the value of everything that went through XCom."""
        query = "select key, value from xcom where dag_id = ? order by key"
        return [(key, str(value)) for key, value in self.rows(query, dag_id)]


def make_airflow(version: str, home: Path, variables: Mapping[str, str], **more: str) -> Airflow:
    """Return an Airflow with an empty database.

    Args:
        version: its environment is `airflow-<version>`.
        home: a folder that is made.
        variables: of the environment.
        more: Airflow's configuration, as `SECTION__KEY`.
    """
    (home / "dags").mkdir(parents=True)
    programs = python_of(f"airflow-{version}").parent
    config = {
        "CORE__DAGS_FOLDER": str(home / "dags"),
        "CORE__LOAD_EXAMPLES": "False",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
        **more,
    }
    made = Airflow(
        version,
        home,
        {
            **variables,
            "AIRFLOW_HOME": str(home),
            "PATH": f"{programs}{os.pathsep}{variables['PATH']}",
            **{f"AIRFLOW__{name}": value for name, value in config.items()},
        },
    )
    made.airflow("db", "migrate")
    return made
