"""What a record says of the process that a task runs in."""

from __future__ import annotations

import platform
import sys

from dagforge import __version__

LIBRARIES = (
    "pandas",
    "numpy",
    "pyarrow",
    "polars",
    "sklearn",
    "xgboost",
    "lightgbm",
    "kedro",
    "kedro_datasets",
)


def versions() -> dict[str, str]:
    """Return the versions of Python, DagForge and the libraries that are imported here."""
    found = {"python": platform.python_version(), "dagforge": __version__}
    for name in LIBRARIES:
        version = getattr(sys.modules.get(name), "__version__", None)
        if isinstance(version, str):
            found[name] = version
    return found


def peak_memory() -> int | None:
    """Return the most memory that this process has had, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in kibibytes, macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024
