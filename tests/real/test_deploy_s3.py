"""Deploying to S3 under load, by many and by the wrong ones; the S3 is moto's, on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from dagforge.errors import OutputError
from tests.deploying.stores import (
    QUICK,
    Store,
    dag,
    fresh,
    run_deploy,
    s3_store,
)
from tests.deploying.test_at_once import (  # noqa: F401
    test_two_deployments_of_one_project_at_once,
    test_two_projects_at_once,
    test_two_projects_that_want_one_dag_id_at_once,
    test_two_projects_that_want_one_file_at_once,
)
from tests.runtime.servers import found_by_clients, s3_server

ROOT = Path(__file__).parents[2]
MANY = 2_000


@pytest.fixture(scope="module")
def s3() -> Iterator[Store]:
    with s3_store() as found:
        yield found


@pytest.fixture
def store(s3: Store) -> Store:
    return fresh(s3)


@pytest.fixture
def rounds() -> int:
    return 50


def test_two_thousand_files(store: Store) -> None:
    files = [dag(f"d{number:04}") for number in range(MANY)]
    assert len(run_deploy(store, *files).actions) == MANY
    # Each file once; the lock, the inventory before and after, and whether conditions count.
    assert store.proxy.count("PUT", name=r"\.py$") == MANY
    assert store.proxy.count("PUT") == MANY + 4 + store.proxy.count("PUT", name=r"\.lock$") - 1

    store.proxy.reset()
    assert run_deploy(store, *files).actions == {}
    # S3 lists a thousand objects at a time, and there is the inventory besides.
    listings = store.proxy.count("GET", name=r"^\?list-type")
    assert listings == MANY // 1000 + 1
    assert [request.method for request in store.proxy.requests] == ["GET"] * (listings + 1)
    assert store.proxy.names("GET")[0].endswith("/.dagforge/shop.json")

    store.proxy.reset()
    changed = [dag("d0007", 2), *files[:7], *files[8:-1]]
    assert run_deploy(store, *changed).actions == {"d0007.py": "changed", "d1999.py": "removed"}
    assert store.proxy.count("PUT", "DELETE", name=r"\.py$") == 2


def test_credentials_that_may_only_read() -> None:
    """The server judges the user's policy itself."""
    with s3_server() as server, found_by_clients(server.environment, "s3"):
        store = Store("s3://bucket/dags")
        run_deploy(store, dag("a"))
        iam = boto3.client("iam", endpoint_url=server.endpoint)
        iam.create_user(UserName="reader")
        statement = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        reset = urllib.request.Request(
            f"{server.endpoint}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(reset, timeout=20).close()
        variables = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
        with found_by_clients({**server.environment, **variables}, "s3"):
            assert run_deploy(store, dag("a")).actions == {}
            with pytest.raises(OutputError) as caught:
                run_deploy(store, dag("a", 2), dag("b"))
            (problem,) = caught.value.problems
            assert str(problem).startswith(
                "s3://bucket/dags/.dagforge/shop.lock: error: it cannot be written: Access Denied "
            )
            assert store.objects() == {"a.py": dag("a").content}
            assert store.own_objects() == [".dagforge/shop.json"]


CHILD = """
import sys
from tests.deploying.stores import PATIENT_KILLED, Store, dag, run_deploy
store = Store(sys.argv[1])
store.open().list("")
print("ready", flush=True)
sys.stdin.readline()
run_deploy(store, *(dag(f"d{n}", sys.argv[2]) for n in range(40)), mode=PATIENT_KILLED)
"""


def start(store: Store, value: str) -> subprocess.Popen[str]:
    """Start a deployment of forty files in a process of its own, which is about to begin."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, store.url, value],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **store.environment},
    )
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    return process


def test_processes_that_are_killed(store: Store) -> None:
    """Killed at any moment, the next deployment goes on; no object is ever in pieces."""
    kept = dag("kept", project="mail")
    run_deploy(store, kept, project="mail")
    for number, delay in enumerate((0.0, 0.05, 0.15, 0.3)):
        process = start(store, str(number))
        time.sleep(delay)
        process.kill()
        process.communicate()
        values = [str(value) for value in range(number + 1)]
        whole = {dag(f"d{n}", value).content for n in range(40) for value in values}
        assert set(store.objects().values()) <= whole | {kept.content}
    files = [dag(f"d{n}", "at last") for n in range(40)]
    run_deploy(store, *files, mode=replace(QUICK, take_over=True))
    assert store.objects() == {file.path: file.content for file in [*files, kept]}
    assert store.own_objects() == [".dagforge/mail.json", ".dagforge/shop.json"]


def test_ctrl_c_lets_the_next_one_in_at_once(store: Store) -> None:
    held = threading.Event()
    begun = threading.Event()

    def hold(request: object) -> None:
        if "/d2.py" in str(request):
            begun.set()
            held.wait(5)

    store.proxy.before = hold
    process = start(store, "1")
    assert begun.wait(20)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    held.set()
    process.communicate(timeout=20)
    assert process.returncode != 0
    store.proxy.reset()
    assert store.own_objects() == [".dagforge/shop.json"]
    done = set(store.objects())
    assert 0 < len(done) < 40
    files = [dag(f"d{n}", "1") for n in range(40)]
    again = run_deploy(store, *files, mode=replace(QUICK, timing=replace(QUICK.timing, wait=0)))
    assert again.warnings == []
    assert set(again.actions) == {file.path for file in files} - done
