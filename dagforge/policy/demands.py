"""What single demands of a rule say about a value: one function a key of a rule's table."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from dagforge.errors import did_you_mean
from dagforge.planning.machines import quantity
from dagforge.policy.images import DOCKER_HUB, is_below, parse_image
from dagforge.policy.schedules import Window, outside, shortest_gap
from dagforge.settings.convert import parse_duration
from dagforge.settings.schema import describe
from dagforge.values import Cron, Every

Broken = tuple[tuple[str, ...], str, "str | None"]
"""Path in the value, message, fix."""
Demand = Callable[[str, Any, Any], Iterable[Broken]]
"""Takes what the value is called, the value, and what is demanded of it."""


def text_of(value: Any) -> Any:
    """Return a value, and of `{literal: text}` its text."""
    if isinstance(value, dict) and set(value) == {"literal"}:
        return value["literal"]
    return value


def _items(value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the items of a list with their paths, and what is no list as it is."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield (str(index),), text_of(item)
    else:
        yield (), text_of(value)


def is_given(value: Any) -> bool:
    """Say whether a setting has a value."""
    return value not in (None, "", [], {})


def _required(name: str, value: Any, wanted: Any) -> Iterator[Broken]:
    if wanted is True and not is_given(value):
        yield (), f"{name} is not set", None
    elif isinstance(wanted, tuple):
        missing = [key for key in wanted if not is_given(_at(value, key))]
        if missing:
            yield (), f"{name} has no {_listed(missing)}", None


def _at(value: Any, path: str) -> Any:
    """Return what stands at a dotted path; keys may hold dots, the longest is meant."""
    if not isinstance(value, Mapping):
        return None
    if path in value:
        return value[path]
    for length in range(len(path) - 1, 0, -1):
        if path[length] == "." and path[:length] in value:
            return _at(value[path[:length]], path[length + 1 :])
    return None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _forbidden(name: str, value: Any, wanted: bool) -> Iterator[Broken]:
    if wanted and value is not None:
        yield (), f"{name} must not be set", "remove it"


def _one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> Iterator[Broken]:
    for path, item in _items(value):
        if not any(_same(item, each) for each in allowed):
            texts = [str(each).lower() if isinstance(each, bool) else str(each) for each in allowed]
            near = did_you_mean(item, texts) if isinstance(item, str) else None
            fix = near or (f"one of {', '.join(texts)}" if len(texts) > 1 else f"write {texts[0]}")
            yield path, f"{name} cannot be {describe(item)}", fix


def _none_of(name: str, value: Any, refused: tuple[Any, ...]) -> Iterator[Broken]:
    for path, item in _items(value):
        if any(_same(item, each) for each in refused):
            yield path, f"{name} cannot be {describe(item)}", None


def _same(first: Any, second: Any) -> bool:
    """Say whether two values are equal; true is not 1."""
    return isinstance(first, bool) == isinstance(second, bool) and bool(first == second)


def _pattern(name: str, value: Any, pattern: re.Pattern[str]) -> Iterator[Broken]:
    for path, item in _items(value):
        if isinstance(item, str) and pattern.fullmatch(item) is None:
            message = f"{name} must match {pattern.pattern}, not be {describe(item)}"
            yield path, message, _whole(pattern, item)


def _whole(pattern: re.Pattern[str], text: str) -> str | None:
    """Return what to do about a pattern that was meant for one end of the text."""
    begins, ends = pattern.pattern.startswith("^"), pattern.pattern.endswith("$")
    if begins == ends or not pattern.search(text):
        return None
    whole = f"{pattern.pattern}.*" if begins else f".*{pattern.pattern}"
    return f"a pattern is for the whole text: {whole} is for this end of it"


def _contains(name: str, value: Any, pattern: re.Pattern[str]) -> Iterator[Broken]:
    texts = [item for _, item in _items(value) if isinstance(item, str)]
    if not any(pattern.fullmatch(text) for text in texts):
        yield (), f"{name} has nothing that matches {pattern.pattern}", None


def _max_length(name: str, value: Any, longest: float) -> Iterator[Broken]:
    for path, item in _items(value):
        if isinstance(item, str) and len(item) > longest:
            message = f"{name} is {len(item)} characters long, at most {longest:g} are allowed"
            yield path, message, None


def _least(name: str, value: Any, least: Any) -> Iterator[Broken]:
    yield from _bounded(name, value, least, "at least", lambda size, bound: size >= bound)


def _most(name: str, value: Any, most: Any) -> Iterator[Broken]:
    yield from _bounded(name, value, most, "at most", lambda size, bound: size <= bound)


def _bounded(
    name: str, value: Any, bound: Any, word: str, fits: Callable[[Any, Any], bool]
) -> Iterator[Broken]:
    if isinstance(bound, Mapping):
        for key, (limit, text) in bound.items():
            found = _at(value, key)
            have = None if found is None else quantity(found)
            if have is not None and not fits(have, limit):
                yield (), f"'{key}' of {name} must be {word} {text}, not {found}", None
        return
    for path, item in _items(value):
        size: Any = item
        if isinstance(bound, datetime.timedelta) and isinstance(item, str):
            size = parse_duration(item)
        comparable = isinstance(size, (int, float)) and not isinstance(size, bool)
        if isinstance(bound, datetime.timedelta):
            comparable = isinstance(size, datetime.timedelta)
        if comparable and not fits(size, bound):
            shown = shown_duration(bound) if isinstance(bound, datetime.timedelta) else f"{bound:g}"
            was = item if isinstance(item, str) else shown_value(size)
            yield path, f"{name} must be {word} {shown}, not {was}", None


def shown_value(value: Any) -> str:
    """Return a number or a duration as people write it."""
    return shown_duration(value) if isinstance(value, datetime.timedelta) else f"{value:g}"


def shown_duration(length: datetime.timedelta) -> str:
    """Return a duration as it is written in settings."""
    seconds = length.total_seconds()
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count:g}{unit}")
    if seconds or not parts:
        parts.append(f"{seconds:g}s")
    return "".join(parts)


def _registries(name: str, value: Any, allowed: tuple[str, ...]) -> Iterator[Broken]:
    repository = parse_image(str(value)).repository
    fix = f"one of {', '.join(allowed)}"
    if "{{" in repository:
        yield (), f"the registry of {name} is known only when it runs", fix
    elif not any(is_below(repository, registry) for registry in allowed):
        where = repository.rpartition("/")[0]
        where = "Docker Hub" if where == f"{DOCKER_HUB}/library" else where
        yield (), f"{name} comes from {where}, which is no allowed registry", fix


def _latest(name: str, value: Any, allowed: bool) -> Iterator[Broken]:
    image = parse_image(str(value))
    if image.tag is None and "{{" in image.repository:
        return  # what is put in may hold a tag
    if not allowed and not image.digest and image.tag in (None, "", "latest"):
        what = "the tag 'latest'" if image.tag else "no tag, which means 'latest'"
        yield (), f"{name} has {what}", "name a release, or a digest"


def _digest(name: str, value: Any, wanted: bool) -> Iterator[Broken]:
    if wanted and not parse_image(str(value)).digest:
        yield (), f"{name} is not named by its digest", "write it as name@sha256:..."


def between(
    name: str, value: Any, windows: tuple[Window, ...], zone: str | None
) -> Iterator[Broken]:
    """Yield what is wrong with the times of day at which a typed schedule runs."""
    allowed = " and ".join(window.text for window in windows)
    if isinstance(value, Cron):
        zone = zone or value.timezone
        time = outside(value, windows, zone)
        if time is not None:
            yield (), f"{name} has runs at {time} ({zone}), outside of {allowed}", None
    elif isinstance(value, Every):
        every = shown_duration(value.length)
        fix = "write a cron"
        yield (), f"{name} has runs every {every}, at no fixed time between {allowed}", fix


def _at_most_every(name: str, value: Any, shortest: datetime.timedelta) -> Iterator[Broken]:
    if value == "@continuous":
        yield (), f"{name} has runs one after the other, not {shown_duration(shortest)} apart", None
    elif isinstance(value, (Cron, Every)):
        gap = shortest_gap(value)
        if gap < shortest:
            apart = shown_duration(gap)
            message = f"{name} has runs {apart} apart, at least {shown_duration(shortest)} is asked"
            yield (), message, None


DEMANDS: Mapping[str, Demand] = {
    "required": _required,
    "forbidden": _forbidden,
    "one-of": _one_of,
    "none-of": _none_of,
    "pattern": _pattern,
    "contains": _contains,
    "max-length": _max_length,
    "min": _least,
    "max": _most,
    "registries": _registries,
    "latest": _latest,
    "digest": _digest,
    "at-most-every": _at_most_every,
}
ALWAYS = ("required", "forbidden", "contains")
"""Demands of values that are not there too."""
TYPED = ("between", "at-most-every")
"""Demands of what a schedule means, not of its text."""
