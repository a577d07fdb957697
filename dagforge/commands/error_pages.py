"""The entries of docs/errors.md, one for each code."""

from __future__ import annotations

import re
from collections.abc import Container

from dagforge.errors import UsageError, did_you_mean
from dagforge.resources import errors_page

_HEADING = re.compile(r"^## (\S+)\n", re.MULTILINE)


def entry(code: str, commands: Container[str] = ()) -> str:
    """Return what a code means, an example, and how to fix it.

    Args:
        code: as a message has it.
        commands: those of the program, which have a help of their own.

    Raises:
        UsageError: there is no such code.
    """
    sections = read_sections(errors_page())
    if code not in sections:
        raise UsageError.of(
            "unknown-code",
            f"there is no error '{code}'",
            fix=f"dagforge {code} --help"
            if code in commands
            else did_you_mean(code, sections) or "`dagforge help` lists all codes",
        )
    return f"[{code}]\n\n{sections[code]}"


def known_codes() -> str:
    """Return all codes, each with the first line of its entry."""
    sections = read_sections(errors_page())
    width = max(map(len, sections))
    return "\n".join(
        f"{code:<{width}}  {_first_line(section)}" for code, section in sections.items()
    )


def read_sections(page: str) -> dict[str, str]:
    """Return the text below each `## code` of the page, in its order."""
    _, *parts = _HEADING.split(page)
    return {code: text.strip() for code, text in zip(parts[::2], parts[1::2], strict=True)}


def _first_line(section: str) -> str:
    return section.partition("\n")[0]
