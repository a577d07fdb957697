"""The imports of one generated file: which names they bind, and the block that they make.

The block is what ruff's `I` rule and `ruff format` leave unchanged.
"""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any

from dagforge.frozen import frozen
from dagforge.templating.layout import LINE_LENGTH

# What some Python of the supported range has and another has not, so that all write the same.
_STANDARD_LIBRARY = sys.stdlib_module_names | {
    "aifc",
    "annotationlib",
    "asynchat",
    "asyncore",
    "audioop",
    "cgi",
    "cgitb",
    "chunk",
    "compression",
    "crypt",
    "distutils",
    "imghdr",
    "imp",
    "lib2to3",
    "mailcap",
    "msilib",
    "nis",
    "nntplib",
    "ossaudiodev",
    "pipes",
    "smtpd",
    "sndhdr",
    "spwd",
    "sunau",
    "telnetlib",
    "tomllib",
    "uu",
    "xdrlib",
}
_BUILTINS = frozenset(dir(builtins)) | {
    "BaseExceptionGroup",
    "ExceptionGroup",
    "PythonFinalizationError",
}


@frozen
class Import:
    """One imported name.

    Attributes:
        module: where it is imported from.
        name: what is imported; empty for the module itself.
        local: the name that the file knows it by.
        rest: attributes that follow the name where it is used, with their dots.
        known: stands in the table of the target, and keeps its name whatever else is imported.
    """

    module: str
    name: str
    local: str
    rest: str = ""
    known: bool = False

    @property
    def path(self) -> tuple[str, str]:
        """What is imported, whatever it is called here."""
        return (self.module, self.name)

    @property
    def default_local(self) -> str:
        """The name that it has without `as`."""
        return self.name or self.module


def parse_import(spec: str, *, known: bool = False) -> Import:
    """Return what an import path means.

    Args:
        spec: `package.module:name`, `package.module:Class.method`, `package.module.name` or
            `module`, each with or without ` as local`.
        known: see `Import`.

    Raises:
        ValueError: it is none of these; its text says what is wrong with it.
    """
    path, renamed, alias = spec.partition(" as ")
    module, colon, attributes = path.partition(":")
    if not colon:
        module, _, attributes = path.rpartition(".")
        if not module:
            module, attributes = path, ""
    name, rest = attributes, ""
    if colon:
        name, _, rest = attributes.partition(".")
    parts = module.split(".")
    parts += attributes.split(".") if attributes or path != module else []
    parts += [alias] if renamed else []
    for part in parts:
        if not part.isidentifier() or keyword.iskeyword(part):
            raise ValueError(f"'{part}' is no Python name" if part else "a name is missing")
    return Import(module, name, alias or name or module, f".{rest}" if rest else "", known)


def local_names(imports: Iterable[Import], reserved: Collection[str]) -> dict[tuple[str, str], str]:
    """Return the name that each import binds, by its path.

    Imports that would bind one name are all called after their modules, and so is one whose name
    is a builtin or reserved: the order in which they were asked for plays no part.

    Args:
        imports: all imports of the file.
        reserved: names that the file binds itself.
    """
    by_path: dict[tuple[str, str], Import] = {}
    for item in sorted(imports, key=lambda item: (not item.known, item.path, item.local)):
        by_path.setdefault(item.path, item)
    taken = set(reserved)
    names: dict[tuple[str, str], str] = {}
    claims: dict[str, list[Import]] = {}
    for path, item in by_path.items():
        if item.known and item.local not in taken:
            names[path] = item.local
            taken.add(item.local)
        else:
            claims.setdefault(item.local, []).append(item)
    for local, items in claims.items():
        if len(items) == 1 and local not in taken and local not in _BUILTINS:
            names[items[0].path] = local
            taken.add(local)
    for items in claims.values():
        for item in items:
            if item.path not in names:
                names[item.path] = _qualified_name(item, taken)
                taken.add(names[item.path])
    return names


def import_block(imports: Iterable[Import], names: Mapping[tuple[str, str], str]) -> str:
    """Return the import statements in isort's order, without a newline at the end.

    Args:
        imports: all imports of the file, in any order.
        names: the local name of each by its path.
    """
    paths = {item.path: item for item in imports}
    standard = {path for path in paths if path[0].partition(".")[0] in _STANDARD_LIBRARY}
    sections = (standard, set(paths) - standard)
    blocks = [
        _section({path: (paths[path], names[path]) for path in section})
        for section in sections
        if section
    ]
    return "\n\n".join(blocks)


def _qualified_name(item: Import, taken: Collection[str]) -> str:
    words = item.module.replace(".", "_")
    base = f"{words}_{item.name}" if item.name else f"{words}_module"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name


def _section(imports: Mapping[tuple[str, str], tuple[Import, str]]) -> str:
    """Return one section: plain imports, then `from` imports by module."""
    plain: list[tuple[Any, str]] = []
    members: dict[str, list[str]] = {}
    renamed: list[tuple[str, str, str]] = []
    for item, local in imports.values():
        bound = "" if local == item.default_local else local
        if not item.name:
            statement = f"import {item.module}" + (f" as {bound}" if bound else "")
            plain.append((_module_key(item.module), statement))
        elif bound:
            renamed.append((item.module, item.name, bound))
        else:
            members.setdefault(item.module, []).append(item.name)
    statements: list[tuple[Any, str]] = []
    for module, names in members.items():
        names.sort(key=_member_key)
        key = (_module_key(module), _member_key(names[0]), "")
        statements.append((key, _from_import(module, names)))
    for module, name, bound in renamed:
        key = (_module_key(module), _member_key(name), bound)
        statements.append((key, _from_import(module, [f"{name} as {bound}"])))
    return "\n".join([text for _, text in [*sorted(plain), *sorted(statements)]])


def _from_import(module: str, names: list[str]) -> str:
    flat = f"from {module} import {', '.join(names)}"
    if len(flat) <= LINE_LENGTH:
        return flat
    lines = "".join(f"    {name},\n" for name in names)
    return f"from {module} import (\n{lines})"


def _module_key(module: str) -> Any:
    return (_natural(module.lower()), _natural(module))


def _member_key(name: str) -> Any:
    """Return isort's order of imported names: CONSTANTS, Classes, variables."""
    is_constant = len(name) > 1 and name.isupper()
    kind = 0 if is_constant else 1 if name[0].isupper() else 2
    return (kind, _natural(name.lower()), _natural(name))


@cache  # the files of one run import much the same
def _natural(text: str) -> tuple[tuple[str, int], ...]:
    """Return a key that sorts `a9` before `a10`."""
    return tuple(
        ("0", int(part)) if part.isdigit() else (part, 0) for part in re.findall(r"[0-9]+|.", text)
    )
