"""Names that others will see or that Kubernetes and Python will accept.

What users see (dag_id, task_id, file) is never changed beyond recognition; what they do not see
gets eight hex digits of the full name when it was shortened or would collide.
"""

from __future__ import annotations

import hashlib
import keyword
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import NewType

TaskId = NewType("TaskId", str)
Identifier = NewType("Identifier", str)
PodName = NewType("PodName", str)

POD_NAME_LENGTH = 54
"""Kubernetes allows 63 characters; the operator appends a dash and eight random ones."""
IDENTIFIER_LENGTH = 50
"""Of a Python name that is made here: longer ones leave no room for a statement on their line."""

# Nearly all names. slugify says the same of them, and takes longer to import than to compile a DAG.
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9_.:-]*")
_WORD = re.compile(r"[A-Za-z0-9]+")


def digest(text: str, length: int = 8) -> str:
    """Return the first hex digits of the text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


@cache
def slug(text: str, separator: str = "-", lowercase: bool = True) -> str:
    """Return ASCII letters, digits and `separator`; may be empty when nothing can be spelled."""
    if _PLAIN_TEXT.fullmatch(text):
        words = separator.join(_WORD.findall(text))
        return words.lower() if lowercase else words
    from slugify import slugify
    from text_unidecode import unidecode

    # slugify alone takes Unidecode where it happens to be installed, and ids would differ.
    return str(slugify(unidecode(text), separator=separator, lowercase=lowercase))


def pod_names(dag_id: str, tasks: Iterable[str]) -> dict[str, PodName]:
    """Return the name of each task's pod: a DNS label, at most 54 characters, no two alike.

    Args:
        dag_id: the beginning of every name.
        tasks: without repetition.
    """
    plain = {task: "-".join(part for part in (slug(dag_id), slug(task)) if part) for task in tasks}
    count = Counter(plain.values())
    kept = {
        task: name
        for task, name in plain.items()
        if name and len(name) <= POD_NAME_LENGTH and (count[name] == 1 or slug(task) == task)
    }
    used = set(kept.values())
    names: dict[str, PodName] = {}
    for task, name in plain.items():
        chosen = kept.get(task)
        if chosen is None:
            marks = _marks(f"{dag_id}/{task}")
            marked = (_marked(name or "pod", mark, POD_NAME_LENGTH, "-") for mark in marks)
            chosen = next(each for each in marked if each not in used)
            used.add(chosen)
        names[task] = PodName(chosen)
    return names


def _marks(text: str) -> Iterator[str]:
    """Yield hex digits of the text, more of them each time: somebody may be called so already."""
    return (digest(text, length) for length in (8, 12, 16, 24))


def _marked(name: str, mark: str, max_length: int, separator: str) -> str:
    """Return a name with a mark at its end."""
    return f"{name[: max_length - 1 - len(mark)].rstrip(separator)}{separator}{mark}"


def identifier(text: str, fallback: str = "task", max_length: int = IDENTIFIER_LENGTH) -> str:
    """Return a Python name made from `text`, ASCII and in lower case where it was none before."""
    # A word that is an identifier already stays as it is, capitals too.
    name = text if text.isidentifier() and text.isascii() else slug(text, "_")
    if name.startswith("__") and name.endswith("__"):
        # Python's own: whoever binds `__file__` hides where the module came from.
        name = f"{fallback}_{stripped}" if (stripped := name.strip("_")) else ""
    if not name:
        name = f"{fallback}_{digest(text)}"
    if name[0].isdigit():
        name = f"{fallback}_{name}"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        name += "_"
    return name if len(name) <= max_length else _marked(name, digest(text), max_length, "_")


def identifiers(
    texts: Iterable[str],
    reserved: Collection[str],
    *,
    fallback: str = "task",
    suffixes: Sequence[str] = (),
    max_length: int = IDENTIFIER_LENGTH,
) -> dict[str, Identifier]:
    """Return a Python name for each text, no two alike and none of them reserved.

    A text keeps its own name where it is one; of several that would share a name, those that
    had to be changed for it get eight hex digits of their text.

    Args:
        texts: without repetition.
        reserved: names that are taken.
        fallback: beginning of a name that could not begin otherwise.
        suffixes: a name with one of these must not be another's name either.
        max_length: of a name.
    """
    wanted = {text: identifier(text, fallback, max_length) for text in texts}
    count = Counter(wanted.values())
    plain = {text for text, name in wanted.items() if count[name] == 1 or text == name}
    taken = {*reserved, *(name + suffix for name in count for suffix in suffixes)}
    kept = {text: wanted[text] for text in plain if wanted[text] not in taken}
    used = {*taken, *kept.values()}
    names: dict[str, Identifier] = {}
    for text, name in wanted.items():
        chosen = kept.get(text)
        if chosen is None:
            marked = (_marked(name, mark, max_length, "_") for mark in _marks(text))
            chosen = next(
                each for each in marked if used.isdisjoint({each, *(each + s for s in suffixes)})
            )
            used |= {chosen, *(chosen + suffix for suffix in suffixes)}
        names[text] = Identifier(chosen)
    return names


def module_stem(dag_id: str) -> str:
    """Return the name of a DAG's file without `.py`: what a Python module may be called."""
    stem = re.sub(r"\W+", "_", dag_id, flags=re.ASCII).strip("_")
    if not stem:
        stem = f"dag_{digest(dag_id)}"
    if stem[0].isdigit():
        stem = f"dag_{stem}"
    return f"{stem}_" if keyword.iskeyword(stem) else stem
