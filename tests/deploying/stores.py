"""Stores to deploy to, and projects that deploy."""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from dagforge.deploy import DeployMode, DeployReport, deploy
from dagforge.deploying.bucket import Bucket, open_bucket, remove
from dagforge.deploying.decide import Scope
from dagforge.deploying.inventory import Inventory, path_of, read_inventory
from dagforge.deploying.local import LocalFile, dag_file
from dagforge.deploying.lock import Timing
from dagforge.errors import Problem, SourceLocation
from dagforge.output.manifest import Manifest, assemble
from tests.deploying.proxy import Proxy, proxy
from tests.runtime.servers import (
    found_by_clients,
    free_port,
    gcs_server,
    s3_server,
    wait_for,
)

QUICK = DeployMode(timing=Timing(beat=0.2, sure=0.6, silence=0.8, wait=0.9, poll=0.02))
# For a process that is killed, whose lock nobody believes in.
PATIENT_KILLED = DeployMode(take_over=True)
_numbers = itertools.count(1)


@dataclass
class Store:
    """A folder or bucket.

    Attributes:
        url: of the DAGs' root.
        proxy: what stands in front of a bucket; a folder has none.
        environment: by which the store's client finds it.
    """

    url: str
    proxy: Proxy = field(default_factory=Proxy)
    environment: Mapping[str, str] = field(default_factory=dict)

    def open(self) -> Bucket:
        """Return the bucket."""
        return open_bucket(self.url)

    def put(self, path: str, content: str | bytes) -> None:
        """Put an object as somebody else would, whatever is there."""
        bucket = self.open()
        content = content if isinstance(content, bytes) else content.encode()
        found = bucket.read(path)
        bucket.write(path, content, None if found is None else found[1])

    def remove(self, path: str) -> None:
        """Remove an object as somebody else would."""
        bucket = self.open()
        found = bucket.read(path)
        if found is not None:
            remove(bucket, path, found[1])

    def objects(self) -> dict[str, bytes]:
        """Return all objects but DagForge's own, by their paths."""
        bucket = self.open()
        found = {path: bucket.read(path) for path in sorted(bucket.list(""))}
        return {
            path: answer[0]
            for path, answer in found.items()
            if answer is not None and not path.startswith(".dagforge/")
        }

    def own_objects(self) -> list[str]:
        """Return the paths of DagForge's own objects."""
        return sorted(self.open().list(".dagforge"))

    def inventory(self, project: str = "shop") -> Inventory:
        """Return what a project has here."""
        found = self.open().read(path_of(project))
        assert found is not None
        return read_inventory(found[0], self.url)


@contextlib.contextmanager
def s3_store() -> Iterator[Store]:
    """Serve S3 behind a proxy."""
    with s3_server() as server, proxy(server.endpoint) as front:
        environment = {**server.environment, "AWS_ENDPOINT_URL": front.endpoint}
        with found_by_clients(environment, "s3"):
            yield Store("s3://bucket", front, environment)


@contextlib.contextmanager
def gs_store() -> Iterator[Store]:
    """Serve Google Cloud Storage behind a proxy."""
    with gcs_server() as server, proxy(server.endpoint, google=True) as front:
        environment = {**server.environment, "STORAGE_EMULATOR_HOST": front.endpoint}
        with found_by_clients(environment, "gs"):
            yield Store("gs://bucket", front, environment)


AZURE_KEY = base64.b64encode(b"key of the store on loopback").decode()


@contextlib.contextmanager
def az_store(azurite: Path) -> Iterator[Store]:
    """Serve Azure Blob Storage behind a proxy.

    Args:
        azurite: the environment that Azurite is installed in.
    """
    port = free_port()
    process = subprocess.Popen(
        [
            azurite / "node_modules" / ".bin" / "azurite-blob",
            *("--blobPort", str(port), "--inMemoryPersistence", "--disableTelemetry"),
            *("--skipApiVersionCheck", "--silent"),
        ],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "AZURITE_ACCOUNTS": f"shop:{AZURE_KEY}"},
    )
    try:
        with proxy(f"http://127.0.0.1:{port}") as front:
            facts = {
                "DefaultEndpointsProtocol": "http",
                "AccountName": "shop",
                "AccountKey": AZURE_KEY,
                "BlobEndpoint": f"{front.endpoint}/shop",
            }
            text = ";".join(f"{name}={value}" for name, value in facts.items())
            environment = {"AZURE_STORAGE_CONNECTION_STRING": text}
            with found_by_clients(environment, "az"):
                wait_for(process, port)
                client = BlobServiceClient.from_connection_string(text)
                client.create_container("bucket")
                client.close()
                yield Store("az://bucket", front, environment)
    finally:
        process.terminate()
        process.wait(timeout=20)


def fresh(store: Store) -> Store:
    """Return a root in a store that nobody has used."""
    store.proxy.reset()
    return Store(f"{store.url}/{next(_numbers)}/dags", store.proxy, store.environment)


def dag(
    name: str,
    value: object = 1,
    *,
    project: str = "shop",
    env: str | None = None,
    folder: str = "",
    dag_ids: Sequence[str] | None = None,
) -> LocalFile:
    """Return a generated file with DAGs in it, `name` alone when nothing else is asked for."""
    manifest = Manifest(project, name, env, "airflow", "conf/base/pipelines.yml", "dagforge create")
    ids = [name] if dag_ids is None else dag_ids
    body = f'"""{name}."""\nfrom airflow.sdk import DAG\n\nVALUE = {value!r}\n'
    body += "".join(f"DAG(dag_id={dag_id!r}, schedule=None)\n" for dag_id in ids)
    text = assemble(manifest, body, f"{name}.py")
    at = SourceLocation(f"dags/{name}.py")
    return dag_file(f"{name}.py", text.encode(), at, manifest, folder)


def supporting(path: str, content: str) -> LocalFile:
    """Return a supporting file."""
    return LocalFile(path, content.encode(), SourceLocation(Path(path).name))


@dataclass
class Deployed:
    """How a deployment went."""

    report: DeployReport
    warnings: list[Problem]

    @property
    def actions(self) -> dict[str, str]:
        """What happened, by path, but for what is unchanged."""
        return {file.path: file.action for file in self.report.files if file.action != "unchanged"}


def run_deploy(
    store: Store,
    *files: LocalFile,
    project: str = "shop",
    env: str = "base",
    pipelines: Sequence[str] | None = None,
    force: bool = False,
    mode: DeployMode = QUICK,
) -> Deployed:
    """Deploy files as the command line does."""
    scope = Scope(project, env, None if pipelines is None else frozenset(pipelines), force=force)
    warnings: list[Problem] = []
    report = deploy(files, store.open(), scope, mode, warn=warnings.append)
    return Deployed(report, warnings)
