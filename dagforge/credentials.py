"""What is a credential: values of names that call for one, and texts of the shapes of issuers.

No guesses by entropy, which take digests, hashes and UUIDs for secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from dagforge.suspicion import KEYS, SHAPES, Shape

_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/:@'\"]*:(?P<password>[^\s/@'\"]+)@", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"(?:^|(?<=[\s;?&,'\"]))(?P<name>-{0,2}[A-Za-z][\w.-]*)\s*=\s*[\"']?(?P<value>[^\s;&,'\"]+)"
)
# Not a word of letters alone: prose names options too.
_OPTION = re.compile(
    r"(?:^|(?<=\s))(?P<name>--[A-Za-z][\w-]*)\s+[\"']?"
    r"(?![A-Za-z]+(?:[\s.,;:'\"]|$))(?P<value>[^\s;&,'\"-][^\s;&,'\"]*)"
)

_HEADER = re.compile(
    r"authorization[\"']?\s*[:=]\s*[\"']?(?:basic|bearer|token)\s+(?P<value>[^\s'\"<{$]{8,})",
    re.IGNORECASE,
)

# `PGPASSWORD` is one word.
_SURE = ("password", "passwd", "passphrase")
_LIKELY = frozenset({"secret", "token", "apikey", "authorization"})
_LIKELY_AT_THE_END = frozenset({"jwt", "pass"})
_ENDINGS = frozenset({"value", "text", "plain", "literal", "default"})
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")

# What is no value but says where one is: a template, a variable, a path, the name of a store.
_REFERENCE = re.compile(
    r"\{\{|\{%|\$[({A-Za-z_]|%\(|<[^>]*>|^[\[{<@]|^(?:~|\.{1,2})?/|^[a-z][a-z0-9+.-]*://|^arn:"
    r"|^projects/|^(?:conn|connection|env|file|keyring|kms|op|params|secrets?|sm|ssm|var|vault)[:/.]|^os[.]environ",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"(.)\1*|\.\.\.|none|null|true|false", re.IGNORECASE | re.DOTALL)
# `paragraph_2`, `orders-client-secret`: words, perhaps numbered.
_WORD = r"(?:[A-Z]?[a-z]{1,18}(?:[A-Z][a-z]{1,18}){0,5}|[A-Z]{1,19})\d{0,3}"
_LIKE_A_NAME = re.compile(rf"{_WORD}(?:[-_./:](?:{_WORD}|\d{{1,4}}))*")
_SCHEME = re.compile(r"(?:basic|bearer|token)\s+", re.IGNORECASE)
_SHORTEST = 8


# Settings of orchestrators that only sound like it: Prefect keeps results under this name.
_NO_CREDENTIALS = frozenset({"result_storage_key"})


@lru_cache(maxsize=4096)
def certainty(name: str) -> int:
    """Return how sure it is that what is called so is a credential: 0 for not, 1 likely, 2 surely.

    The last word decides: `db_password` and `AWS_SECRET_ACCESS_KEY` are, `token_length`,
    `secret_name` and `primary_key` are not.
    """
    words = [word.lower() for word in _WORDS.findall(name)] if name not in _NO_CREDENTIALS else []
    while len(words) > 1 and (words[-1] in _ENDINGS or words[-1].isdigit()):
        words.pop()
    if not words:
        return 0
    if words[-1].endswith(_SURE) or (len(words) > 1 and words[-1] == "pwd"):
        return 2
    if words[-1] in _LIKELY or (len(words) > 1 and words[-1] in _LIKELY_AT_THE_END):
        return 1
    return int(words[-1] == "key" and len(words) > 1 and words[-2] in KEYS)


def is_literal(name: str, value: object) -> bool:
    """Say whether a value is the credential that its name calls for, and no reference to one."""
    sure = certainty(name)
    if not sure or isinstance(value, bool):
        return False
    if isinstance(value, (int, float)):
        return sure == 2
    if not isinstance(value, str):
        return False
    text = _SCHEME.sub("", value.strip(), count=1)
    if not text or _REFERENCE.search(text) or _PLACEHOLDER.fullmatch(text):
        return False
    if sure == 2:
        return True
    return len(text) >= _SHORTEST and " " not in text and not _LIKE_A_NAME.fullmatch(text)


def found_in(text: str, shapes: Sequence[Shape] = SHAPES) -> Iterator[tuple[int, str]]:
    """Yield where in a text a credential begins and what it is, but never the credential."""
    for shape in shapes:
        for match in re.finditer(shape.pattern, text):
            if "EXAMPLE" not in match[0]:
                yield match.start(), f"this is {shape.what}"
    if "@" in text and "://" in text:
        for match in _IN_URL.finditer(text):
            password = match["password"]
            if not (_REFERENCE.search(password) or _PLACEHOLDER.fullmatch(password)):
                yield match.start("password"), "this URL holds a password"
    if "uthorization" in text:
        for match in _HEADER.finditer(text):
            yield match.start("value"), "this header holds a credential"


def assigned_in(text: str) -> Iterator[tuple[int, str]]:
    """Yield where words such as `--password=...` give a credential, and the name that it has."""
    assigned = _ASSIGNED.finditer(text) if "=" in text else ()
    options = _OPTION.finditer(text) if "--" in text else ()
    for match in (*assigned, *options):
        if "(" not in match["value"] and is_literal(match["name"], match["value"]):
            yield match.start("value"), match["name"]
