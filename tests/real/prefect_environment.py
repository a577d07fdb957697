"""The real Prefect: a temporary server, and probes that run in Prefect's own environment."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.real.environments import python_of

PROBES = Path(__file__).parent / "probes"

# Takes the place of the program that tasks start. It notes when it begins and ends; STUB_FAILS
# says how often it fails for some nodes, STUB_SLEEPS how many seconds it takes for them.
STUB = """\
#!{python} -IS
import json, os, sys, time

nodes = sys.argv[sys.argv.index("--nodes") + 1]


def note(event):
    with open(os.environ["STUB_LOG"], "a") as log:
        log.write(json.dumps({{"event": event, "argv": sys.argv, "nodes": nodes}}) + "\\n")


before = 0
if os.path.exists(os.environ["STUB_LOG"]):
    events = [json.loads(line) for line in open(os.environ["STUB_LOG"])]
    before = sum(each["event"] == "start" and each["nodes"] == nodes for each in events)
note("start")
print(f"running {{nodes}}", flush=True)
time.sleep(json.loads(os.environ.get("STUB_SLEEPS", "{{}}")).get(nodes, 0))
if before < json.loads(os.environ.get("STUB_FAILS", "{{}}")).get(nodes, 0):
    print("no luck", file=sys.stderr)
    sys.exit(3)
note("end")
"""


def variables(home: Path, url: str | None) -> dict[str, str]:
    """Return the environment variables of a Prefect that reports nothing to anyone."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("PREFECT_")}
    own |= {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "NO_COLOR": "1",
    }
    return own | ({"PREFECT_API_URL": url} if url else {})


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the API address of a server with an empty database."""
    home = tmp_path_factory.mktemp("prefect-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(python_of("prefect")), "-m", "prefect", "server", "start", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=variables(home, None), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}/api"
        _wait_for(f"{url}/health", process, home / "server.log")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 180
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.3)
    raise AssertionError(f"no server came up:\n{log.read_text()[-3000:]}")


def ask(
    probe: str, question: Mapping[str, Any], home: Path, url: str | None = None, **more: str
) -> Any:
    """Return what a probe in Prefect's environment answers.

    Args:
        probe: file name in `tests/real/probes`.
        question: for its standard input, as JSON.
        home: folder for Prefect's own files.
        url: of the server; without one, nothing may need it.
        more: environment variables.
    """
    return start(probe, question, home, url, **more)()


def start(
    probe: str, question: Mapping[str, Any], home: Path, url: str | None = None, **more: str
) -> Any:
    """Start a probe as `ask` does, and return a function that waits for the answer."""
    process = subprocess.Popen(
        [str(python_of("prefect")), str(PROBES / probe)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables(home, url) | more,
        cwd=home,
    )

    def answer() -> Any:
        stdout, stderr = process.communicate(json.dumps(question), timeout=300)
        assert process.returncode == 0, stderr[-3000:]
        return json.loads(stdout)

    return answer


def stub_on_path(folder: Path) -> str:
    """Write the stub as `dagforge` into a folder and return a PATH that finds it first."""
    folder.mkdir(parents=True, exist_ok=True)
    stub = folder / "dagforge"
    stub.write_text(STUB.format(python=sys.executable), encoding="utf-8")
    stub.chmod(stub.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def events(log: Path) -> list[dict[str, Any]]:
    """Return what the stub noted, in order."""
    if not log.exists():
        return []
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
