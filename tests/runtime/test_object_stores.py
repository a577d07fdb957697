"""The suite of the store again, in S3 and in Google Cloud Storage, through their real clients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagforge.runtime.errors import IncompleteError, StoreError
from dagforge.runtime.files import Files
from dagforge.runtime.places import RunPlace
from dagforge.runtime.store import Store
from tests.runtime import work
from tests.runtime.projects import dagforge, environment, write_files
from tests.runtime.servers import Server, found_by_clients, free_port, gcs_server, s3_server
from tests.runtime.tasks import Bench, bench, dataset, node
from tests.runtime.test_formats import put
from tests.runtime.test_store import (  # noqa: F401
    test_a_pointer_of_a_later_version,
    test_a_record_is_not_replaced_by_an_earlier_attempt,
    test_a_record_that_cannot_be_read_is_none,
    test_altered_content_is_never_given_out,
    test_an_altered_pointer,
    test_an_attempt_that_is_overtaken_while_it_writes,
    test_an_equal_value_again_is_the_same_file,
    test_content_without_a_pointer_is_nothing,
    test_nothing_altered_is_unpickled,
    test_nothing_was_written,
    test_readers_and_writers_at_once_never_see_a_mix,
    test_the_later_start_wins_whoever_writes_last,
    test_what_is_kept_of_a_dataset,
)
from tests.runtime.values import VALUES, same

ROOT = Path(__file__).parents[2]
# aiohttp's advice to gcsfs.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
# One of each format: what else there is to a value, local files have shown.
ONE_EACH = {form: (name, make) for name, form, make in reversed(VALUES)}


@pytest.fixture(scope="module")
def s3() -> Iterator[Server]:
    with s3_server() as server, found_by_clients(server.environment, "s3"):
        yield server


@pytest.fixture(scope="module")
def gs() -> Iterator[Server]:
    with gcs_server() as server, found_by_clients(server.environment, "gs"):
        yield server


@pytest.fixture(params=["s3", "gs"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def url(request: pytest.FixtureRequest, server: Server) -> str:
    del server
    return f"{request.node.callspec.params['server']}://bucket/{uuid.uuid4().hex}/store"


@pytest.fixture
def store(url: str) -> Store:
    return Store(Files(url), RunPlace("team", None, "dag", "run/1"))


@pytest.mark.parametrize("form", ONE_EACH)
def test_a_value_of_every_format(store: Store, form: str) -> None:
    name, make = ONE_EACH[form]
    assert put(store, make(), name).format == form
    assert same(make(), store.load(name)[0])


def test_tasks_hand_data_over_and_leave_records(tmp_path: Path, url: str) -> None:
    run = bench(
        tmp_path,
        node("frame", outputs=["f"]),
        node("echo", inputs=["f"], outputs=["g"]),
        node("two", outputs=["a", "b"]),
        url=url,
    )
    for name in ("frame", "echo", "two", "two"):
        assert run.run(name).warnings == []
    assert run.value("g").to_dict("list") == {"a": [1, 2], "b": ["x", "é"]}
    assert run.record("echo").inputs[0]["uri"].startswith(f"{url}/team/base/dag/r/f/")
    assert run.store.files.list(f"{run.place.path}/_tasks") == [
        "echo.json",
        "frame.json",
        "two.json",
    ]
    run.store.files.remove(run.place.path)
    assert run.store.files.list(run.place.path) == []


def test_large_content_goes_in_parts(store: Store) -> None:
    value = os.urandom(12_000_000)
    store.save("x", value, producer="t", started="2026-01-01T00:00:00.000000+00:00")
    assert store.load("x")[0] == value


def _at_fixed_paths(root: Path, url: str, run_id: str) -> Bench:
    return bench(
        root,
        node("frame", outputs=["f"]),
        node("echo", inputs=["f"]),
        datasets=[dataset("f", f"{url}/data/f.csv")],
        url=url,
        run_id=run_id,
    )


def test_datasets_at_fixed_paths_and_their_versions(tmp_path: Path, url: str) -> None:
    run = _at_fixed_paths(tmp_path, url, "monday")
    (written,) = run.run("frame").outputs
    record = run.run("echo")
    assert record.warnings == []
    (read,) = record.inputs
    assert read["uri"] == f"{url}/data/f.csv"
    assert read["facts"]["version"] == written["facts"]["version"] is not None
    assert read["facts"]["modified"]
    assert work.seen.pop().to_dict("list") == {"a": [1, 2], "b": ["x", "é"]}
    (warning,) = _at_fixed_paths(tmp_path, url, "tuesday").run("echo").warnings
    assert "is older than this run, in which node 'frame' has not written it" in warning
    Files(f"{url}/data").write("f.csv", b"a,b\n9,z\n")
    (warning,) = run.run("echo").warnings
    assert "another run has written it since" in warning
    work.seen.clear()


def test_killed_in_the_middle_of_an_upload(tmp_path: Path, url: str, server: Server) -> None:
    code = f"""
import os, signal
from pathlib import Path
from dagforge.runtime.files import Files
from tests.runtime.tasks import bench, node
put = Files.put
def half(self, staged, path):
    import threading
    threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGKILL)).start()
    while True:
        put(self, staged, path + ".other")
Files.put = half
bench(Path({str(tmp_path)!r}), node("large_bytes", outputs=["x"]), url={url!r}).run()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment({"PYTHONPATH": str(ROOT), **server.environment}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    run = bench(tmp_path, node("large_bytes", outputs=["x"]), node("see", inputs=["x"]), url=url)
    with pytest.raises(IncompleteError):
        run.run("see")
    run.run("large_bytes")
    assert len(run.value("x")) == 3_000_000


def test_a_bucket_that_is_not_there(tmp_path: Path, url: str) -> None:
    run = bench(tmp_path, node("one", outputs=["x"]), url=url.replace("bucket", "no-bucket", 1))
    with pytest.raises(StoreError, match="store-failed") as caught:
        run.run()
    assert f"the store at {run.url} failed at team/base/dag/r/_tasks/one.json: " in str(
        caught.value
    )


def test_a_store_that_cannot_be_reached(
    tmp_path: Path, s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    endpoint = f"http://127.0.0.1:{free_port()}"
    for name, value in {**s3.environment, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreError) as caught:
        bench(tmp_path, node("one", outputs=["x"]), url="s3://bucket/x").run()
    assert str(caught.value) == (
        "error: the store at s3://bucket/x failed at team/base/dag/r/_tasks/one.json: Could not "
        f'connect to the endpoint URL: "{endpoint}/bucket/x/team/base/dag/r/_tasks/one.json" '
        "[store-failed]\n"
        "  fix: check that it is there, that it can be reached, and that this process may use it"
    )
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_whole_run_with_the_endpoint_in_fsspecs_variables(tmp_path: Path, s3: Server) -> None:
    root = write_files(tmp_path, {})
    variables = {
        name: value for name, value in s3.environment.items() if name != "AWS_ENDPOINT_URL"
    }
    options = {"endpoint_url": s3.endpoint}
    done = dagforge(
        root,
        "run",
        "sums",
        *("--jobs", "2", "--run-id", "r", "--store", "s3://bucket/whole-run"),
        env={**variables, "FSSPEC_S3": json.dumps(options)},
    )
    assert done.returncode == 0, done.stderr
    shown = dagforge(
        root,
        *("runs", "show", "sums", "r", "--format", "json", "--store", "s3://bucket/whole-run"),
        env={**variables, "FSSPEC_S3_ENDPOINT_URL": s3.endpoint},
    )
    tasks = json.loads(shown.stdout)["tasks"]
    assert {task["status"] for task in tasks.values()} == {"success"}
    assert not (root / ".dagforge").exists()
