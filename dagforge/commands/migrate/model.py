"""What `dagforge migrate` finds: the DAGs of kedro-airflow beside those that DagForge makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from dagforge.errors import Origin, Place, SourceLocation
from dagforge.frozen import frozen

if TYPE_CHECKING:
    from dagforge.build import Build, Stages
    from dagforge.kedro_airflow.dag_files import DagFile, OldDag

Kind = Literal["was wrong", "changes", "not known", "stays"]
"""What kedro-airflow got wrong, what will be different, what was not looked at or cannot be told,
and what only looks different."""


@frozen
class Note:
    """One thing that whoever moves should know.

    Attributes:
        about: setting or part of the DAG, one word.
        message: one sentence without a full stop.
        at: a place in an old DAG file or in the settings.
        keep: how the old behaviour is kept, None where it should not be.
    """

    kind: Kind
    about: str
    message: str
    at: Place = None
    keep: str | None = None

    @property
    def location(self) -> SourceLocation | None:
        """Where it is, with line and column looked up."""
        return self.at.location(key=True) if isinstance(self.at, Origin) else self.at


@frozen
class OldSetup:
    """What kedro-airflow left behind.

    Attributes:
        folder: of the DAG files, as the user knows it; None when there is none.
        files: those of this environment that speak of Kedro.
        env: the environment that they were made for; None when they do not say.
        notes: on files that are left out or cannot be read.
        others: number of DAG files that are not Kedro's.
    """

    folder: str | None
    files: tuple[DagFile, ...]
    env: str | None
    notes: tuple[Note, ...] = ()
    others: int = 0


@frozen
class NewDag:
    """A DAG as DagForge makes it.

    Attributes:
        file: its name in the output folder.
        nodes_by_task: nodes of each task, by task_id, in order.
        values: arguments of the DAG and of all its tasks by the canonical name of their setting.
    """

    dag_id: str
    file: str
    nodes_by_task: Mapping[str, tuple[str, ...]]
    edges: frozenset[tuple[str, str]]
    values: Mapping[str, Any]


@frozen
class Pair:
    """A DAG of kedro-airflow and the one that takes its place."""

    file: DagFile
    old: OldDag
    stages: Stages
    new: NewDag

    @property
    def pipeline(self) -> str:
        """Name of the pipeline that both are made of."""
        return self.stages.pipeline.name


@frozen
class Claim:
    """A pipeline and the dag_id under which Airflow has its history, compiled or not."""

    pipeline: str
    dag_id: str
    file: str


@frozen
class Setting:
    """A setting that keeps something as it was.

    Attributes:
        why: a few words, which become a comment.
        at: the place that has to be changed by hand, where a line of dagforge.yml would not win.
    """

    section: str
    name: str
    value: Any
    why: str
    at: SourceLocation | None = None


@frozen
class Row:
    """A task of an old DAG and what becomes of it.

    Attributes:
        old: task_id; None for a task that is new.
        now: task_id as things are, None when there is no such task any more.
        kept: task_id with the proposed settings.
        at: where the old one stands.
    """

    old: str | None
    now: str | None
    kept: str | None
    at: SourceLocation | None


@frozen
class DagRows:
    """The tasks of a pair.

    Attributes:
        kept: dag_id with the proposed settings.
    """

    pair: Pair
    kept: str
    rows: tuple[Row, ...]


@frozen
class Proposal:
    """Settings that keep things as they were, and what the DAGs are with them.

    Attributes:
        settings: with their section; those with a place are changed by hand.
        file: of the project's settings, as the user knows it.
        text: of that file with the settings added; None where there is nothing to add, or where
            its form does not allow it.
        pasted: what is added; empty where there is nothing to add.
        kept: the DAGs by pipeline.
        notes: on what cannot be kept.
    """

    settings: tuple[Setting, ...]
    file: str
    text: bytes | None
    pasted: str
    kept: Mapping[str, NewDag]
    notes: tuple[Note, ...]


@frozen
class Migration:
    """Everything that is said about a set-up.

    Attributes:
        obsolete: the old files, which have to be removed.
        command: what compiles the project then.
    """

    found: Build
    setup: OldSetup
    notes: tuple[Note, ...]
    proposal: Proposal
    dags: tuple[DagRows, ...]
    obsolete: tuple[str, ...]
    command: str
