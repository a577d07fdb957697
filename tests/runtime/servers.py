"""Object stores on loopback: moto's S3 and a stand-in for Google Cloud Storage."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import fsspec
import pytest

S3 = "from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
GCS = """
import threading
from gcp_storage_emulator.server import create_server
server = create_server("127.0.0.1", {port}, in_memory=True, default_bucket="bucket")
server.start()
threading.Event().wait()
"""


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        endpoint: where it listens.
        where: the environment by which its client finds it.
        keys: the environment by which it lets the client in.
    """

    endpoint: str
    where: Mapping[str, str]
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> Mapping[str, str]:
        """All that its client needs."""
        return {**self.where, **self.keys}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def serve(code: str, port: int) -> Iterator[None]:
    """Run a server until the end of the context."""
    process = subprocess.Popen(
        [sys.executable, "-c", code.format(port=port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    try:
        wait_for(process, port)
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + 60
    while not _answers(port):
        assert process.poll() is None, f"the server has ended: {process.returncode}"
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.05)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def s3_server() -> Iterator[Server]:
    """Serve S3, with `bucket` in it.

    A process of its own: all of moto's servers in one process have the same buckets.
    """
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with serve(S3, port):
        request = urllib.request.Request(f"{endpoint}/bucket", method="PUT")
        urllib.request.urlopen(request, timeout=20).close()
        yield Server(
            endpoint,
            {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"},
            {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"},
        )


@contextlib.contextmanager
def gcs_server() -> Iterator[Server]:
    """Serve Google Cloud Storage, with `bucket` in it."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with serve(GCS, port):
        yield Server(
            endpoint,
            {
                "STORAGE_EMULATOR_HOST": endpoint,
                # Else gcsfs asks the real service for the bucket's kind.
                "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            },
        )


@contextlib.contextmanager
def found_by_clients(environment: Mapping[str, str], protocol: str) -> Iterator[None]:
    """Let clients be made anew with some variables, and forgotten afterwards."""
    # A client is made once, and keeps what it was made with.
    kind = fsspec.get_filesystem_class(protocol)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        kind.clear_instance_cache()
        try:
            yield
        finally:
            kind.clear_instance_cache()
