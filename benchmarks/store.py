"""Save and load a table of 500 MB through the store, beside pandas alone: at most 1.3 times.

`python -m benchmarks.store [ROUNDS]`. Both read and write Parquet on the same disk, in turn. The
store also takes and compares checksums, writes the pointer and makes the file durable. The clock
is what counts here, since both use all processors; the best of the rounds is the least disturbed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dagforge.runtime.files import Files
from dagforge.runtime.places import RunPlace
from dagforge.runtime.store import Store, now

MEGABYTES = 500
MOST = 1.3


def table(megabytes: int = MEGABYTES) -> Any:
    """Return a table of that size in memory: floats, integers, times and short text."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(0)
    # Ten numbers and a time of eight bytes, and about ten bytes of text with its offset of eight.
    rows = megabytes * 1_000_000 // (11 * 8 + 18)
    columns: dict[str, Any] = {f"price_{i}": random.normal(size=rows) for i in range(6)}
    columns |= {f"count_{i}": random.integers(0, 1000, rows) for i in range(4)}
    columns["moment"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows), "s")
    columns["city"] = random.choice(["Amsterdam", "Berlin", "Copenhagen"], rows)
    return pd.DataFrame(columns)


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes by the clock."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def measure(frame: Any, folder: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """Return the best times of saving and loading: with pandas alone, and through the store."""
    import pandas as pd

    alone = folder / "alone.parquet"
    store = Store(Files(str(folder / "store")), RunPlace("benchmark", None, "store", "run"))

    def save() -> None:
        store.save("table", frame, producer="task", started=now())

    actions: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("save", lambda: frame.to_parquet(alone), save),
        ("load", lambda: pd.read_parquet(alone), lambda: store.load("table")),
    ]
    return {
        name: _best([(seconds(plain), seconds(stored)) for _ in range(rounds)])
        for name, plain, stored in actions
    }


def _best(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return min(plain for plain, _ in pairs), min(stored for _, stored in pairs)


def main(rounds: int = 5) -> None:
    """Measure, and print the ratios with what they should be at most."""
    frame = table()
    size = frame.memory_usage(deep=True).sum() / 1e6
    print(f"a table of {len(frame):,} rows, {size:,.0f} MB in memory; the best of {rounds}")
    with tempfile.TemporaryDirectory() as folder:
        for name, (plain, stored) in measure(frame, Path(folder), rounds).items():
            print(
                f"{name}: pandas {plain:.2f} s, store {stored:.2f} s, "
                f"{stored / plain:.2f} times (at most {MOST})"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
