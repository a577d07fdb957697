"""The built-in templates as files: to list, to read, to copy and change."""

from __future__ import annotations

import re
from pathlib import Path

from dagforge.errors import UsageError, did_you_mean
from dagforge.output.new_files import create_files
from dagforge.render import API_FILE, TEMPLATE_API
from dagforge.resources import templates_dir
from dagforge.templating.environment import BUILTIN

_COMMENT = re.compile(r"\{#-?(.*?)-?#\}", re.DOTALL)
API_TEXT = f"""\
# The version of what a template sees, docs/templates.md. DagForge refuses templates of another one.
template_api: {TEMPLATE_API}
"""


def names() -> list[str]:
    """Return the names of the built-in templates, sorted."""
    folder = templates_dir()
    files = [path for path in folder.rglob("*.jinja") if path.is_file()]
    return sorted(path.relative_to(folder).as_posix() for path in files)


def list_templates() -> str:
    """Return the built-in templates, each with what it says of itself and its blocks."""
    return "\n".join(line for name in names() for line in _described(name))


def _described(name: str) -> list[str]:
    source = read_template(name)
    lines = [name]
    comment = _COMMENT.match(source)
    if comment is not None:
        lines.append("  " + " ".join(comment[1].split()))
    found = blocks(source)
    if found:
        lines.append("  blocks: " + ", ".join(found))
    return lines


def blocks(source: str) -> list[str]:
    """Return the names of a template's blocks, in the order in which they begin."""
    from jinja2 import Environment, nodes

    return [block.name for block in Environment().parse(source).find_all(nodes.Block)]


def read_template(name: str) -> str:
    """Return the source of a built-in template.

    Raises:
        UsageError: there is none of this name.
    """
    return _find(name).read_text(encoding="utf-8")


def copy_template(name: str, folder: Path, *, force: bool) -> list[Path]:
    """Copy a built-in template to a team's folder, under its own name; return what was written.

    A `templates.yaml` that says which template API it is for comes with the first one.

    Args:
        name: as `list_templates` has it.
        folder: made when it does not exist.
        force: overwrite the template's file when it holds something else.

    Raises:
        UsageError: there is no template of this name.
        OutputError: a file is in the way or cannot be written; nothing was changed then.
    """
    source = _find(name)
    copy = folder / source.relative_to(templates_dir())
    contents = {copy: source.read_bytes()}
    if not (folder / API_FILE).exists():
        contents[folder / API_FILE] = API_TEXT.encode()
    written = create_files(contents, may_replace={copy} if force else ())
    return [path for _, path in written]


def _find(name: str) -> Path:
    known = names()
    wanted = name.removeprefix(f"{BUILTIN}/")
    if wanted not in known:
        raise UsageError.of(
            "template-not-found",
            f"there is no built-in template '{name}'",
            fix=did_you_mean(wanted, known) or "see `dagforge templates list`",
        )
    return templates_dir() / wanted
