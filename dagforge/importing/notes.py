"""What an import says of the definitions that it reads."""

from __future__ import annotations

from dagforge.errors import Place, Problem, Problems


class Notes(Problems):
    """What cannot be carried over: what stops a DAG, and what it goes without."""

    def refuse(self, message: str, at: Place, fix: str | None = None) -> None:
        """Say why a DAG is not imported."""
        self.found.append(Problem("import-refused", message, at, fix))

    def leave(self, message: str, at: Place, fix: str | None = None) -> None:
        """Say what a DAG goes without, or has otherwise."""
        self.found.append(Problem("not-imported", message, at, fix, "warning"))
