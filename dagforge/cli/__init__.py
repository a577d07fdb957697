"""The command line: what generated tasks and the program `dagforge` start from."""

from dagforge.cli.program import invoke, main

__all__ = ["invoke", "main"]
