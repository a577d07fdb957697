"""`@frozen`: values that compare, hash and show themselves by their fields."""

from __future__ import annotations

import copy
import dataclasses
import pickle

from dagforge.errors import SourceLocation
from dagforge.frozen import frozen


@frozen
class Point:
    x: int
    y: tuple[int, ...] = ()
    note: str = dataclasses.field(default="", compare=False)
    seen: list[int] = dataclasses.field(default_factory=list, compare=False, repr=False)


@frozen
class Far(Point):
    z: int = 0


@frozen
class Nothing:
    pass


def test_equal_fields_are_equal_values() -> None:
    one, same = Point(1, (2,), "a", [1]), Point(1, (2,), "b")
    assert one == same
    assert hash(one) == hash(same)
    assert {one: "found"}[same] == "found"
    assert one != Point(1, (3,))
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())


def test_another_class_is_another_value() -> None:
    assert Point(1) != Far(1)
    assert Far(1, z=2) != Far(1)


def test_it_shows_its_fields() -> None:
    assert repr(Far(1, (2,), z=3)) == "Far(x=1, y=(2,), note='', z=3)"


def test_it_can_be_copied_and_pickled() -> None:
    value = Far(1, (2,), "a", [1])
    for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert other == value
        assert other.seen == [1]
    assert dataclasses.replace(value, x=5) == Far(5, (2,))


def test_there_is_no_place_for_more() -> None:
    assert not hasattr(Point(1), "__dict__")


def test_a_whole_file_comes_before_its_lines() -> None:
    places = [SourceLocation("b"), SourceLocation("a", 2, 1), SourceLocation("a", 2)]
    places.append(SourceLocation("a"))
    assert [str(place) for place in sorted(places)] == ["a", "a:2", "a:2:1", "b"]
