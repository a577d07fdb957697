"""An API server for pods, on loopback: as strict as Kubernetes, with processes as containers.

It speaks what the Kubernetes client asks for a pod: create, read, list, patch, delete, logs and
events. Every pod is held against the strict schema of kubernetes-validate and the rules for
names; a name that is taken is 409. Its one container runs as a subprocess of this machine, in the
image's folder, with the pod's environment and nothing of ours but a PATH. What a subprocess cannot
have (volumes, probes, sidecars) is refused rather than ignored.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import os
import re
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate

KUBERNETES = "1.37"
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")
NOT_HERE = ("volumeMounts", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle")
PATH = os.defpath


@dataclass(frozen=True, slots=True)
class Image:
    """What a container starts from.

    Attributes:
        folder: its working folder.
        programs: folder that is first in its PATH.
    """

    folder: Path
    programs: Path


@dataclass(slots=True)
class Pod:
    """A pod and the process of its container.

    Attributes:
        seconds: from the request for it to the end of its container; 0 until then.
    """

    body: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    lines: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)
    started: str | None = None
    requested: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def log(self) -> str:
        """What the container has printed, without the times."""
        return "".join(line.partition(" ")[2] for line in self.lines)


class Refused(Exception):
    """A request that Kubernetes would refuse."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        self.code, self.reason = code, reason
        super().__init__(message)


@dataclass(slots=True)
class PodApi:
    """The state of the server.

    Attributes:
        images: what `image` of a container may name.
        secrets: data of each secret, by name.
        pods: those that there are, by namespace and name.
        created: every pod there ever was, in order.
        refused: what was refused, as `409 AlreadyExists: ...`.
    """

    images: dict[str, Image]
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pods: dict[tuple[str, str], Pod] = field(default_factory=dict)
    created: list[Pod] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def create(self, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        """Start a pod and return it."""
        check_pod(namespace, body)
        name = body["metadata"]["name"]
        with self.lock:
            if (namespace, name) in self.pods:
                raise Refused(409, "AlreadyExists", f'pods "{name}" already exists')
            moment = now()
            body["metadata"] |= {
                "namespace": namespace,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": moment,
                "resourceVersion": "1",
            }
            pod = Pod(body)
            self.pods[namespace, name] = pod
            self.created.append(pod)
        try:
            self._start(pod)
        except Refused as error:
            pod.body["status"] = waiting(pod, error.reason, str(error))
        return pod.body

    def _start(self, pod: Pod) -> None:
        [container] = pod.body["spec"]["containers"]
        image = self.images.get(container["image"])
        if image is None:
            raise Refused(0, "ErrImagePull", f"there is no image {container['image']}")
        environment = self._environment(container)
        words = [
            expanded(word, environment)
            for word in (*container.get("command", ()), *container.get("args", ()))
        ]
        environment["PATH"] = f"{image.programs}{os.pathsep}{PATH}"
        pod.started = now()
        try:
            pod.process = subprocess.Popen(
                words,
                cwd=container.get("workingDir", image.folder),
                env=environment,
                executable=_program(words[0], environment["PATH"]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            pod.body["status"] = ended(pod, 128, f"{words[0]}: {error.strerror}")
            pod.ended.set()
            return
        pod.body["status"] = running(pod)
        threading.Thread(target=self._follow, args=(pod,), daemon=True).start()

    def _environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            found |= self._secret(source["secretRef"]["name"])
        for entry in container.get("env", ()):
            if "valueFrom" in entry:
                reference = entry["valueFrom"]["secretKeyRef"]
                found[entry["name"]] = self._secret(reference["name"])[reference["key"]]
            else:
                found[entry["name"]] = expanded(entry.get("value", ""), found)
        return found

    def _secret(self, name: str) -> Mapping[str, str]:
        if name not in self.secrets:
            raise Refused(0, "CreateContainerConfigError", f'secret "{name}" not found')
        return self.secrets[name]

    def _follow(self, pod: Pod) -> None:
        assert pod.process is not None and pod.process.stdout is not None
        for line in pod.process.stdout:
            with pod.changed:
                pod.lines.append(f"{now(digits=9)} {line.decode(errors='backslashreplace')}")
                pod.changed.notify_all()
        pod.process.stdout.close()
        code = pod.process.wait()
        # Killed by signal 9 is 137 to a container's runtime.
        pod.body["status"] = ended(pod, code if code >= 0 else 128 - code, None)
        pod.seconds = time.monotonic() - pod.requested
        with pod.changed:
            pod.ended.set()
            pod.changed.notify_all()

    def find(self, namespace: str, name: str) -> Pod:
        """Return a pod; 404 without one."""
        with self.lock:
            pod = self.pods.get((namespace, name))
        if pod is None:
            raise Refused(404, "NotFound", f'pods "{name}" not found')
        return pod

    def select(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        """Return the pods whose labels meet a selector."""
        with self.lock:
            pods = [pod for (space, _), pod in self.pods.items() if space == namespace]
        return [pod.body for pod in pods if meets(pod.body["metadata"].get("labels", {}), selector)]

    def delete(self, namespace: str, name: str) -> dict[str, Any]:
        """Stop a pod and forget it."""
        pod = self.find(namespace, name)
        stop(pod)
        with self.lock:
            self.pods.pop((namespace, name), None)
        return pod.body

    def stop(self) -> None:
        """Stop all containers."""
        for pod in self.created:
            stop(pod)


def stop(pod: Pod) -> None:
    """End the processes of a container."""
    if pod.process is not None and not pod.ended.is_set():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pod.process.pid, signal.SIGTERM)


def now(digits: int = 0) -> str:
    """Return the time as Kubernetes writes it."""
    moment = datetime.datetime.now(datetime.timezone.utc)
    text = f"{moment:%Y-%m-%dT%H:%M:%S}"
    return f"{text}.{moment:%f}000Z" if digits else f"{text}Z"


def _program(name: str, path: str) -> str:
    """Return where a program is on the container's PATH, which Popen would look for on ours."""
    if "/" in name:
        return name
    places = [Path(folder) / name for folder in path.split(os.pathsep)]
    return str(next((place for place in places if os.access(place, os.X_OK)), name))


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """Return text with `$(NAME)` replaced where there is such a variable, and `$$` by `$`."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else variables.get(match[1], match[0])

    return REFERENCE.sub(value, text)


# --- what is refused


def check_pod(namespace: str, body: dict[str, Any]) -> None:
    """Raise Refused unless Kubernetes would take the pod and this server can run it."""
    try:
        kubernetes_validate.validate(body, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        raise Refused(422, "Invalid", f"{error.path}: {error.message}") from error
    metadata = body["metadata"]
    if metadata.get("namespace", namespace) != namespace:
        raise Refused(400, "BadRequest", "the namespace of the object is another one")
    _must(len(metadata["name"]) <= 253 and SUBDOMAIN.fullmatch(metadata["name"]), "metadata.name")
    for key, value in metadata.get("labels", {}).items():
        _must(LABEL_VALUE.fullmatch(value), f"metadata.labels: {key}={value}")
    size = sum(len(k) + len(v.encode()) for k, v in metadata.get("annotations", {}).items())
    _must(size <= 256 * 1024, "metadata.annotations: too long")
    spec = body["spec"]
    for container in spec["containers"]:
        _must(len(container["name"]) <= 63 and LABEL.fullmatch(container["name"]), "container name")
        names = [entry["name"] for entry in container.get("env", ())]
        _must(all(VARIABLE.fullmatch(name) for name in names), f"env: {names}")
        _must(len(set(names)) == len(names), f"env: a name twice in {names}")
        _must(all(isinstance(each.get("value", ""), str) for each in container.get("env", ())), "")
        _must(not (set(NOT_HERE) & container.keys() and container.get("volumeMounts")), "not here")
    _must(len(spec["containers"]) == 1, "one container, please")
    _must(not spec.get("volumes") and not spec.get("initContainers"), "no volumes, please")


def _must(good: object, what: str) -> None:
    if not good:
        raise Refused(422, "Invalid", what)


def meets(labels: Mapping[str, str], selector: str) -> bool:
    """Say whether labels meet a selector of `a=b`, `a!=b`, `a`, `!a`, `a in (b, c)`."""
    for part in re.split(r",(?![^()]*\))", selector):
        term = part.strip()
        among = re.fullmatch(r"(\S+) (in|notin) \(([^)]*)\)", term)
        if not term:
            continue
        if among:
            inside = labels.get(among[1]) in [each.strip() for each in among[3].split(",")]
            good = inside == (among[2] == "in")
        elif "!=" in term:
            key, _, value = term.partition("!=")
            good = labels.get(key) != value
        elif "=" in term:
            key, _, value = term.replace("==", "=").partition("=")
            good = labels.get(key) == value
        else:
            good = (term.lstrip("!") in labels) != term.startswith("!")
        if not good:
            return False
    return True


# --- states of a pod


def _status(pod: Pod, phase: str, state: dict[str, Any], ready: bool) -> dict[str, Any]:
    [container] = pod.body["spec"]["containers"]
    return {
        "phase": phase,
        "startTime": pod.body["metadata"]["creationTimestamp"],
        "conditions": [{"type": "PodScheduled", "status": "True"}],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": ready,
                "restartCount": 0,
                "started": ready,
                "state": state,
            }
        ],
    }


def waiting(pod: Pod, reason: str, message: str) -> dict[str, Any]:
    """Return the status of a pod that cannot start."""
    return _status(pod, "Pending", {"waiting": {"reason": reason, "message": message}}, False)


def running(pod: Pod) -> dict[str, Any]:
    """Return the status of a pod whose container runs."""
    return _status(pod, "Running", {"running": {"startedAt": pod.started}}, True)


def ended(pod: Pod, code: int, message: str | None) -> dict[str, Any]:
    """Return the status of a pod whose container has ended."""
    state = {
        "exitCode": code,
        "reason": "Completed" if code == 0 else "Error",
        "startedAt": pod.started,
        "finishedAt": now(),
        **({"message": message} if message else {}),
    }
    return _status(pod, "Failed" if code else "Succeeded", {"terminated": state}, False)


# --- HTTP

ROUTE = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/pods(/(?P<name>[^/]+)(?P<log>/log)?)?")
EVENTS = re.compile(r"/api/v1/namespaces/[^/]+/events")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: PodApi

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PATCH = do_DELETE = do_GET

    def _answer(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        size = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(size)
        try:
            body = json.loads(content) if content else None
            if EVENTS.fullmatch(address.path):
                self._send(200, {"kind": "EventList", "apiVersion": "v1", "metadata": {},
                                 "items": []})  # fmt: skip
                return
            route = ROUTE.fullmatch(address.path)
            if route is None or query.get("watch"):
                raise Refused(404, "NotFound", f"{self.command} {self.path}")
            if route["log"]:
                self._send_log(self.api.find(route["namespace"], route["name"]), query)
                return
            self._send(*self._pods(route["namespace"], route["name"], query, body))
        except Refused as error:
            self.api.refused.append(f"{error.code} {error.reason}: {error}")
            self._send(
                error.code,
                {
                    "kind": "Status",
                    "apiVersion": "v1",
                    "metadata": {},
                    "status": "Failure",
                    "reason": error.reason,
                    "message": str(error),
                    "code": error.code,
                },
            )

    def _pods(
        self, namespace: str, name: str | None, query: Mapping[str, str], body: Any
    ) -> tuple[int, Any]:
        if self.command == "POST" and name is None:
            return 201, self.api.create(namespace, body)
        if self.command == "GET" and name is None:
            items = self.api.select(namespace, query.get("labelSelector", ""))
            return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}
        assert name is not None
        if self.command == "GET":
            return 200, self.api.find(namespace, name).body
        if self.command == "DELETE":
            return 200, self.api.delete(namespace, name)
        if self.command == "PATCH":
            pod = self.api.find(namespace, name)
            if not set(body) <= {"metadata"}:
                raise Refused(422, "Invalid", "a pod's specification may not change")
            for part in ("labels", "annotations"):
                pod.body["metadata"].setdefault(part, {}).update(body["metadata"].get(part) or {})
            return 200, pod.body
        raise Refused(405, "MethodNotAllowed", self.command)

    def _send(self, code: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _send_log(self, pod: Pod, query: Mapping[str, str]) -> None:
        """Stream the log, until the container ends when it is to be followed."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        times = query.get("timestamps", "").lower() == "true"
        since = time.time() - float(query.get("sinceSeconds", "inf"))
        for line in _lines(pod, follow=query.get("follow", "").lower() == "true"):
            moment, _, text = line.partition(" ")
            written = datetime.datetime.fromisoformat(moment[:26] + "+00:00").timestamp()
            if written < since:
                continue
            chunk = (line if times else text).encode()
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


def _lines(pod: Pod, *, follow: bool) -> Iterator[str]:
    place = 0
    while True:
        with pod.changed:
            while follow and place == len(pod.lines) and not pod.ended.is_set():
                pod.changed.wait(1)
            found, done = pod.lines[place:], pod.ended.is_set() or not follow
        place += len(found)
        yield from found
        if done and not found:
            return


@contextlib.contextmanager
def serving(api: PodApi) -> Iterator[str]:
    """Serve on a free port of loopback; gives the address."""
    handler = type("Handler", (_Handler,), {"api": api})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        api.stop()


def kubeconfig(url: str, file: Path) -> Path:
    """Write the file that leads a client to the server, and return its path."""
    token = base64.b64encode(b"nobody").decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "users": [{"name": "nobody", "user": {"token": token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "nobody"}}],
    }
    file.write_text(json.dumps(config), encoding="utf-8")
    return file
