"""A compiler from pipeline definitions to the DAG source files of Airflow and Prefect.

`node`, `pipeline`, `check`, `metric` and `dataset` are for pipelines that are written in Python.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagforge.decorators import check, dataset, metric, node, pipeline

__version__ = "0.1.0"
__all__ = ["__version__", "check", "dataset", "metric", "node", "pipeline"]


def __getattr__(name: str) -> Any:
    # Only definitions in Python need them, and the command line starts often.
    if name in __all__:
        from dagforge import decorators

        return getattr(decorators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
