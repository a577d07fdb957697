"""A proxy in front of a store on loopback: it counts requests, and makes happen what can happen.

The stores on loopback lack some of what real ones have, and the proxy adds it. moto's S3 judges a
condition and writes in two steps, which S3 does in one; the stand-in for Google Cloud Storage
knows no conditions at all.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "expect"}
_CHANGES = ("PUT", "POST", "DELETE")
Answer = tuple[int, list[tuple[str, str]], bytes]
_DATE = re.compile(rb"\b20\d\d-(?=\d\d-\d\dT)")


@dataclass
class Request:
    """What a client asked for.

    Attributes:
        name: of the object; empty for a listing.
        answered: the status; None when the connection was cut instead.
    """

    method: str
    name: str
    answered: int | None = None


def _no(asked: object) -> bool:
    """Say no to everything."""
    del asked
    return False


@dataclass
class Proxy:
    """A proxy that runs.

    Attributes:
        endpoint: where it listens.
        requests: all so far, in the order of their arrival.
        cut: asked with the number of the upload, from 1; a connection is cut in the middle of those
            for which it says yes, and the store never sees them.
        lose: likewise, but the store sees them, and only the answer is lost.
        refuse: asked with the method; yes is answered with 403.
        ignore_conditions: the store does not look at conditions.
        year: all times of the store are of this year.
        before: called with each request before it is passed on.
    """

    endpoint: str = ""
    requests: list[Request] = field(default_factory=list)
    cut: Callable[[int], bool] = _no
    lose: Callable[[int], bool] = _no
    refuse: Callable[[str], bool] = _no
    ignore_conditions: bool = False
    year: int | None = None
    before: Callable[[Request], object] = _no
    uploads: int = 0

    def count(self, *methods: str, name: str = "") -> int:
        """Return how many requests there were with one of these methods, to an object like that."""
        return sum(
            request.method in methods and re.search(name, request.name) is not None
            for request in self.requests
        )

    def names(self, *methods: str) -> list[str]:
        """Return the names of the objects that were asked for so, in the order of arrival."""
        return [request.name for request in self.requests if request.method in methods]

    def reset(self) -> None:
        """Forget the requests, and all that was to happen."""
        self.__dict__.update(Proxy(self.endpoint).__dict__)


@contextlib.contextmanager
def proxy(store: str, *, google: bool = False) -> Iterator[Proxy]:
    """Stand in front of a store until the end of the context.

    Args:
        store: its endpoint.
        google: it is the stand-in for Google Cloud Storage.
    """
    found = Proxy()
    # What the store would do in one step.
    one_step = threading.Lock()
    upstream = urlsplit(store).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Two small packets an answer: each would wait for the other's acknowledgement.
        disable_nagle_algorithm = True

        def log_message(self, *arguments: object) -> None:
            del arguments

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                super().handle()

        def answer(self) -> None:
            url = urlsplit(self.path)
            request = Request(self.command, _object(url.path, url.query))
            with one_step:
                found.requests.append(request)
                number = 0
                if self.command in ("PUT", "POST") and not request.name.startswith("?"):
                    found.uploads += 1
                    number = found.uploads
            size = int(self.headers.get("Content-Length") or 0)
            if number and found.cut(number):
                self.rfile.read(size // 2)
                self.reset_connection()
                return
            body = self.body(size)
            if len(body) < size:  # whoever sent it is dead
                self.close_connection = True
                return
            if google and self.command == "POST":
                request.name = _google_name(body)
            found.before(request)
            status, headers, content = self.judged(request, url.query, body)
            if number and found.lose(number):
                self.reset_connection()
                return
            request.answered = status
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            if found.year is not None:
                content = _DATE.sub(b"%d-" % found.year, content)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

        def body(self, size: int) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(size)
            content = b""
            while length := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return content

        def judged(self, request: Request, query: str, body: bytes) -> Answer:
            if found.refuse(self.command):
                return 403, [], b"<Error><Code>AccessDenied</Code></Error>"
            if self.command not in _CHANGES or found.ignore_conditions:
                return self.passed_on(body)
            wanted = parse_qs(query).get("ifGenerationMatch")
            with one_step:
                if google and wanted and wanted[0] != _generation(upstream, request.name):
                    return 412, [], b'{"error": {"code": 412, "message": "conditionNotMet"}}'
                return self.passed_on(body)

        def passed_on(self, body: bytes) -> Answer:
            connection = http.client.HTTPConnection(upstream, timeout=60)
            conditions = ("if-match", "if-none-match") if found.ignore_conditions else ()
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in _HOP and name.lower() not in conditions
            }
            connection.request(self.command, self.path, body, headers)
            with connection.getresponse() as response:
                content = response.read()
                kept = [pair for pair in response.getheaders() if pair[0].lower() not in _HOP]
            connection.close()
            return response.status, kept, content

        def reset_connection(self) -> None:
            # Not the polite end, after which a client may think that all was said.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *arguments: object) -> None:
            del arguments

    server = Server(("127.0.0.1", 0), Handler)
    found.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _object(path: str, query: str) -> str:
    """Return the name of the object that a URL is of; `?` and the query for a listing."""
    match = re.match(r"/(?:storage/v1/b/[^/]+/o|(?:shop/)?bucket)/(.+)$", path)
    return unquote(match[1]) if match else f"?{query}"


def _google_name(body: bytes) -> str:
    """Return the name that an upload gives to its object."""
    match = re.search(rb"\{.*?\}", body, re.DOTALL)
    return str(json.loads(match[0]).get("name", "")) if match else ""


def _generation(upstream: str, name: str) -> str:
    """Return the generation of an object, 0 when there is none."""
    from urllib.parse import quote

    connection = http.client.HTTPConnection(upstream, timeout=60)
    connection.request("GET", f"/storage/v1/b/bucket/o/{quote(name, safe='')}")
    with connection.getresponse() as response:
        content = response.read()
    connection.close()
    return str(json.loads(content)["generation"]) if response.status == 200 else "0"
