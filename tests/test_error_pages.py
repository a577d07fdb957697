"""docs/errors.md: an entry for every code, and every example says what DagForge says."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import dagforge
from dagforge.cli import invoke
from dagforge.commands.error_pages import entry, known_codes, read_sections
from dagforge.errors import DagForgeError, UsageError

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "errors.md"
SECTIONS = read_sections(PAGE.read_text(encoding="utf-8"))

# --- every code has an entry

SOURCES = sorted(Path(dagforge.__file__).parent.rglob("*.py"))
CODE = re.compile(r"[a-z]+(?:-[a-z]+)+")
MENTION = re.compile(r"`\[([a-z]+(?:-[a-z]+)+)\]`")
NO_CODES = {
    "airflow-version",
    "arrow-parquet",
    "as-is",
    "composer-project",
    "cpu-hours",
    "at-most-every",
    "checkout-index",
    "dag-factory",
    "date-time",
    "dist-packages",
    "ephemeral-storage",
    "f-string",
    "if-expression",
    "kedro-airflow",
    "ls-files",
    "ls-tree",
    "max-length",
    "merge-base",
    "my-dag",
    "none-of",
    "one-of",
    "pandas-arrow",
    "pandas-parquet",
    "pod-seconds",
    "polars-parquet",
    "read-tree",
    "rev-parse",
    "series-arrow",
    "series-parquet",
    "site-packages",
}
"""Texts in the sources that look like a code and are none."""


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield the texts in a module, docstrings among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def first_arguments(tree: ast.AST) -> Iterator[str]:
    """Yield the texts that are given to what makes problems, which may be single words."""
    makers = {
        "Problem",
        "error",
        "of",
        "_error",
        "Refused",
        "_RefusedError",
        "NotPlain",
        "_problem",
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            first = node.args[0] if node.args else None
            if name in makers and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def codes_in_sources() -> set[str]:
    found: set[str] = set()
    for source in SOURCES:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        for text in texts(tree):
            # A code that is put together from parts stands in the docstring of who does it.
            found.update([text] if CODE.fullmatch(text) else MENTION.findall(text))
        found.update(first_arguments(tree))
    return found - NO_CODES


def test_every_code_has_an_entry_and_every_entry_a_code() -> None:
    # What the command line prints when DagForge itself is wrong comes from no Problem.
    assert sorted(SECTIONS) == sorted(codes_in_sources() | {"internal"})


def test_entries_are_sorted_and_begin_with_a_sentence() -> None:
    assert list(SECTIONS) == sorted(SECTIONS)
    for code, text in SECTIONS.items():
        first, _, rest = text.partition("\n")
        assert re.fullmatch(r"[A-Z`].{10,110}\.", first), code
        assert rest.startswith("\n"), code
        assert f"[{code}]" in text, f"the entry of {code} shows no message"


# --- every example is true

BASE = {
    "conf/base/pipelines.yml": (
        "etl:\n"
        "  nodes:\n"
        '    - {name: extract, func: "shop.nodes:extract", outputs: orders}\n'
        '    - {name: load, func: "shop.nodes:load", inputs: orders}\n'
    )
}
BLOCK = re.compile(
    r"^```(?P<kind>\w*) ?(?P<path>\S*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
EXAMPLES = [code for code, text in SECTIONS.items() if "```text\n" in text]


def run_example(code: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the first message with this code that an entry's example gives."""
    files = dict(BASE)
    commands = ["dagforge validate"]
    for block in BLOCK.finditer(SECTIONS[code]):
        if block["path"]:
            files[block["path"]] = block["text"]
        elif block["kind"] == "console":
            commands = [line.removeprefix("$ ") for line in block["text"].splitlines()]
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    arguments: list[str] = []
    if any(name.startswith("templates/") for name in files):
        if "templates/templates.yaml" not in files:
            (folder / "templates" / "templates.yaml").write_text("template_api: 1\n")
        arguments += ["--templates", "templates"]
    for command in commands[:-1]:
        if command.startswith("dagforge "):
            invoke(shlex.split(command)[1:])
        else:
            subprocess.run(command, shell=True, check=True, cwd=folder)
    arguments = [*shlex.split(commands[-1])[1:], *arguments]
    capsys.readouterr()
    try:
        invoke(arguments)
    except DagForgeError as error:
        found = [str(problem) for problem in error.problems]
    else:
        told = capsys.readouterr().err
        found = re.findall(r"^\S.*(?:\n .*)*", told, re.MULTILINE)
    message = next((text for text in found if f"[{code}]" in text), f"not among {found}")
    return message.replace(f"{folder.as_posix()}/", "")


@pytest.mark.parametrize("code", EXAMPLES)
def test_examples_say_what_dagforge_says(
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    message = run_example(code, folder, capsys)
    if request.config.getoption("--golden"):
        rewrite(code, message)
    else:
        shown = next(b["text"] for b in BLOCK.finditer(SECTIONS[code]) if b["kind"] == "text")
        assert shown == f"{message}\n"


def rewrite(code: str, message: str) -> None:
    """Put the message into the entry."""
    page = PAGE.read_text(encoding="utf-8")
    start = page.index(f"\n## {code}\n")
    begin = page.index("```text\n", start) + len("```text\n")
    end = page.index("```\n", begin)
    PAGE.write_text(f"{page[:begin]}{message}\n{page[end:]}", encoding="utf-8")


# --- dagforge help


def test_help_prints_the_entry() -> None:
    shown = entry("unknown-env")
    assert shown.startswith("[unknown-env]\n\nThere is no environment of this name.\n\n```console")
    assert shown.endswith("An environment is a folder beside `conf/base`.")


def test_help_with_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    invoke(["help", "[unknown-env]"])
    assert capsys.readouterr().out == entry("unknown-env") + "\n"


def test_help_lists_all_codes() -> None:
    lines = known_codes().splitlines()
    assert [line.split()[0] for line in lines] == list(SECTIONS)
    assert "unknown-env" in known_codes()
    [line] = [line for line in lines if line.startswith("airflow-template    ")]
    assert line.endswith("Airflow could not read a template in a field that it renders.")


def test_an_unknown_code_is_told() -> None:
    with pytest.raises(UsageError) as caught:
        entry("group-circle")
    assert str(caught.value) == (
        "error: there is no error 'group-circle' [unknown-code]\n  fix: did you mean 'group-cycle'?"
    )
    with pytest.raises(UsageError, match="`dagforge help` lists all codes"):
        entry("xyz")
