"""The dataset factories of a Kedro catalog, each pattern compiled once.

Kedro's own resolver compiles every pattern again for every name, five times over: at 20,000 names
that is most of the time that a compiler takes. The order of the patterns is Kedro's, and so is the
library that matches them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dagforge.frozen import frozen


@frozen
class Factory:
    """One pattern, such as `{layer}.{name}`, and the entry that it makes datasets of."""

    pattern: str
    parser: Any
    entry: Mapping[str, Any]


def factories_of(patterns: Iterable[str], entries: Mapping[str, Any]) -> tuple[Factory, ...]:
    """Return the factories of a catalog.

    Args:
        patterns: in Kedro's order, the best match first.
        entries: of the catalog; patterns that are none of it are left out.
    """
    import parse

    return tuple(
        Factory(pattern, parse.compile(pattern), entries[pattern])
        for pattern in patterns
        if pattern in entries
    )


def made_by(factories: Iterable[Factory], name: str) -> tuple[str, dict[str, Any]] | None:
    """Return the pattern that matches a dataset's name and the entry that it gives, or None."""
    for factory in factories:
        found = factory.parser.parse(name)
        if found:
            return factory.pattern, _filled(factory.entry, found.named)
    return None


def _filled(value: Any, parts: Mapping[str, Any]) -> Any:
    """Return a part of an entry with what stands in braces replaced."""
    if isinstance(value, Mapping):
        return {key: _filled(inner, parts) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(inner, parts) for inner in value]
    return value.format_map(parts) if isinstance(value, str) and "}" in value else value
