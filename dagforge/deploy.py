"""Bring a project's DAG files to where Airflow reads them: a bucket, or a folder.

What a reader sees meanwhile: every object is replaced as a whole; supporting files come first,
then new and changed DAG files, and only then goes what is gone. So a DAG that was there before and
is there afterwards is there all the time.

What keeps deployments apart: a project changes its bucket under a lock of its own (`lock.py`), and
every change is conditional on what was judged before. Projects do not wait for each other. Each
writes into its inventory what it is going to have, and reads the others' inventories after that:
of two that want one file or one dag_id, the one that wrote later sees it and withdraws.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

from dagforge.deploying.bucket import Bucket, ChangedError, Stored, StoreFailure, put, remove
from dagforge.deploying.decide import (
    Action,
    Scope,
    Step,
    View,
    claims,
    decide,
    gone,
    is_new,
    result,
    settled,
    taken,
    unclear,
)
from dagforge.deploying.inventory import (
    Inventory,
    as_bytes,
    is_inventory,
    path_of,
    read_inventory,
)
from dagforge.deploying.local import LocalFile
from dagforge.deploying.lock import Lock, LostError, Timing, take
from dagforge.deploying.settings import INVENTORIES
from dagforge.errors import (
    OutputError,
    Problem,
    SourceLocation,
    VerificationError,
    Warn,
)
from dagforge.frozen import frozen
from dagforge.output.files import Progress

T = TypeVar("T")
_AT_ONCE: Final = 8
_ATTEMPTS: Final = 5


@frozen
class DeployMode:
    """How to deploy.

    Attributes:
        dry_run: change nothing.
        take_over: an interrupted deployment is known to be dead.
        timing: of the lock.
    """

    dry_run: bool = False
    take_over: bool = False
    timing: Timing = field(default_factory=Timing)


@frozen
class DeployedFile:
    """What happened, or would happen, to one path below the DAGs' root."""

    path: str
    action: Action


@frozen
class DeployReport:
    """What happened, or would happen, sorted by path."""

    url: str
    files: tuple[DeployedFile, ...]

    def count(self, action: Action) -> int:
        """Return how many files it happened to."""
        return sum(file.action == action for file in self.files)


class _ElsewhereError(Exception):
    """Another deployment of the project was there since the bucket was looked at."""


@frozen
class _Look:
    """What there was in the bucket at one moment.

    Attributes:
        versions: of the inventories of all projects, by path.
        own_version: of the project's own inventory; None where there is none yet.
    """

    view: View
    versions: Mapping[str, str]
    own_version: str | None


def deploy(
    files: Sequence[LocalFile],
    bucket: Bucket,
    scope: Scope,
    mode: DeployMode,
    *,
    warn: Warn,
    progress: Progress | None = None,
) -> DeployReport:
    """Make the bucket hold `files`, and return what happened to each path.

    Args:
        files: of the scope, in any order.
        bucket: whose root is Airflow's folder of DAGs.
        scope: whose files they are; nothing else is touched.
        mode: how to deploy.
        warn: takes what is odd but stops nothing.
        progress: called with the number of objects changed so far and of all to change.

    Raises:
        OutputError: files must not be touched, another deployment is under way or came between,
            or the store fails; what was done until then is told and kept.
        VerificationError: afterwards, the bucket does not hold what was written.
    """
    files = sorted(files, key=lambda file: (file.path, file.at))
    for _ in range(_ATTEMPTS):
        look = _look(files, bucket, scope)
        steps = decide(files, look.view, scope)
        report = DeployReport(
            bucket.url, tuple(DeployedFile(step.path, step.action) for step in steps)
        )
        if is_new(files, look.view.inventory):
            _refuse_taken(files, bucket, look, known=())
        if mode.dry_run or not _is_due(files, steps, look, scope):
            return report
        lock = take(bucket, scope.project, mode.timing, take_over=mode.take_over, warn=warn)
        with contextlib.suppress(_ElsewhereError):
            _Deployment(files, bucket, scope, look, lock, warn, progress).run(steps)
            return report
    raise OutputError([_overtaken(scope.project, f"{bucket.url}/{path_of(scope.project)}")])


def _look(files: Sequence[LocalFile], bucket: Bucket, scope: Scope) -> _Look:
    """Return what there is in the bucket: one listing, and what it does not tell.

    The inventory is read before: who changes objects has changed the inventory first, so what is
    judged from a listing that shows a part of it meets another version of the inventory.
    """
    try:
        inventory, own_version = _own_inventory(bucket, scope)
    except StoreFailure:
        bucket.list("")  # where nothing can be reached, this says it of the bucket
        raise
    root = bucket.list("")
    wanted = [*(file.path for file in files), *gone(files, inventory, scope)]
    stored = _stored(bucket, root, wanted)
    view = View(bucket.url, stored, inventory, {})
    contents: dict[str, bytes] = {}
    paths = unclear(files, view, scope)
    for path, answer in zip(paths, _at_once(bucket.read, paths), strict=True):
        if answer is None:
            del stored[path]
        else:
            contents[path] = answer[0]
            stored[path] = Stored(answer[1])
    view = View(bucket.url, stored, inventory, contents)
    return _Look(view, _inventories(root), own_version)


def _inventories(listed: Mapping[str, Stored]) -> dict[str, str]:
    """Return the versions of all projects' inventories; one that has gone meanwhile is nobody's."""
    found = {path: listed.get(path) for path in listed if is_inventory(path)}
    return {path: stored.version for path, stored in found.items() if stored is not None}


def _stored(bucket: Bucket, root: Mapping[str, Stored], paths: Iterable[str]) -> dict[str, Stored]:
    """Return those of some objects that are there.

    Args:
        bucket: where.
        root: the listing of the DAGs' root.
        paths: of the objects; the folders of those outside of the root are listed too.
    """
    found: dict[str, Stored] = {}
    listed: dict[str, Mapping[str, Stored]] = {}
    for path in paths:
        folder = path.rpartition("/")[0] if path.startswith("../") else ""
        if set(folder.split("/")) == {".."}:
            # What holds the root may hold everything, the logs among it.
            answer = bucket.read(path)
            stored = None if answer is None else Stored(answer[1])
        else:
            if folder not in listed:
                listed[folder] = bucket.list(folder) if folder else root
            stored = listed[folder].get(path)
        if stored is not None:
            found[path] = stored
    return found


def _own_inventory(bucket: Bucket, scope: Scope) -> tuple[Inventory, str | None]:
    path = path_of(scope.project)
    found = bucket.read(path)
    if found is None:
        return Inventory(scope.project), None
    where = f"{bucket.url}/{path}"
    inventory = read_inventory(found[0], where)
    if inventory.project != scope.project:
        raise OutputError.of(
            "bad-inventory",
            f"this is the list of project '{inventory.project}', not of '{scope.project}'",
            at=SourceLocation(where),
            fix="give one of the two projects another name",
        )
    return inventory, found[1]


def _refuse_taken(
    files: Sequence[LocalFile], bucket: Bucket, look: _Look, known: Iterable[tuple[str, str]]
) -> None:
    """Raise when another project has one of the files or dag_ids.

    Args:
        files: that are to be deployed.
        bucket: where.
        look: whose inventories are read.
        known: path and version of inventories that were found harmless before.
    """
    own, harmless = path_of(look.view.inventory.project), set(known)
    paths = [
        path
        for path, version in sorted(look.versions.items())
        if path != own and (path, version) not in harmless
    ]
    others = [
        read_inventory(answer[0], f"{bucket.url}/{path}")
        for path, answer in zip(paths, _at_once(bucket.read, paths), strict=True)
        if answer is not None
    ]
    problems = list(taken(files, look.view.inventory, others, bucket.url))
    if problems:
        raise OutputError(problems)


def _is_due(files: Sequence[LocalFile], steps: Sequence[Step], look: _Look, scope: Scope) -> bool:
    """Say whether anything is to be changed, if only the inventory."""
    if any(step.action != "unchanged" for step in steps):
        return True
    versions = {step.path: step.expected for step in steps if step.expected is not None}
    return result(files, look.view.inventory, scope, versions) != look.view.inventory


@dataclass(slots=True)
class _Deployment:
    """A deployment that changes the bucket.

    Attributes:
        own_version: of the project's inventory, as we last wrote it.
        versions: of the objects that are as they should be.
        removed: paths that are gone.
    """

    files: Sequence[LocalFile]
    bucket: Bucket
    scope: Scope
    look: _Look
    lock: Lock
    warn: Warn
    progress: Progress | None
    own_version: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    done: int = 0

    def run(self, steps: Sequence[Step]) -> None:
        """Do all steps, or say how far they went.

        Raises:
            _ElsewhereError: nothing was changed, because what was judged is no longer so.
        """
        try:
            if self.lock.waited:
                raise _ElsewhereError
            self.own_version = self.look.own_version
            self._claim()
            changes = [step for step in steps if step.action != "unchanged"]
            self.versions = {
                step.path: step.expected
                for step in steps
                if step.action == "unchanged" and step.expected is not None
            }
            try:
                self._change(changes)
                self._commit()
            except BaseException as error:
                self._keep()
                if isinstance(error, LostError):
                    raise OutputError([_overtaken(self.scope.project, self._own)]) from error
                if isinstance(error, OutputError):
                    raise OutputError([*error.problems, self._so_far(len(changes))]) from error
                raise
            self._verify()
        finally:
            with contextlib.suppress(StoreFailure):
                self.lock.release()

    @property
    def _own(self) -> str:
        return f"{self.bucket.url}/{path_of(self.scope.project)}"

    def _claim(self) -> None:
        """Write what the project is going to have, unless another project has it."""
        inventory = self.look.view.inventory
        claimed = claims(self.files, inventory, self.scope)
        path = path_of(self.scope.project)
        content = as_bytes(claimed)
        if content != as_bytes(inventory) or self.own_version is None:
            try:
                self.own_version = put(self.bucket, path, content, self.own_version)
            except ChangedError as error:
                raise _ElsewhereError from error
            self._try_conditions(path, content)
        elif self._moved():
            raise _ElsewhereError
        if not is_new(self.files, inventory):
            return
        look = replace(self.look, versions=_inventories(self.bucket.list(INVENTORIES)))
        try:
            _refuse_taken(self.files, self.bucket, look, known=self.look.versions.items())
        except OutputError:
            self._withdraw()
            raise

    def _moved(self) -> bool:
        """Say whether the inventory was changed since the bucket was looked at."""
        found = self.bucket.read(path_of(self.scope.project))
        return (found and found[1]) != self.own_version

    def _try_conditions(self, path: str, content: bytes) -> None:
        """Warn when the store does not know conditional writes: some that speak S3 do not."""
        try:
            self.own_version = self.bucket.write(path, content, None)
        except ChangedError:
            return
        self.warn(
            Problem(
                "no-conditions",
                "this store ignores the conditions of a write: two deployments of one file at "
                "the same time would not be noticed",
                SourceLocation(self.bucket.url),
                "let only one job at a time deploy to it",
                "warning",
            )
        )

    def _withdraw(self) -> None:
        """Put the inventory back as it was."""
        path, before = path_of(self.scope.project), self.look.view.inventory
        assert self.own_version is not None
        if self.look.own_version is None:
            remove(self.bucket, path, self.own_version)
        else:
            put(self.bucket, path, as_bytes(before), self.own_version)

    def _change(self, changes: Sequence[Step]) -> None:
        """Do the steps: supporting files, then DAG files, then what goes."""
        phases = ([], [], [])  # type: tuple[list[Step], list[Step], list[Step]]
        for step in changes:
            phases[2 if step.file is None else step.file.manifest is not None].append(step)
        for phase in phases:
            self._all(phase, len(changes))

    def _all(self, steps: Sequence[Step], of: int) -> None:
        """Do steps in any order, several at once, and stop at the first that fails."""
        ended: SimpleQueue[Future[str | None]] = SimpleQueue()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            pending = {pool.submit(self._one, step): step for step in steps}
            try:
                for future in pending:
                    future.add_done_callback(ended.put)
                while pending:
                    with contextlib.suppress(Empty):
                        future = ended.get(timeout=self.lock.timing.beat)
                        self._note(future, pending.pop(future), of)
                    self._beat()
            finally:
                # Those that run already go to their end; what became of them is kept.
                for future in pending:
                    future.cancel()
                for future, step in pending.items():
                    if not future.cancelled():
                        with contextlib.suppress(Exception):
                            self._note(future, step, of)

    def _one(self, step: Step) -> str | None:
        """Do one step and return the version of its object."""
        self.lock.check()
        try:
            if step.file is not None:
                return put(self.bucket, step.path, step.file.content, step.expected)
            assert step.expected is not None
            remove(self.bucket, step.path, step.expected)
        except ChangedError as error:
            where = f"{self.bucket.url}/{step.path}"
            raise OutputError([_changed(where)]) from error
        return None

    def _note(self, future: Future[str | None], step: Step, of: int) -> None:
        """Keep what a step did, or raise why it failed."""
        version = future.result()
        if version is None:
            self.removed.add(step.path)
        else:
            self.versions[step.path] = version
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, of)

    def _beat(self) -> None:
        # One that does not arrive may be lost: before anything is changed, another has to.
        with contextlib.suppress(StoreFailure):
            self.lock.beat()

    def _commit(self) -> None:
        """Write what the project has now."""
        self.lock.check()
        content = as_bytes(result(self.files, self.look.view.inventory, self.scope, self.versions))
        try:
            self.own_version = put(
                self.bucket, path_of(self.scope.project), content, self.own_version
            )
        except ChangedError as error:
            raise LostError from error

    def _keep(self) -> None:
        """Write how far a deployment came; without it, the next one finds out by reading."""
        if self.own_version is None:
            return
        claimed = claims(self.files, self.look.view.inventory, self.scope)
        entries = dict(claimed.files)
        for file in self.files:
            if file.path in self.versions:
                version = self.versions[file.path]
                entries[file.path] = settled(file, entries[file.path], self.scope, version)
        for path in self.removed:
            del entries[path]
        kept = Inventory(self.scope.project, entries)
        with contextlib.suppress(StoreFailure, ChangedError):
            put(self.bucket, path_of(self.scope.project), as_bytes(kept), self.own_version)

    def _so_far(self, of: int) -> Problem:
        return Problem(
            "deploy-interrupted",
            f"{self.done} of {of} changes were made, all of them whole; deploying again makes "
            "the others",
            SourceLocation(self.bucket.url),
            severity="warning",
        )

    def _verify(self) -> None:
        """Look at the bucket again.

        Raises:
            VerificationError: something is not as it was written.
        """
        paths = [*sorted(self.versions), *sorted(self.removed)]
        seen = _stored(self.bucket, self.bucket.list(""), paths)
        wrong = [
            path
            for path in paths
            if (path in seen and seen[path].version) != self.versions.get(path, False)
        ]
        if wrong:
            raise VerificationError([_changed(f"{self.bucket.url}/{path}") for path in wrong])


def _changed(where: str) -> Problem:
    return Problem(
        "deploy-conflict",
        "this object was changed by somebody else during the deployment, and was left so",
        SourceLocation(where),
        "find out who deploys there besides, then deploy again",
    )


def _overtaken(project: str, where: str) -> Problem:
    return Problem(
        "deploy-conflict",
        f"another deployment of project '{project}' came in between, and this one has stopped",
        SourceLocation(where),
        "deploy again, one job at a time",
    )


def _at_once(action: Callable[[str], T], paths: Sequence[str]) -> Iterator[T]:
    """Return what an action gives for each path, several at once, in their order."""
    if len(paths) < 2:
        return iter([action(path) for path in paths])
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return iter(list(pool.map(action, paths)))
