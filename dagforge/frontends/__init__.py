"""Front-ends: each folder here reads one kind of pipeline definition.

The key under a pipeline in pipelines.yml says which folder reads it. Only `Pipeline` leaves.
"""

from __future__ import annotations

from functools import lru_cache

from dagforge.conf import Conf
from dagforge.errors import PipelineError, Problems
from dagforge.frontends.definitions import Registry
from dagforge.ir import Pipeline

__all__ = ["Registry", "load", "registry"]


# One run has one configuration, and asks for it once a pipeline.
@lru_cache(maxsize=1)
def registry(conf: Conf) -> Registry:
    """Return the pipelines of a project by name, in order of definition.

    What is wrong with all of them is in its `problems`; what is wrong with one, its `load` raises.

    Raises:
        LoadError: there are none.
    """
    return Registry(conf)


def load(name: str, conf: Conf) -> Pipeline:
    """Return a pipeline.

    Raises:
        LoadError: there is no such pipeline.
        PipelineError: it is wrong; holds every problem of it, of the pipelines that it is made
            of, and of what all pipelines share, such as the catalog.
    """
    found = registry(conf)
    problems = Problems(list(found.problems))
    try:
        pipeline = found.load(name)
    except PipelineError as error:
        raise PipelineError([*problems, *error.problems]) from error
    problems.raise_errors(PipelineError)
    return pipeline
