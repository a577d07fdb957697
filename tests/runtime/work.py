"""What the nodes of the tests call: plain functions, good and bad.

Libraries are imported where they are used: most tasks of the tests are processes that need none.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

seen: list[Any] = []
hooks: list[Callable[[], object]] = []
_alive: list[weakref.ref[Any]] = []


class Big:
    """Something that is missed when it is kept."""


def one() -> int:
    return 1


def nothing() -> None:
    return None


def add(a: int, b: int = 10) -> int:
    return a + b


def minus(*, small: int, large: int) -> int:
    return large - small


def echo(value: Any) -> Any:
    seen.append(value)
    return value


def see(*values: Any) -> None:
    seen.extend(values)


def two() -> tuple[int, int]:
    return 1, 2


def by_name() -> dict[str, int]:
    return {"second": 2, "first": 1}


def three() -> list[int]:
    return [1, 2, 3]


def frame() -> Any:
    import pandas as pd

    return pd.DataFrame({"a": [1, 2], "b": ["x", "é"]})


def half_bad() -> tuple[int, Any]:
    return 1, sys


def unsaved() -> Iterator[int]:
    return open(__file__)  # type: ignore[return-value]  # noqa: PTH123


async def later(value: int) -> int:
    await asyncio.sleep(0)
    return value + 1


def counted() -> Iterator[int]:
    yield 1


async def counted_later() -> AsyncIterator[int]:
    yield 1


def in_pandas() -> Any:
    return frame()["missing"]


def in_json() -> Any:
    try:
        return json.loads("{")
    except ValueError as error:
        raise RuntimeError("the file is bad") from error


def while_handled() -> Any:
    try:
        return _fail()
    except ValueError:
        empty: dict[str, int] = {}
        return empty["key"]


def _fail() -> None:
    raise ValueError("first")


def leave() -> None:
    sys.exit(0)


class Rude(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def rude() -> None:
    raise Rude


def noted() -> None:
    error = ValueError("bad")
    error.__notes__ = ["look at the header"]  # type: ignore[attr-defined]
    raise error


def good() -> bool:
    return True


def bad() -> bool:
    return False


def bad_with_remark() -> tuple[Any, str]:
    import pandas as pd

    return pd.Series([1]).gt(1).all(), "7 rows without a price"


def number() -> Any:
    import pandas as pd

    return pd.Series([0.25]).mean()


def no_number() -> Any:
    import pandas as pd

    return pd.Series([1, 2])


def not_a_number() -> float:
    return float("nan")


def big() -> Big:
    made = Big()
    _alive.append(weakref.ref(made))
    return made


def use(value: Big) -> int:
    assert isinstance(value, Big)
    return 1


def alive(number: int) -> int:
    """Return how many of the big values there still are."""
    del number
    gc.collect()
    return sum(each() is not None for each in _alive)


def hooked() -> list[str]:
    """Return a value after something else happened meanwhile."""
    value = os.environ.get("VALUE", "first")
    while hooks:
        hooks.pop()()
    return [value]


class SlowToSave:
    """A value whose saving never ends, after a part of it was written."""

    def __reduce__(self) -> Any:
        print("saving", flush=True)
        time.sleep(60)
        return SlowToSave, ()


def slow_to_save() -> Any:
    return (b"x" * 1_000_000, SlowToSave()) if "SLOW" in os.environ else [1]


def first_then_slow() -> Any:
    return 1, slow_to_save()


def killed() -> int:
    if "SLOW" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


def sleep() -> int:
    if "SLOW" in os.environ:
        print("sleeping", flush=True)
        time.sleep(60)
    return 1


def large_bytes() -> bytes:
    return os.urandom(3_000_000)


def large_frame() -> Any:
    import numpy as np
    import pandas as pd

    return pd.DataFrame({"a": np.random.default_rng(0).normal(size=400_000)})


def large_array() -> Any:
    import numpy as np

    return np.zeros(400_000)


def large_text() -> str:
    return "x" * 3_000_000


def large_pickle() -> Any:
    return (os.urandom(3_000_000),)


def large_polars() -> Any:
    import numpy as np
    import polars

    return polars.DataFrame({"a": np.random.default_rng(0).normal(size=400_000)})
