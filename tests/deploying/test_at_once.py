"""Several deployments at once: whoever is refused is told so, and nobody's files are lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dagforge.deploying.bucket import Stored
from dagforge.deploying.folder import FolderBucket
from dagforge.deploying.local import LocalFile
from dagforge.errors import DagForgeError
from tests.deploying.stores import QUICK, Store, dag, fresh, run_deploy, s3_store

# Nobody dies here: a deployment that is slow must not be taken for dead.
PATIENT = replace(QUICK, timing=replace(QUICK.timing, beat=3, sure=9, silence=60, wait=60))


@pytest.fixture(scope="module")
def s3() -> Iterator[Store]:
    with s3_store() as found:
        yield found


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store((tmp_path / "dags").as_posix())
    found: Store = request.getfixturevalue(request.param)
    return fresh(found)


@pytest.fixture
def rounds(store: Store) -> int:
    """How often; tests/real has the rounds in S3."""
    return 5 if store.proxy.endpoint else 50


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


def test_two_projects_at_once(store: Store, rounds: int) -> None:
    """They do not wait for each other, and neither is ever refused."""
    for number in range(rounds):
        mine = [dag("same", number), dag(f"s{number}")]
        theirs = [dag("m", number, project="mail"), dag(f"m{number}", project="mail")]
        assert at_once(deploying(store, mine, "shop"), deploying(store, theirs, "mail")) == [[], []]
        assert store.objects() == {file.path: file.content for file in [*mine, *theirs]}
    assert store.own_objects() == [".dagforge/mail.json", ".dagforge/shop.json"]


def test_two_deployments_of_one_project_at_once(store: Store, rounds: int) -> None:
    """One comes after the other: what is there at the end is what one of them wanted."""
    for number in range(rounds):
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


def test_a_deployment_between_two_looks_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the other one added after the listing is not left behind, owned by nobody."""
    store = Store((tmp_path / "dags").as_posix())
    run_deploy(store, dag("a"))
    listed, listings = FolderBucket.list, []

    def listed_before_the_other(bucket: FolderBucket, folder: str) -> Mapping[str, Stored]:
        listings.append(folder)
        found = listed(bucket, folder)
        if len(listings) == 1:
            run_deploy(store, dag("a"), dag("f"))
        return found

    monkeypatch.setattr(FolderBucket, "list", listed_before_the_other)
    run_deploy(store, dag("a"), dag("g"))
    assert store.objects().keys() == {"a.py", "g.py"}
    assert store.inventory().files.keys() == {"a.py", "g.py"}


def test_two_projects_that_want_one_dag_id_at_once(store: Store, rounds: int) -> None:
    """At most one gets it, and who does not is told whose it is."""
    for number in range(rounds):
        mine = [dag(f"s{number}", dag_ids=[f"d{number}"])]
        theirs = [dag(f"m{number}", dag_ids=[f"d{number}"], project="mail")]
        codes = at_once(deploying(store, mine, "shop"), deploying(store, theirs, "mail"))
        assert codes != [[], []]
        assert all(code in ([], ["dag-id-taken"]) for code in codes)
        there = store.objects()
        for files, code in ((mine, codes[0]), (theirs, codes[1])):
            assert (files[0].path in there) == (code == [])
        run_deploy(store, project="shop")
        run_deploy(store, project="mail")


def test_two_projects_that_want_one_file_at_once(store: Store, rounds: int) -> None:
    for number in range(rounds // 5):
        mine, theirs = dag(f"x{number}"), dag(f"x{number}", project="mail")
        codes = at_once(deploying(store, [mine], "shop"), deploying(store, [theirs], "mail"))
        assert codes != [[], []]
        assert all(set(code) <= {"owned-file", "foreign-file"} for code in codes), codes
        there = store.objects().get(mine.path)
        assert there == (mine.content if not codes[0] else theirs.content if not codes[1] else None)
