"""Unquoted YAML scalars: what the readers of YAML 1.1 and of YAML 1.2 agree on."""

from __future__ import annotations

import math
import re
from typing import Any

# Python refuses to read or print longer integers (sys.set_int_max_str_digits).
MAX_DIGITS = 4_300
MAX_HEX_DIGITS = 3_000

Scalar = str | int | float | bool | None


class NotPlain(Exception):
    """An unquoted scalar is refused."""

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix


def _cases(*words: str) -> list[str]:
    return [form for word in words for form in (word, word.capitalize(), word.upper())]


_BOTH: dict[str, Scalar] = {
    **dict.fromkeys(["", "~", *_cases("null")]),
    **dict.fromkeys(_cases("true"), True),
    **dict.fromkeys(_cases("false"), False),
}
_WORDS_11: dict[str, Scalar] = {
    **_BOTH,
    **dict.fromkeys(_cases("yes", "on"), True),
    **dict.fromkeys(_cases("no", "off"), False),
}
# '=' and '<<' are not text either: YAML 1.1 gives them a meaning as a value.
PLAIN_WORDS = frozenset(_WORDS_11) | {"=", "<<"}
NUMBER_STARTS = frozenset("0123456789+-.")

# As PyYAML's resolver has them, whose int and float differ a little from the YAML 1.1 pages.
_INT_11 = re.compile(
    r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*(?P<sixty>(?::[0-5]?[0-9])+)?)"
)
_FLOAT_11 = re.compile(
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?"
    r"|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(?P<sixty>(?::[0-5]?[0-9])+)\.[0-9_]*"
)
# The core schema of YAML 1.2.2, section 10.3.2.
_INT_12 = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT_12 = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_NAN = re.compile(r"\.(?:nan|NaN|NAN)")


def read_plain(text: str) -> Scalar:
    """Return the value of an unquoted scalar, where both versions of YAML give it the same one.

    Raises:
        NotPlain: they differ, or Python cannot hold the number.
    """
    old, new = read_11(text), _read_12(text)
    if type(old) is not type(new) or repr(old) != repr(new):
        raise NotPlain(
            "quote-it",
            f"{text} is {_describe(old)} in YAML 1.1 and {_describe(new)} in YAML 1.2",
            _ways_to_write(text, old, new),
        )
    if type(new) is float and math.isinf(new) and not _INFINITY.fullmatch(text):
        raise NotPlain("number", f"{text} is too large for a float", f'quote it: "{text}"')
    return new


def read_11(text: str) -> Scalar:
    """Return what YAML 1.1, and so Kedro, reads in an unquoted scalar."""
    if text in _WORDS_11:
        return _WORDS_11[text]
    if text in ("=", "<<"):
        return _Special(text)
    if match := _INT_11.fullmatch(text):
        return _integer_11(text, match)
    if match := _FLOAT_11.fullmatch(text):
        digits = text.replace("_", "")
        return _sexagesimal(digits) if match["sixty"] else float(digits)
    return _special_float(text)


def _read_12(text: str) -> Scalar:
    if text in _BOTH:
        return _BOTH[text]
    if _INT_12.fullmatch(text):
        if text.startswith(("0o", "0x")):
            return _based(text, text[2:], {"o": 8, "x": 16}[text[1]])
        return _based(text, text, 10)
    if _FLOAT_12.fullmatch(text):
        return float(text)
    return _special_float(text)


class _Special(str):
    """Something that is not text although it looks like it."""


def _special_float(text: str) -> Scalar:
    if _INFINITY.fullmatch(text):
        return -math.inf if text.startswith("-") else math.inf
    return math.nan if _NAN.fullmatch(text) else text


def _integer_11(text: str, match: re.Match[str]) -> Scalar:
    digits = text.replace("_", "")
    bare = digits.lstrip("+-")
    if match["sixty"]:
        return _sexagesimal(digits)
    sign = "-" if digits.startswith("-") else ""
    if bare in ("0b", "0x"):
        return text
    if bare.startswith("0b"):
        return _based(text, sign + bare[2:], 2)
    if bare.startswith("0x"):
        return _based(text, sign + bare[2:], 16)
    if bare.startswith("0") and bare != "0":
        return _based(text, sign + bare, 8)
    return _based(text, digits, 10)


def _based(text: str, digits: str, base: int) -> int:
    longest = MAX_DIGITS if base == 10 else MAX_HEX_DIGITS
    try:
        if len(digits) <= longest:
            return int(digits, base)
    except ValueError:
        # The limit of this Python is set lower than its default.
        pass
    shown = f"{text[:20]}..."
    raise NotPlain("number", f"{shown} has {len(digits):,} digits, too many", "quote it")


def _sexagesimal(digits: str) -> int | float:
    sign = -1 if digits.startswith("-") else 1
    total: int | float = 0
    for part in digits.lstrip("+-").split(":"):
        total = total * 60 + (float(part) if "." in part else int(part))
    return sign * total


def _describe(value: Scalar) -> str:
    if isinstance(value, _Special):
        return "not a value"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, str):
        return "text"
    return _spell(value)


def _ways_to_write(text: str, old: Scalar, new: Scalar) -> str:
    quoted = f'write "{text}" for text'
    spellings: list[str] = []
    for value in (old, new):
        if not isinstance(value, str) and _spell(value) not in spellings:
            spellings.append(_spell(value))
    if not spellings:
        return quoted
    kind = "truth value" if isinstance(old, bool) else "number"
    return f"{quoted} or {' or '.join(spellings)} for the {kind}"


def _spell(value: Scalar) -> str:
    """Return the YAML text of a value that every reader reads alike."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isinf(value):
            return "-.inf" if value < 0 else ".inf"
        mantissa, mark, exponent = repr(value).partition("e")
        if mark:
            mantissa += "" if "." in mantissa else ".0"
            exponent = exponent if exponent.startswith("-") else "+" + exponent.lstrip("+")
        return mantissa + mark + exponent
    return str(value)


def kind_of(value: Any) -> str:
    """Return what a value is, in a person's words: 'a number', 'a list', ..."""
    names: dict[type, str] = {
        str: "text",
        bool: "a truth value",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
        type(None): "empty",
    }
    return names.get(type(value), type(value).__name__)
