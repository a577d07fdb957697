"""Several deployments at once: whoever is refused is told so, and nobody's files are lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dagforge.deploying.local import LocalFile
from dagforge.errors import DagForgeError
from tests.deploying.stores import QUICK, Store, dag, fresh, gs_store, run_deploy, s3_store

ROUNDS = 50
# Nobody dies here: a deployment that is slow must not be taken for dead.
PATIENT = replace(QUICK, timing=replace(QUICK.timing, beat=3, sure=9, silence=60, wait=60))


@pytest.fixture(scope="module")
def s3() -> Iterator[Store]:
    with s3_store() as found:
        yield found


@pytest.fixture(scope="module")
def gs() -> Iterator[Store]:
    with gs_store() as found:
        yield found


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store((tmp_path / "dags").as_posix())
    found: Store = request.getfixturevalue(request.param)
    return fresh(found)


def at_once(*actions: Callable[[], object]) -> list[list[str]]:
    """Begin all actions at one moment; return the codes of the errors of each."""
    barrier = threading.Barrier(len(actions))
    codes: list[list[str]] = [["never ended"] for _ in actions]

    def run(number: int) -> None:
        barrier.wait()
        try:
            actions[number]()
        except DagForgeError as error:
            codes[number] = sorted(
                {problem.code for problem in error.problems if problem.severity == "error"}
            )
        else:
            codes[number] = []

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return codes


def deploying(store: Store, files: Sequence[LocalFile], project: str) -> Callable[[], object]:
    return lambda: run_deploy(store, *files, project=project, mode=PATIENT)


def test_two_projects_at_once(store: Store) -> None:
    """They do not wait for each other, and neither is ever refused."""
    for number in range(ROUNDS):
        mine = [dag("same", number), dag(f"s{number}")]
        theirs = [dag("m", number, project="mail"), dag(f"m{number}", project="mail")]
        assert at_once(deploying(store, mine, "shop"), deploying(store, theirs, "mail")) == [[], []]
        assert store.objects() == {file.path: file.content for file in [*mine, *theirs]}
    assert store.own_objects() == [".dagforge/mail.json", ".dagforge/shop.json"]


def test_two_deployments_of_one_project_at_once(store: Store) -> None:
    """One comes after the other: what is there at the end is what one of them wanted."""
    for number in range(ROUNDS):
        first = [dag("a", f"first {number}"), dag("b", number), dag(f"f{number}")]
        second = [dag("a", f"second {number}"), dag("b", -number), dag(f"g{number}")]
        codes = at_once(deploying(store, first, "shop"), deploying(store, second, "shop"))
        assert codes == [[], []]
        there = store.objects()
        wanted = [{file.path: file.content for file in files} for files in (first, second)]
        assert there in wanted
        inventory = store.inventory()
        assert {path: entry.hashes for path, entry in inventory.files.items()} == {
            file.path: (file.sha256,) for file in (first, second)[wanted.index(there)]
        }


def test_two_projects_that_want_one_dag_id_at_once(store: Store) -> None:
    """At most one gets it, and the other is told whose it is."""
    got = 0
    for number in range(ROUNDS):
        mine = [dag(f"s{number}", dag_ids=[f"d{number}"])]
        theirs = [dag(f"m{number}", dag_ids=[f"d{number}"], project="mail")]
        codes = at_once(deploying(store, mine, "shop"), deploying(store, theirs, "mail"))
        assert codes != [[], []]
        assert all(code in ([], ["dag-id-taken"]) for code in codes)
        there = store.objects()
        for files, code in ((mine, codes[0]), (theirs, codes[1])):
            assert (files[0].path in there) == (code == [])
        got += [] in codes
        run_deploy(store, project="shop")
        run_deploy(store, project="mail")
    assert got > 0


def test_two_projects_that_want_one_file_at_once(store: Store) -> None:
    for number in range(ROUNDS // 5):
        mine, theirs = dag(f"x{number}"), dag(f"x{number}", project="mail")
        codes = at_once(deploying(store, [mine], "shop"), deploying(store, [theirs], "mail"))
        assert codes != [[], []]
        assert all(set(code) <= {"owned-file", "foreign-file"} for code in codes), codes
        there = store.objects().get(mine.path)
        assert there == (mine.content if not codes[0] else theirs.content if not codes[1] else None)


def test_processes_that_are_killed(s3: Store) -> None:
    """Killed at any moment, the next deployment goes on; no object is ever in pieces."""
    store = fresh(s3)
    kept = dag("kept", project="mail")
    run_deploy(store, kept, project="mail")
    code = """
import sys
from tests.deploying.stores import PATIENT_KILLED, Store, dag, run_deploy
store = Store(sys.argv[1])
store.open().list("")
print("ready", flush=True)
sys.stdin.readline()
run_deploy(store, *(dag(f"d{n}", sys.argv[2]) for n in range(40)), mode=PATIENT_KILLED)
"""
    for number, delay in enumerate((0.0, 0.05, 0.15, 0.3)):
        process = subprocess.Popen(
            [sys.executable, "-c", code, store.url, str(number)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **store.environment},
        )
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        threading.Event().wait(delay)
        process.kill()
        process.communicate()
        whole = {dag(f"d{n}", str(value)).content for n in range(40) for value in range(number + 1)}
        assert set(store.objects().values()) <= whole | {kept.content}
    files = [dag(f"d{n}", "at last") for n in range(40)]
    run_deploy(store, *files, mode=replace(QUICK, take_over=True))
    assert store.objects() == {file.path: file.content for file in [*files, kept]}
    assert store.own_objects() == [".dagforge/mail.json", ".dagforge/shop.json"]
