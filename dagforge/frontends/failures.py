"""What the project's own code raises while a pipeline is read: where, and what helps."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import ModuleType

from dagforge.decorators import MisuseError
from dagforge.errors import Place, Problem, did_you_mean, suggest
from dagforge.frontends.places import origin_in
from dagforge.user_code import UserError, last_own_line

# Packages that are imported under a name that nothing of theirs is installed by.
_PACKAGES = dict(
    pair.split("=")
    for pair in [
        "bs4=beautifulsoup4",
        "cv2=opencv-python",
        "dateutil=python-dateutil",
        "dotenv=python-dotenv",
        "PIL=pillow",
        "skimage=scikit-image",
        "sklearn=scikit-learn",
        "yaml=PyYAML",
    ]
)


def problem_of(what: str, error: UserError, at: Place, root: Path) -> Problem:
    """Return the problem for user code that raised, at the project's own line where there is one.

    Args:
        what: what failed, the beginning of the message.
        error: what it raised.
        at: what the code is of, for code that is not in the project.
        root: of the project.
    """
    failure = error.failure
    # Where an object lies in memory is different each time.
    says = f"{failure.type}: {re.sub(r' at 0x[0-9a-f]+', '', failure.message)}"
    if isinstance(error.cause, MisuseError):
        says = error.cause.message
    lines = [f"{what}: {says}".rstrip(": ")]
    frames = failure.frames.rstrip("\n")
    lines += frames.split("\n") if frames else []
    text = "\n".join(line if not number else f"  {line}" for number, line in enumerate(lines))
    text = text.replace(f"{root}{os.sep}", "")
    place = last_own_line(error.cause, root)
    if place is not None:
        file, line, column = place
        at = origin_in(file, root, line, column=column).location()
    return Problem("import-failed", text, at, fix_of(error.cause, root))


def no_module(what: str, name: str, at: Place, root: Path) -> Problem:
    """Return the problem for a module that a definition names and that is not there."""
    fix = _nearest(name, root)
    if name.endswith(".py"):
        fix = f"write it without .py: {name.removesuffix('.py')}"
    return Problem(
        "no-module",
        f"{what}there is no module '{name}' to be imported",
        at,
        fix or "put it below the project's folder or its `src`, or install its package",
    )


def fix_of(error: BaseException, root: Path) -> str | None:
    """Return what helps against something that user code raised; None where nobody can say."""
    if isinstance(error, MisuseError):
        return error.fix
    if isinstance(error, ImportError):
        where = "where dagforge runs, or import it inside the functions that use it"
        return fix_of_import(error, root, where)
    if isinstance(error, OSError) or _is_of_environment(error):
        return (
            "read files, the network and the environment inside a function: a module is imported"
            " wherever its DAG is made"
        )
    return None


def fix_of_import(error: BaseException | None, root: Path, where: str) -> str | None:
    """Return what helps against an import that failed; None for other errors.

    Args:
        error: what user code raised.
        root: of the project.
        where: a library that is missing has to be installed.
    """
    if isinstance(error, ModuleNotFoundError) and error.name:
        near = _nearest(error.name, root)
        top = error.name.partition(".")[0]
        if near is not None:
            return near
        if top in _modules_in(root):
            return f"write '{error.name}', or mend the import"
        package = _PACKAGES.get(top, top.replace("_", "-"))
        return f"install '{top}' (pip install {package}) {where}"
    return _fix_of_name(error) if isinstance(error, ImportError) else None


def _fix_of_name(error: ImportError) -> str | None:
    """Return what helps where a module does not have a name that another one imports."""
    if "partially initialized module" in str(error):
        return (
            "the modules import each other: move what both need into a third one, or import it"
            " inside the function that uses it"
        )
    found = re.match(r"cannot import name '(\w+)'", str(error))
    module = sys.modules.get(error.name or "")
    if found is None or module is None:
        return None
    names = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    return did_you_mean(found[1], names | {*getattr(module, "__all__", ())})


def _is_of_environment(error: BaseException) -> bool:
    """Say whether `os.environ` raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (
        isinstance(error, KeyError)
        and trace is not None
        and trace.tb_frame.f_globals.get("__name__") == os.__name__
    )


def _nearest(name: str, root: Path) -> str | None:
    """Return the fix for a misspelt module of the project; None if it has none like that."""
    package, _, last = name.rpartition(".")
    near = suggest(last, _modules_in(root, package))
    if near is None:
        return None
    return f"did you mean '{package}.{near}'?" if package else f"did you mean '{near}'?"


def _modules_in(root: Path, package: str = "") -> list[str]:
    """Return the names of the project's modules in one of its packages, or at the top."""
    found: list[str] = []
    for base in (root, root / "src"):
        folder = base.joinpath(*package.split(".")) if package else base
        if folder.is_dir():
            found += [file.stem for file in folder.glob("*.py") if file.stem.isidentifier()]
            found += {file.parent.name for file in folder.glob("*/*.py")}
    return found
