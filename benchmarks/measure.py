"""Whole processes, measured in pairs: the machine may be slow or busy, a ratio is not.

Processor time (user and system) is the operating system's own account of a finished process and
everything that it waited for. It varies far less than the time on the clock, so ratios of it are
what the targets are about; the clock is shown beside it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# On Linux the peak is in kilobytes, on macOS in bytes.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


class FailedError(Exception):
    """A command that was to be measured failed."""


@dataclass(frozen=True)
class Command:
    """A command that is run several times.

    Attributes:
        name: what the report calls it.
        words: program and arguments.
        folder: where it runs.
        variables: of the environment, over those of this process.
        prepare: called before each run and not measured.
    """

    name: str
    words: Sequence[object]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Cost:
    """What one run took: seconds of processor and clock, bytes at the peak."""

    cpu: float
    wall: float
    peak: int


@dataclass(frozen=True)
class Comparison:
    """Two commands, run in turn."""

    one: Command
    other: Command
    pairs: Sequence[tuple[Cost, Cost]]

    def ratios(self, of: Callable[[Cost], float]) -> list[float]:
        """Return one / other, pair by pair, sorted."""
        return sorted(of(one) / of(other) for one, other in self.pairs)

    def costs(self) -> tuple[list[Cost], list[Cost]]:
        """Return the runs of each command."""
        return [one for one, _ in self.pairs], [other for _, other in self.pairs]


def run(command: Command) -> Cost:
    """Run a command once and return what it took.

    Raises:
        FailedError: it did not end with 0; holds the end of what it wrote.
    """
    command.prepare()
    begin = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command.words],
        cwd=command.folder,
        env={**os.environ, **command.variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        end = said.decode(errors="replace").strip()[-2000:]
        raise FailedError(f"{command.name} ended with {process.returncode}:\n{end}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * _PEAK_UNIT)


def compare(one: Command, other: Command, pairs: int) -> Comparison:
    """Run two commands in turn, A B A B ..., after one run of each that is not counted."""
    run(one)
    run(other)
    return Comparison(one, other, [(run(one), run(other)) for _ in range(pairs)])


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return statistics.median(values)
