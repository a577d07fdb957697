"""What a deployment does to a folder, to S3 and to Google Cloud Storage, each by its own client."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from dagforge.deploy import deploy
from dagforge.deploying.bucket import Stored
from dagforge.deploying.decide import Scope
from dagforge.deploying.inventory import lock_of
from dagforge.deploying.s3 import S3Bucket
from dagforge.errors import DagForgeError, Problem
from tests.deploying.proxy import Request
from tests.deploying.stores import (
    QUICK,
    Store,
    dag,
    fresh,
    gs_store,
    run_deploy,
    s3_store,
    supporting,
)
from tests.runtime.servers import found_by_clients

# aiohttp's advice to gcsfs.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


@pytest.fixture(scope="module")
def s3() -> Iterator[Store]:
    with s3_store() as found:
        yield found


@pytest.fixture(scope="module")
def gs() -> Iterator[Store]:
    with gs_store() as found:
        yield found


@pytest.fixture(params=["folder", "s3", "gs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store((tmp_path / "dags").as_posix())
    found: Store = request.getfixturevalue(request.param)
    return fresh(found)


@pytest.fixture
def bucket(s3: Store) -> Store:
    """S3 alone, for what the stores do not differ in."""
    return fresh(s3)


def _always(asked: object) -> bool:
    del asked
    return True


def refused(action: Callable[[], object]) -> list[str]:
    """Return the problems of a deployment that is refused, without its warnings."""
    with pytest.raises(DagForgeError) as caught:
        action()
    return [str(problem) for problem in caught.value.problems if problem.severity == "error"]


# --- what happens to files


def test_new_changed_removed_and_unchanged(store: Store) -> None:
    store.put("theirs.py", "x = 1\n")
    first = run_deploy(store, dag("a"), dag("b"), dag("c"))
    assert first.actions == {"a.py": "new", "b.py": "new", "c.py": "new"}
    assert first.warnings == []
    again = run_deploy(store, dag("a"), dag("b", 2), dag("d"))
    assert again.actions == {"b.py": "changed", "c.py": "removed", "d.py": "new"}
    assert store.objects() == {
        "a.py": dag("a").content,
        "b.py": dag("b", 2).content,
        "d.py": dag("d").content,
        "theirs.py": b"x = 1\n",
    }
    assert store.own_objects() == [".dagforge/shop.json"]
    assert run_deploy(store, dag("a"), dag("b", 2), dag("d")).actions == {}


def test_the_inventory(store: Store) -> None:
    two = dag("b", dag_ids=["y", "x"])
    run_deploy(store, dag("a", env="prod"), replace(two, path="team/b.py"), env="prod")
    inventory = store.inventory()
    assert {path: entry.dag_ids for path, entry in inventory.files.items()} == {
        "a.py": ("a",),
        "team/b.py": ("x", "y"),
    }
    entry = inventory.files["a.py"]
    assert (entry.envs, entry.target, entry.pipeline) == (("prod",), "airflow", "a")
    assert entry.hashes == (dag("a", env="prod").sha256,)
    assert entry.version == store.open().list("")["a.py"].version


def test_a_dry_run_changes_nothing(store: Store) -> None:
    run_deploy(store, dag("a"), dag("b"))
    before, inventory = store.objects(), store.inventory()
    looked = run_deploy(store, dag("a", 2), dag("c"), mode=replace(QUICK, dry_run=True))
    assert looked.actions == {"a.py": "changed", "b.py": "removed", "c.py": "new"}
    assert (store.objects(), store.inventory()) == (before, inventory)


def test_supporting_files_inside_and_outside_of_the_root(store: Store) -> None:
    files = [
        dag("a"),
        supporting(".airflowignore", "lib/.*\n"),
        supporting("lib/helper.py", "x = 1\n"),
        supporting("../plugins/shop.py", "p = 1\n"),
        supporting("../shop.cfg", "c\n"),
    ]
    run_deploy(store, *files)
    assert store.open().read("../plugins/shop.py") is not None
    assert run_deploy(store, *files).actions == {}
    assert run_deploy(store, *files[:2]).actions == {
        "lib/helper.py": "removed",
        "../plugins/shop.py": "removed",
        "../shop.cfg": "removed",
    }
    assert store.open().read("../plugins/shop.py") is None
    assert sorted(store.objects()) == [".airflowignore", "a.py"]


def test_one_pipeline_alone(store: Store) -> None:
    run_deploy(store, dag("a"), dag("b"))
    renamed = replace(dag("a", 2), path="a_new.py")
    assert run_deploy(store, renamed, pipelines=["a"]).actions == {
        "a.py": "removed",
        "a_new.py": "new",
    }
    assert sorted(store.objects()) == ["a_new.py", "b.py"]


def test_environments_of_one_project_share_a_root(store: Store) -> None:
    helper = supporting("helper.py", "x = 1\n")
    dev, prod = (dag(f"a-{env}", env=env, folder=env) for env in ("dev", "prod"))
    run_deploy(store, dev, helper, env="dev")
    run_deploy(store, prod, helper, env="prod")
    assert sorted(store.objects()) == ["dev/a-dev.py", "helper.py", "prod/a-prod.py"]
    assert store.inventory().files["helper.py"].envs == ("dev", "prod")
    assert run_deploy(store, env="dev").actions == {"dev/a-dev.py": "removed"}
    assert run_deploy(store, env="prod").actions == {
        "helper.py": "removed",
        "prod/a-prod.py": "removed",
    }
    assert store.objects() == {}


# --- whose files they are


def test_two_projects_in_one_root(store: Store) -> None:
    run_deploy(store, dag("a"), dag("b"))
    run_deploy(store, dag("m", project="mail"), project="mail")
    assert run_deploy(store, dag("a")).actions == {"b.py": "removed"}
    assert run_deploy(store, project="mail").actions == {"m.py": "removed"}
    assert sorted(store.objects()) == ["a.py"]
    assert store.own_objects() == [".dagforge/mail.json", ".dagforge/shop.json"]


def test_a_file_or_dag_id_of_another_project(store: Store) -> None:
    run_deploy(store, dag("a"), dag("b"))
    before = store.objects()
    theirs = [
        dag("a", project="mail"),
        dag("m", project="mail", dag_ids=["b", "m"]),
        dag("n", project="mail"),
    ]
    assert refused(lambda: run_deploy(store, *theirs, project="mail", force=True)) == [
        f"dags/a.py: error: {store.url}/a.py belongs to project 'shop' [owned-file]\n"
        "  fix: choose another dag_id, URL or folder; --force leaves other projects' files alone"
    ]
    # Unless it is known from the header, the inventories are asked only when files are free.
    assert refused(lambda: run_deploy(store, *theirs[1:], project="mail")) == [
        f"dags/m.py: error: dag_id 'b' is that of project 'shop', in {store.url}/b.py "
        "[dag-id-taken]\n"
        "  fix: an Airflow has each dag_id once: choose another (setting dag_id)"
    ]
    assert store.objects() == before
    assert store.own_objects() == [".dagforge/shop.json"]


def test_a_dag_id_of_another_environment_of_the_project(store: Store) -> None:
    run_deploy(store, dag("a", env="dev", folder="dev"), env="dev")
    prod = dag("a", env="prod", folder="prod")
    assert refused(lambda: run_deploy(store, prod, env="prod")) == [
        "dags/a.py: error: dag_id 'a' is also in 'dev/a.py', which environment 'dev' deployed "
        "[dag-id-taken]\n"
        "  fix: an Airflow has each dag_id once: give one of them another"
    ]
    run_deploy(store, dag("b", env="dev"), env="dev")
    assert refused(lambda: run_deploy(store, dag("b", env="prod"), env="prod")) == [
        f"dags/b.py: error: environment 'dev' of this project has other content at {store.url}/b.py"
        " [owned-file]\n"
        "  fix: deploy the environments to different URLs or folders, or replace it with --force",
    ]


def test_a_foreign_object_of_the_same_name(store: Store) -> None:
    store.put("a.py", "by_hand = 1\n")
    assert refused(lambda: run_deploy(store, dag("a"), dag("b"))) == [
        f"dags/a.py: error: {store.url}/a.py was not deployed by DagForge and would be replaced "
        "[foreign-file]\n"
        "  fix: choose another URL or folder, or replace it with --force"
    ]
    assert store.objects() == {"a.py": b"by_hand = 1\n"}
    assert store.own_objects() == []
    assert run_deploy(store, dag("a"), dag("b"), force=True).actions == {
        "a.py": "changed",
        "b.py": "new",
    }


def test_what_was_copied_there_before_deploying_was_known(store: Store) -> None:
    for file in (dag("a"), dag("b")):
        store.put(file.path, file.content)
    assert run_deploy(store, dag("a"), dag("b", 2)).actions == {"b.py": "changed"}
    assert sorted(store.inventory().files) == ["a.py", "b.py"]


def test_an_object_that_was_edited_in_the_bucket(store: Store) -> None:
    run_deploy(store, dag("a"), dag("b"), supporting("c.txt", "1"))
    for path in ("a.py", "b.py"):
        store.put(path, store.objects()[path].replace(b"VALUE = 1", b"VALUE = 7"))
    store.put("c.txt", "7")
    assert refused(lambda: run_deploy(store, dag("a", 2))) == [
        f"dags/a.py: error: {store.url}/a.py was changed since it was deployed [edited-file]\n"
        "  fix: take the change over where it belongs, or replace it with --force",
        f"{store.url}/b.py: error: this object was changed since it was deployed, and is not "
        "removed [edited-file]\n"
        "  fix: take the change over where it belongs, then remove it with --force",
        f"{store.url}/c.txt: error: this object was changed since it was deployed, and is not "
        "removed [edited-file]\n"
        "  fix: take the change over where it belongs, then remove it with --force",
    ]
    assert run_deploy(store, dag("a", 2), force=True).actions == {
        "a.py": "changed",
        "b.py": "removed",
        "c.txt": "removed",
    }


def test_an_object_that_was_removed_or_put_again(store: Store) -> None:
    run_deploy(store, dag("a"), dag("b"), dag("c"))
    store.remove("a.py")
    store.remove("c.py")
    store.put("b.py", b"other = 1\n")
    store.put("b.py", dag("b").content)
    assert run_deploy(store, dag("a"), dag("b")).actions == {"a.py": "new"}
    assert sorted(store.inventory().files) == ["a.py", "b.py"]


def test_an_inventory_that_cannot_be_read(bucket: Store) -> None:
    fix = "  fix: let its project deploy again; if that is yours, or is gone, delete the list first"
    for content in (b"", b"\xff", b"[]", b'{"dagforge_inventory": 1}', b"[" * 100_000):
        bucket.put(".dagforge/mail.json", content)
        assert refused(lambda: run_deploy(bucket, dag("a"))) == [
            f"{bucket.url}/.dagforge/mail.json: error: this list of a project's files cannot be "
            f"read, so it is not known what is whose [bad-inventory]\n{fix}"
        ]
    bucket.put(".dagforge/mail.json", b'{"dagforge_inventory": 9, "project": "mail"}')
    assert refused(lambda: run_deploy(bucket, dag("a"))) == [
        f"{bucket.url}/.dagforge/mail.json: error: this list of a project's files was written by "
        "a later version of DagForge [bad-inventory]\n  fix: install that version"
    ]
    assert bucket.objects() == {}


def test_names_of_projects(store: Store) -> None:
    for number, project in enumerate(("a/b", "a b", "..", "é'%41")):
        run_deploy(store, dag(f"d{number}", project=project), project=project)
        assert store.inventory(project).project == project


# --- order, and what a reader may see


def test_new_and_changed_files_before_what_goes(bucket: Store) -> None:
    run_deploy(bucket, dag("a"), dag("b"), supporting("old.py", "x = 1\n"))
    bucket.proxy.reset()
    run_deploy(bucket, dag("a", 2), dag("c"), supporting("new.py", "x = 1\n"))
    changes = [
        name.rpartition("/dags/")[2]
        for name in bucket.proxy.names("PUT", "DELETE")
        if ".dagforge" not in name
    ]
    assert changes[0] == "new.py"
    assert sorted(changes[1:3]) == ["a.py", "c.py"]
    assert sorted(changes[3:]) == ["b.py", "old.py"]


def test_a_renamed_file_is_never_missing(store: Store) -> None:
    """Somebody looks all the time: one of the two names is always there, and whole."""
    files = dag("a"), replace(dag("a", 2), path="renamed.py")
    run_deploy(store, files[0])
    seen: list[set[bytes]] = []
    stop = threading.Event()

    def look() -> None:
        reader = store.open()
        while not stop.is_set():
            found = [reader.read(file.path) for file in files]
            seen.append({answer[0] for answer in found if answer is not None})

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for number in range(6):
            run_deploy(store, files[(number + 1) % 2])
    finally:
        stop.set()
        thread.join()
    whole = {file.content for file in files}
    assert len(seen) > 10
    # Both reads of one look may fall before and after a rename: then it finds neither.
    assert all(found <= whole for found in seen)


# --- counting requests


def test_unchanged_files_cost_a_listing(store: Store) -> None:
    files = [dag(f"d{number}") for number in range(30)]
    run_deploy(store, *files)
    run_deploy(store, dag("m", project="mail"), project="mail")
    store.proxy.reset()
    assert run_deploy(store, *files).actions == {}
    if store.proxy.endpoint:
        google = store.url.startswith("gs")
        # One listing; the project's own inventory, for which Google is asked twice.
        assert store.proxy.count("GET") == 1 + (2 if google else 1)
        assert store.proxy.count("PUT", "POST", "DELETE", "HEAD") == 0


# --- interruptions


def test_an_upload_that_is_cut_once_is_repeated(store: Store, s3: Store) -> None:
    del s3
    store.proxy.cut = lambda number: number == 4
    assert len(run_deploy(store, *(dag(name) for name in "abcde")).actions) == 5
    assert sorted(store.objects()) == ["a.py", "b.py", "c.py", "d.py", "e.py"]


def test_an_answer_that_is_lost_is_no_conflict(store: Store) -> None:
    store.proxy.lose = lambda number: number in (2, 5)
    assert len(run_deploy(store, *(dag(name) for name in "abcde")).actions) == 5
    assert store.own_objects() == [".dagforge/shop.json"]


@pytest.fixture
def impatient(bucket: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """S3 with a client that tries once, one file after the other."""
    monkeypatch.setattr("dagforge.deploy._AT_ONCE", 1)
    with found_by_clients({"AWS_MAX_ATTEMPTS": "1"}, "s3"):
        yield bucket


@pytest.mark.parametrize("dead", [False, True], ids=["uploads", "everything"])
def test_cut_in_the_third_upload_and_run_again(impatient: Store, dead: bool) -> None:
    bucket = impatient
    files = [dag(name) for name in "abcde"]
    run_deploy(bucket, dag("a", 0), dag("gone"))
    bucket.proxy.reset()

    def cut(number: int) -> bool:
        # First come the lock, the inventory, and the question whether conditions count.
        if number >= 6 and dead:
            bucket.proxy.refuse = _always
        return number >= 6

    bucket.proxy.cut = cut
    problems = refused(lambda: run_deploy(bucket, *files))
    assert len(problems) == 1
    assert problems[0].startswith(f"{bucket.url}/c.py: error: it cannot be written: ")
    assert "[deploy-failed]" in problems[0]
    bucket.proxy.reset()
    assert bucket.objects() == {
        "a.py": files[0].content,
        "b.py": files[1].content,
        "gone.py": dag("gone").content,
    }
    bucket.proxy.reset()
    again = run_deploy(bucket, *files, mode=replace(QUICK, take_over=True))
    assert again.actions == {
        "c.py": "new",
        "d.py": "new",
        "e.py": "new",
        "gone.py": "removed",
    }
    assert [problem.code for problem in again.warnings] == ["deploy-interrupted"] * dead
    assert bucket.proxy.count("PUT", name=r"/[a-z]\.py$") == 3
    assert bucket.objects() == {file.path: file.content for file in files}
    assert bucket.own_objects() == [".dagforge/shop.json"]


def test_another_commit_after_an_interruption(impatient: Store) -> None:
    """What the interrupted deployment wrote is known to be ours, supporting files too."""
    bucket = impatient
    run_deploy(bucket, supporting("s.txt", "1"), supporting("t.txt", "1"))
    bucket.proxy.reset()
    bucket.proxy.cut = lambda number: number >= 5
    refused(lambda: run_deploy(bucket, supporting("s.txt", "2"), supporting("t.txt", "2")))
    assert bucket.objects() == {"s.txt": b"2", "t.txt": b"1"}
    bucket.proxy.reset()
    mode = replace(QUICK, take_over=True)
    run_deploy(bucket, supporting("s.txt", "3"), supporting("t.txt", "3"), mode=mode)
    assert bucket.objects() == {"s.txt": b"3", "t.txt": b"3"}


def test_a_failure_that_can_be_told_lets_the_next_one_in(bucket: Store) -> None:
    run_deploy(bucket, dag("a"))
    bucket.proxy.refuse = lambda method: method == "DELETE"
    problems = refused(lambda: run_deploy(bucket, dag("b")))
    assert problems[0].startswith(f"{bucket.url}/a.py: error: it cannot be removed: ")
    bucket.proxy.reset()
    assert sorted(bucket.objects()) == ["a.py", "b.py"]
    # The lock could not be removed either.
    mode = replace(QUICK, take_over=True)
    assert run_deploy(bucket, dag("b"), mode=mode).actions == {"a.py": "removed"}


def test_read_only_credentials(store: Store) -> None:
    where, fix = ".dagforge/shop.lock", "may list, read, write and delete objects in it"
    if not store.proxy.endpoint:
        root = Path(store.url)
        root.mkdir()
        (root / ".dagforge").write_text("in the way")
        where, fix = (
            ".dagforge/shop.json",
            "move the file away that stands where a folder is needed",
        )
    store.proxy.refuse = lambda method: method != "GET"
    (problem,) = refused(lambda: run_deploy(store, dag("a")))
    assert problem.startswith(f"{store.url}/{where}: error: it cannot be ")
    assert fix in problem
    store.proxy.reset()
    assert store.objects() == ({} if store.proxy.endpoint else {".dagforge": b"in the way"})


def test_a_bucket_that_is_not_there(s3: Store, gs: Store) -> None:
    for store in (s3, gs):
        store.proxy.reset()
        absent = Store(store.url.replace("bucket", "no-bucket"))
        (problem,) = refused(functools.partial(run_deploy, absent, dag("a")))
        assert problem.startswith(f"{absent.url}: error: it cannot be listed: ")


# --- several at once


def test_another_deployment_of_the_project_is_waited_for(store: Store) -> None:
    bucket = store.open()
    version = bucket.write(lock_of("shop"), b'{"by": "ci@runner", "beat": 0}', None)
    at_once = replace(QUICK, timing=replace(QUICK.timing, wait=0))
    problems = refused(lambda: run_deploy(store, dag("a"), mode=at_once))
    assert problems == [
        f"{store.url}/.dagforge/shop.lock: error: project 'shop' is being deployed by ci@runner "
        "at this moment [deploy-busy]\n"
        "  fix: deploy again when that has ended; if it is known to be dead, say --take-over"
    ]
    assert store.objects() == {}
    bucket.delete(lock_of("shop"), version)
    assert run_deploy(store, dag("a")).warnings == []


def test_a_dead_deployment_is_taken_over(store: Store) -> None:
    store.put(lock_of("shop"), b"{}")
    patient = replace(QUICK, timing=replace(QUICK.timing, wait=30))
    taken = run_deploy(store, dag("a"), mode=patient)
    assert [str(problem) for problem in taken.warnings] == [
        f"{store.url}/.dagforge/shop.lock: warning: an earlier deployment of project 'shop' did "
        "not end; this one goes on with it [deploy-interrupted]"
    ]
    assert store.own_objects() == [".dagforge/shop.json"]


def test_who_is_overtaken_stops_and_says_so(bucket: Store) -> None:
    """The lock and the inventory are somebody else's, while the first upload is on its way."""
    run_deploy(bucket, dag("a"))
    other = fresh_client(bucket)

    def overtake(request: Request) -> None:
        if request.method == "PUT" and request.name.endswith("/dags/a.py"):
            bucket.proxy.before = _always
            run_deploy(other, dag("a", 3), mode=replace(QUICK, take_over=True))

    bucket.proxy.before = overtake
    (problem, *_) = refused(lambda: run_deploy(bucket, dag("a", 2)))
    assert "[deploy-conflict]" in problem
    assert bucket.objects() == {"a.py": dag("a", 3).content}
    assert run_deploy(bucket, dag("a", 3)).actions == {}


def fresh_client(store: Store) -> Store:
    """Return the same store; each deployment opens a client of its own."""
    return Store(store.url, store.proxy, store.environment)


def test_an_object_that_changes_under_a_deployment(store: Store) -> None:
    run_deploy(store, dag("a"), dag("b"))
    changed = threading.Event()

    def change(request: Request) -> None:
        if ".dagforge/shop.lock" in request.name and not changed.is_set():
            changed.set()
            store.put("a.py", "by_hand = 1\n")

    store.proxy.before = change
    if not store.proxy.endpoint:
        return
    problems = refused(lambda: run_deploy(store, dag("a", 2), dag("b", 2)))
    assert problems == [
        f"{store.url}/a.py: error: this object was changed by somebody else during the "
        "deployment, and was left so [deploy-conflict]\n"
        "  fix: find out who deploys there besides, then deploy again"
    ]
    assert store.objects()["a.py"] == b"by_hand = 1\n"
    store.proxy.reset()
    assert "[edited-file]" in refused(lambda: run_deploy(store, dag("a", 2), dag("b", 2)))[0]


# --- what a store may be like


def test_clocks_do_not_matter(store: Store, tmp_path: Path) -> None:
    files = [dag(name) for name in "abc"]
    run_deploy(store, *files)
    for year in (1999, 2099):
        store.proxy.year = year
        if not store.proxy.endpoint:
            for path in tmp_path.rglob("*.py"):
                os.utime(path, (year * 3e7 - 5.9e10, year * 3e7 - 5.9e10))
        assert run_deploy(store, *files).actions == {}
        assert run_deploy(store, dag("a", year), *files[1:]).actions == {"a.py": "changed"}
        assert run_deploy(store, *files).actions == {"a.py": "changed"}


def test_a_store_that_ignores_conditions(bucket: Store) -> None:
    bucket.proxy.ignore_conditions = True
    warned = run_deploy(bucket, dag("a"))
    assert [str(problem) for problem in warned.warnings] == [
        f"{bucket.url}: warning: this store ignores the conditions of a write: two deployments of "
        "one file at the same time would not be noticed [no-conditions]\n"
        "  fix: let only one job at a time deploy to it"
    ]
    assert run_deploy(bucket, dag("b")).actions == {"a.py": "removed", "b.py": "new"}
    assert bucket.own_objects() == [".dagforge/shop.json"]


def test_an_encrypted_object_has_no_md5(bucket: Store) -> None:
    """Its ETag is one of no content; then what was written is known by its version."""
    files = [dag("a"), dag("b")]
    run_deploy(bucket, *files)
    client = bucket.open()

    class Encrypted(S3Bucket):
        def list(self, folder: str) -> Mapping[str, Stored]:
            return {path: Stored(stored.version) for path, stored in super().list(folder).items()}

    assert isinstance(client, S3Bucket)
    encrypted = Encrypted(client._system, client._place)
    bucket.proxy.reset()
    scope, found = Scope("shop", "base"), list[Problem]()
    report = deploy([*files, dag("c")], encrypted, scope, QUICK, warn=found.append)
    assert [file.action for file in report.files] == ["unchanged", "unchanged", "new"]
    assert bucket.proxy.count("GET", name=r"/[abc]\.py$") == 0
