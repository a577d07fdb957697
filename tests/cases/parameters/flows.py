from __future__ import annotations

from typing import Literal

import dagforge


@dagforge.node
def load(n: int, seed: int | None = None) -> list[int]:
    return list(range(n))


@dagforge.node(tags="airflow.scores")
def score(rows: list[int], limit: float = 0.5, how: Literal["above", "be'low"] = "above"):
    return [row > limit for row in rows]


@dagforge.node(tags="airflow.scores")
def count(scores, weights: dict[str, float] = {}, names: list[str] = ["a", "b"]):
    return len(scores)


@dagforge.pipeline
def scoring(n: int = 5, unread: str = "x"):
    """Score rows."""
    return count(score(load(n)))
