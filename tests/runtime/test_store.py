"""The store: whole or not at all, the later attempt wins, and every failure says what to do."""

from __future__ import annotations

import json
import os
import threading
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem

from dagforge.runtime.errors import IncompleteError, StoreError
from dagforge.runtime.files import TEMPORARY, Files
from dagforge.runtime.places import RunPlace
from dagforge.runtime.records import (
    RUNNING,
    TaskRecord,
    as_json,
    next_start,
    read_record,
    write_record,
)
from dagforge.runtime.store import POINTER, DatasetRecord, Store

EARLY = "2026-01-01T00:00:00.000000+00:00"
LATE = "2026-01-01T00:00:00.000001+00:00"


class Elsewhere(LocalFileSystem):  # type: ignore[misc]
    """A file system that is neither local nor an object store, such as SFTP."""

    protocol = "elsewhere"
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return str(path).removeprefix("elsewhere://")

    def unstrip_protocol(self, name: str) -> str:
        return f"elsewhere://{name}"


fsspec.register_implementation("elsewhere", Elsewhere, clobber=True)


@pytest.fixture(params=["path", "file", "memory", "elsewhere"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return {
        "path": f"{tmp_path}/store",
        "file": f"file://{tmp_path}/store",
        "memory": f"memory://{uuid.uuid4().hex}/store",
        "elsewhere": f"elsewhere://{tmp_path}/store",
    }[str(request.param)]


@pytest.fixture
def store(url: str) -> Store:
    return Store(Files(url), RunPlace("team", None, "dag", "run/1"))


def put(store: Store, value: Any, name: str = "x", started: str = EARLY) -> DatasetRecord:
    return store.save(name, value, producer="t", started=started)


def names(store: Store, name: str = "x") -> list[str]:
    return store.files.list(store.place.dataset(name))


def test_what_is_kept_of_a_dataset(store: Store) -> None:
    record = put(store, {"a": 1})
    assert names(store) == sorted([POINTER, record.file])
    folder = "team/base/dag/run-1-"
    assert f"/store/{folder}" in record.uri
    assert record.uri.endswith(f"/x/{record.file}")
    assert record.file == f"{record.sha256[:16] if record.sha256 else ''}.json"
    kept = json.loads(store.files.read(f"{store.place.dataset('x')}/{POINTER}") or b"")
    assert kept.pop("written") >= EARLY
    assert kept == {
        "facts": {"rows": 1},
        "file": record.file,
        "format": "json",
        "name": "x",
        "producer": "t",
        "schema": 1,
        "sha256": record.sha256,
        "size": 8,
        "started": EARLY,
        "type": "dict",
        "uri": record.uri,
    }


def test_an_equal_value_again_is_the_same_file(store: Store) -> None:
    first = put(store, [1])
    assert put(store, [1], started=LATE).file == first.file
    assert len(names(store)) == 2
    assert put(store, [2], started=LATE).file != first.file
    assert store.load("x")[0] == [2]


def test_nothing_was_written(store: Store) -> None:
    with pytest.raises(IncompleteError) as caught:
        store.load("x")
    assert "dataset 'x' was never completely written in run 'run/1' (" in str(caught.value)
    assert "was it skipped, did it fail, or is this another run?" in str(caught.value)


def test_content_without_a_pointer_is_nothing(store: Store, monkeypatch: Any) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Files, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        put(store, [1])
    assert len(names(store)) == 1
    with pytest.raises(IncompleteError):
        store.load("x")


def test_the_later_start_wins_whoever_writes_last(store: Store) -> None:
    put(store, "late", started=LATE)
    with pytest.raises(StoreError) as caught:
        put(store, "early", started=EARLY)
    assert "dataset 'x' belongs to a later attempt (begun " in str(caught.value)
    assert "[superseded]" in str(caught.value)
    assert store.load("x")[0] == "late"


def test_an_attempt_that_is_overtaken_while_it_writes(store: Store, monkeypatch: Any) -> None:
    write = Files.write

    def overtaken(self: Files, path: str, content: bytes) -> None:
        write(self, path, content)
        if path.endswith(POINTER) and b'"early"' not in content:
            monkeypatch.setattr(Files, "write", write)
            # The earlier attempt's write, long on its way, comes last.
            write(self, path, replace(early, started=EARLY).to_json())

    early = put(store, [0])
    monkeypatch.setattr(Files, "write", overtaken)
    put(store, [1], started=LATE)
    assert store.load("x") == ([1], store.record("x"))


@pytest.mark.parametrize(
    ("altered", "told"),
    [
        (b"[1,", "has 3 bytes instead of 6"),
        (b"[1, 3]", "has another content than was written"),
        (None, "is gone"),
    ],
)
def test_altered_content_is_never_given_out(store: Store, altered: bytes | None, told: str) -> None:
    record = put(store, [1, 2])
    path = f"{store.place.dataset('x')}/{record.file}"
    if altered is None:
        store.files.remove(path)
    else:
        store.files.write(path, altered)
    with pytest.raises(StoreError) as caught:
        store.load("x")
    assert str(caught.value) == (
        f"error: the content of dataset 'x' {told} ({record.uri}) [store-altered]\n"
        "  fix: run the task 't' again"
    )
    put(store, [1, 2])
    assert store.load("x")[0] == [1, 2]


def test_nothing_altered_is_unpickled(store: Store) -> None:
    record = put(store, (1, 2))
    bad = b"cos\nsystem\n(S'touch ran'\ntR."
    store.files.write(f"{store.place.dataset('x')}/{record.file}", bad)
    with pytest.raises(StoreError, match="store-altered"):
        store.load("x")
    assert not Path("ran").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": "x"}', b"null"])
def test_an_altered_pointer(store: Store, content: bytes) -> None:
    put(store, [1])
    store.files.write(f"{store.place.dataset('x')}/{POINTER}", content)
    with pytest.raises(StoreError, match=r"the record of dataset 'x' at .* cannot be read"):
        store.load("x")
    put(store, [2])
    assert store.load("x")[0] == [2]


def test_a_pointer_of_a_later_version(store: Store) -> None:
    put(store, [1])
    path = f"{store.place.dataset('x')}/{POINTER}"
    data = json.loads(store.files.read(path) or b"")
    store.files.write(path, json.dumps({**data, "schema": 2, "new": {"a": 1}}).encode())
    assert store.load("x")[0] == [1]


def test_two_names_on_a_disk_that_is_blind_to_case(store: Store) -> None:
    put(store, [1], "x")
    path = f"{store.place.dataset('x')}/{POINTER}"
    data = json.loads(store.files.read(path) or b"")
    store.files.write(path, json.dumps({**data, "name": "X"}).encode())
    with pytest.raises(StoreError, match=r"datasets 'x' and 'X' share a place"):
        store.load("x")
    with pytest.raises(StoreError, match="dataset-clash"):
        put(store, [1], "x")


def test_readers_and_writers_at_once_never_see_a_mix(store: Store) -> None:
    arrays = [np.full(20_000, number) for number in range(4)]
    torn: list[object] = []
    over = threading.Event()

    def read_once() -> None:
        try:
            value, _ = store.load("x")
            if not (value == value[0]).all():
                torn.append(value)
        except IncompleteError:
            pass
        except Exception as error:
            torn.append(error)

    def read() -> None:
        while not over.is_set():
            read_once()

    def write(number: int) -> None:
        for _ in range(8):
            put(store, arrays[number])

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    for thread in readers:
        thread.join()
    assert torn == []
    assert store.load("x")[0][0] in range(4)


def test_what_a_killed_process_left_half_written_goes_with_the_next_save(tmp_path: Path) -> None:
    store = Store(Files(str(tmp_path)), RunPlace("team", None, "dag", "r"))
    put(store, [1])
    folder = tmp_path / store.place.dataset("x")
    dead, alive = folder / f"{TEMPORARY}-dead", folder / f"{TEMPORARY}-alive"
    dead.write_bytes(b"half")
    alive.write_bytes(b"half")
    os.utime(dead, (1e9, 1e9))
    assert names(store) == sorted([POINTER, store.current("x").file])
    put(store, [2], started=LATE)
    assert not dead.exists()
    assert alive.exists()


def test_files_may_be_read_by_other_users(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        store = Store(Files(str(tmp_path)), RunPlace("team", None, "dag", "r"))
        record = put(store, [1])
        path = tmp_path / store.place.dataset("x") / record.file
        assert path.stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


# --- stores that cannot be used


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nonsense://x", "the store's URL nonsense://x cannot be used"),
        ("filecache::s3://bucket", "reads through a cache, which would give old data back"),
    ],
)
def test_urls_that_are_no_stores(url: str, told: str) -> None:
    with pytest.raises(StoreError, match="store-url") as caught:
        Files(url)
    assert told in str(caught.value)


def test_a_missing_library_of_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sshfs", None)
    monkeypatch.setitem(sys.modules, "paramiko", None)
    with pytest.raises(StoreError, match="missing-library") as caught:
        Files("sftp://host/path")
    assert "the store's URL sftp://host/path needs a library" in str(caught.value)


def test_a_store_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(Files(f"{tmp_path}/file"), RunPlace("team", None, "dag", "r"))
    with pytest.raises(StoreError) as caught:
        put(store, [1])
    assert f"the store at {tmp_path}/file failed at team/base/dag/r/x" in str(caught.value)
    assert "Not a directory [store-failed]" in str(caught.value)


def test_airflows_connection_in_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    asked: list[str] = []

    class ObjectStoragePath:
        def __init__(self, url: str) -> None:
            asked.append(url)
            self.fs = fsspec.filesystem("memory")
            self.path = "bucket/key"

    assert Files("s3://conn_id@bucket/key").root == "bucket/key"
    assert asked == []
    sdk = types.ModuleType("airflow.sdk")
    sdk.ObjectStoragePath = ObjectStoragePath  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "airflow", types.ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)
    files = Files("s3://conn_id@bucket/key")
    assert asked == ["s3://conn_id@bucket/key"]
    files.write("a", b"1")
    assert fsspec.filesystem("memory").cat_file("bucket/key/a") == b"1"


# --- records of tasks


def _record(started: str, status: str = RUNNING) -> TaskRecord:
    return TaskRecord("t", "dag", "r", ("n",), status, started)


def test_a_record_is_not_replaced_by_an_earlier_attempt(store: Store) -> None:
    assert write_record(store.files, store.place, _record(LATE))
    assert not write_record(store.files, store.place, _record(EARLY))
    kept = read_record(store.files, store.place, "t")
    assert kept is not None
    assert (kept.task_id, kept.nodes, kept.started) == ("t", ("n",), LATE)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"task_id": 1}'])
def test_a_record_that_cannot_be_read_is_none(store: Store, content: bytes) -> None:
    store.files.write(store.place.task("t"), content)
    assert read_record(store.files, store.place, "t") is None
    assert write_record(store.files, store.place, _record(EARLY))


def test_an_attempt_begins_after_the_one_before_whatever_the_clocks_say() -> None:
    assert next_start(LATE, None) == LATE
    assert next_start(LATE, _record(EARLY)) == LATE
    assert next_start(EARLY, _record(EARLY)) == LATE
    assert next_start(EARLY, _record("2026-02-01T00:00:00.000000+00:00")) == (
        "2026-02-01T00:00:00.000001+00:00"
    )


class _Loud:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, (2.5, None)], 3: True}, {"a": [1, [2.5, None]], "3": True}),
        (float("nan"), "nan"),
        (np.float64(1.5), 1.5),
        (np.int8(3), 3),
        (np.bool_(True), True),
        ({1}, "{1}"),
        (_Loud(), "(_Loud: RuntimeError in __str__)"),
    ],
)
def test_what_records_hold_is_json(value: Any, expected: Any) -> None:
    assert as_json(value) == expected
    json.dumps(as_json(value), allow_nan=False)
