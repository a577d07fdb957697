"""Blocks of a team's own: since Prefect 3 there is none that holds JSON."""

from typing import Any

from prefect.blocks.core import Block


class JsonConfig(Block):
    """A piece of configuration."""

    value: Any
