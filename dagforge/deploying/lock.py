"""That one deployment of a project at a time changes a bucket.

The lock is an object, `.dagforge/<project>.lock`. Whoever holds it changes it every few seconds;
who finds it, and sees no change for longer, takes it over. Each side measures with its own
stopwatch, so clocks need not agree.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import socket
import threading
import time
import uuid
from dataclasses import dataclass, field

from dagforge.deploying.bucket import Bucket, ChangedError, put, remove
from dagforge.deploying.inventory import lock_of
from dagforge.errors import OutputError, Problem, SourceLocation, Warn
from dagforge.frozen import frozen


@frozen
class Timing:
    """The seconds between two signs of life, and what their absence means.

    Attributes:
        beat: the holder changes its lock this often.
        sure: without a sign for so long, the holder gives one before it changes anything.
        silence: without a change for so long, the holder is taken for dead.
        wait: a living holder is waited for so long.
        poll: who waits looks this often.
    """

    beat: float = 3.0
    sure: float = 9.0
    silence: float = 20.0
    wait: float = 60.0
    poll: float = 1.0


class LostError(Exception):
    """The lock is somebody else's now."""


@dataclass(slots=True)
class Lock:
    """A lock that is held.

    Attributes:
        version: of its object.
        confirmed: when the bucket last said that it is ours, by our stopwatch.
        waited: somebody else held it since it was asked for.
    """

    bucket: Bucket
    path: str
    timing: Timing
    version: str
    confirmed: float
    owner: str
    waited: bool
    beats: int = 0
    lost: bool = False
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def beat(self) -> None:
        """Give a sign of life, when one is due.

        Raises:
            LostError: somebody has taken the lock over.
            StoreFailure: the bucket cannot be reached.
        """
        self._confirm(self.timing.beat)

    def check(self) -> None:
        """Make sure that something may be changed now; any thread may ask.

        Raises:
            LostError: it may not.
            StoreFailure: the bucket cannot be reached.
        """
        self._confirm(self.timing.sure)

    def _confirm(self, after: float) -> None:
        """Change the lock, unless that was done less than so many seconds ago."""
        with self.mutex:
            if self.lost:
                raise LostError
            asked = time.monotonic()
            if asked - self.confirmed < after:
                return
            self.beats += 1
            content = _content(self.owner, self.beats)
            try:
                self.version = put(self.bucket, self.path, content, self.version)
            except ChangedError as error:
                self.lost = True
                raise LostError from error
            self.confirmed = asked

    def release(self) -> None:
        """Let others deploy."""
        if not self.lost:
            with contextlib.suppress(ChangedError):
                remove(self.bucket, self.path, self.version)


def take(bucket: Bucket, project: str, timing: Timing, *, take_over: bool, warn: Warn) -> Lock:
    """Return the lock of a project, as soon as it is free.

    Args:
        bucket: where.
        project: name of the project.
        timing: how long to wait for whoever has it.
        take_over: its holder is known to be dead.
        warn: told when a deployment was interrupted before.

    Raises:
        OutputError: another deployment is under way.
    """
    path, owner = lock_of(project), uuid.uuid4().hex
    began = changed = time.monotonic()
    seen: str | None = None
    expected: str | None = None
    while True:
        asked = time.monotonic()
        try:
            version = put(bucket, path, _content(owner, 0), expected)
        except ChangedError:
            pass
        else:
            if expected is not None:
                warn(_interrupted(project, f"{bucket.url}/{path}"))
            return Lock(bucket, path, timing, version, asked, owner, waited=seen is not None)
        found = bucket.read(path)
        expected = None
        if found is None:
            continue
        content, version = found
        if version != seen:
            seen, changed = version, time.monotonic()
        if take_over or time.monotonic() - changed >= timing.silence:
            expected, take_over = version, False
        elif time.monotonic() - began >= timing.wait:
            raise OutputError([_busy(project, f"{bucket.url}/{path}", content)])
        else:
            time.sleep(timing.poll)


def _content(owner: str, beats: int) -> bytes:
    try:
        by = f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        by = socket.gethostname()
    return (json.dumps({"owner": owner, "beat": beats, "by": by}) + "\n").encode()


def _by(content: bytes) -> str:
    """Return who holds a lock, as messages name it."""
    try:
        return f" by {json.loads(content)['by']}"
    except (ValueError, KeyError, TypeError):
        return ""


def _busy(project: str, where: str, content: bytes) -> Problem:
    return Problem(
        "deploy-busy",
        f"project '{project}' is being deployed{_by(content)} at this moment",
        SourceLocation(where),
        "deploy again when that has ended; if it is known to be dead, say --take-over",
    )


def _interrupted(project: str, where: str) -> Problem:
    return Problem(
        "deploy-interrupted",
        f"an earlier deployment of project '{project}' did not end; this one goes on with it",
        SourceLocation(where),
        severity="warning",
    )
