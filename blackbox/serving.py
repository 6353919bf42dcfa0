"""The reference server of ``blackbox/1`` (docs/how-to/http.md): serves any target, behind an Oracle, on this machine.

A request is answered as a whole or not at all, and its images are charged when the answers are there. A query whose key
was answered before gets the same answer and is not charged: a client that was killed, or that gave up waiting, pays once.
The last `Service.REMEMBERED` keys are remembered while the server runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import torch

from blackbox.checks import as_images
from blackbox.oracle import Oracle, TargetError
from blackbox.protocol import Access
from blackbox.targets import wire
from blackbox.targets.address import is_loopback
from blackbox.targets.batches import check_shape

__all__ = ["Handler", "Refused", "Server", "Service", "announced"]

_Row = tuple[bytes, int, np.ndarray | None, bool | None]  # the image's fingerprint, label, scores, whether it was rejected
_LEFT, _PATIENCE = 64 << 20, 2.0  # of a refused body: the bytes that are read, and the seconds to wait for more
_UNKNOWN = 256 << 20  # bytes of a request about images of any size


class Refused(Exception):
    """A refused request, with the HTTP status and a sentence that says why. more: what its answer holds beside the sentence."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.more = status, more


def announced(oracle: Oracle, k: int | None) -> dict[str, Any]:
    """What a server says of an oracle, but for its name. k: the classes listed by a top-k answer, see `Service`."""
    return {
        "classes": oracle.classes, "access": "topk" if k else oracle.access.name.lower(), **({"k": k} if k else {}),
        "resolution": oracle.rounding, "precision": oracle.precision, "noise": oracle.noise, "randomised": oracle.randomised,
    }  # fmt: skip


class Service:
    """Serves an oracle, one request at a time.

    Args:
        oracle: determines what clients see. Top-k access is served by a `TopK` channel and an oracle that shows scores;
            ``k`` is then given, and announced.
        shape: of an image; None in an axis for any size, None for images of any shape.
        max_rows: images of a request.

    Attributes:
        replayed: queries answered from memory. oracle.rows: queries charged.
    """

    REMEMBERED = 1 << 17

    def __init__(
        self, oracle: Oracle, shape: tuple[int | None, ...] | None, max_rows: int = 256, k: int | None = None
    ) -> None:
        if oracle.access is Access.TOPK:
            raise ValueError("Expected an oracle that shows scores, with a TopK channel behind it and k= announced.")
        if max_rows < 1:
            raise ValueError(f"Expected max_rows to be at least 1, but it was {max_rows}.")
        self.oracle, self.shape = oracle, shape
        self.max_rows, self.k = max_rows if oracle.max_rows is None else min(max_rows, oracle.max_rows), k
        self.replayed = 0
        self._known: OrderedDict[str, _Row] = OrderedDict()
        self._lock = threading.Lock()
        sizes = [n for n in shape or () if n is not None]
        known = shape is not None and len(sizes) == len(shape)
        # a pixel takes at most 25 letters in JSON, and a row brings a key
        self.most = (1 << 16) + self.max_rows * (2 * wire.KEY + 32 * int(np.prod(sizes))) if known else _UNKNOWN

    def info(self) -> dict[str, Any]:
        """The answer to ``GET /v1/info``."""
        return {
            "protocol": wire.VERSION, "name": self.oracle.name, "shape": self.shape, "max_rows": self.max_rows, "keyed": True,
            "probe": self.oracle.probe, **announced(self.oracle, self.k),
        }  # fmt: skip

    def counts(self) -> dict[str, int]:
        """The answer to ``GET /v1/counts``: queries charged, queries answered again, rows of failed calls, and calls."""
        return {
            "rows": self.oracle.rows,
            "replayed": self.replayed,
            "failed": self.oracle.failed,
            "calls": self.oracle.calls,
        }

    def answer(self, images: np.ndarray, keys: np.ndarray | None = None) -> dict[str, np.ndarray | None]:
        """Answer images with labels [m], and scores [m, C] if they are shown.

        Raises:
            Refused: invalid images or keys, or a target that failed. Nothing is charged.
        """
        x, words = self._checked(images, keys)
        prints = [hashlib.sha256(row.tobytes()).digest() for row in x.numpy()] if words else [b""] * len(x)
        with self._lock:
            fresh: dict[str, int] = {}  # by key, so that a repeated key is queried once
            for i, word in enumerate(words or map(str, range(len(x)))):
                known = self._known.get(word) if words else None
                if (known and known[0] != prints[i]) or (word in fresh and prints[fresh[word]] != prints[i]):
                    raise Refused(409, f"Expected a key of its own for each query, but that of row {i} belongs to another image.")
                if not known and word not in fresh:
                    fresh[word] = i
            new = self._ask(x, fresh, prints)
            if not words:
                rows = list(new.values())
            else:
                rows = [new.get(word) or self._known[word] for word in words]
                self.replayed += len(words) - len(fresh)
                self._known.update(new)
                while len(self._known) > self.REMEMBERED:
                    self._known.popitem(last=False)
        labels = np.array([label for _, label, _, _ in rows], np.int64)
        shown = [scores for _, _, scores, _ in rows if scores is not None]
        rejected = None if all(no is None for *_, no in rows) else np.array([bool(no) for *_, no in rows])
        return {"labels": labels, "scores": np.stack(shown) if shown else None, "rejected": rejected}

    def _ask(self, x: torch.Tensor, fresh: dict[str, int], prints: list[bytes]) -> dict[str, _Row]:
        if not fresh:
            return {}
        places = list(fresh.values())
        try:
            reply = self.oracle.submit(x[places].to(self.oracle.device), "serve")
        except TargetError as error:
            raise Refused(500, str(error)) from error
        labels = reply.label.tolist()
        values = None if reply.values is None else reply.values.numpy(force=True)
        refused: list[bool | None] = [None] * len(labels) if reply.rejected is None else reply.rejected.tolist()
        return {
            word: (prints[i], labels[j], None if values is None else values[j], refused[j]) for j, (word, i) in enumerate(fresh.items())
        }

    def _checked(self, images: np.ndarray, keys: np.ndarray | None) -> tuple[torch.Tensor, list[str] | None]:
        try:
            x = as_images(images, "images")
            check_shape(x, self.shape, self.oracle.name)
        except ValueError as error:
            raise Refused(400, str(error)) from None
        if len(x) > self.max_rows:
            raise Refused(413, f"Expected at most {self.max_rows} images in a request, but there were {len(x)}.")
        if keys is None:
            return x, None
        if keys.shape != (len(x),) or keys.dtype.itemsize > 4 * wire.KEY:
            raise Refused(400, f"Expected a key of at most {wire.KEY} bytes for each of the {len(x)} images.")
        words = [key.decode("latin-1") if isinstance(key, bytes) else str(key) for key in keys.tolist()]
        if not all(words):
            raise Refused(400, "Expected keys that are not empty.")
        return x, words


class Server(ThreadingHTTPServer):
    """Serves a `Service` at ``host``, on a free port where ``port`` is 0; `url` says where. handler: what answers a request.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True
    request_queue_size = 32

    def __init__(self, service: Any, host: str = "127.0.0.1", port: int = 0, handler: type[Handler] | None = None) -> None:
        self.service = service
        self.local = is_loopback(host)
        super().__init__((host, port), handler or Handler)

    @property
    def url(self) -> str:
        host, port = self.socket.getsockname()[:2]
        return f"http://{host}:{port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closed the connection in the middle of a request."""


class Handler(BaseHTTPRequestHandler):
    """Answers requests to a `Service`. Others derive from it, with `gets` and `posts` of their own."""

    server: Server
    protocol_version = "HTTP/1.1"  # connections stay open between requests
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together
    timeout = 600  # seconds that a silent connection is kept

    def gets(self) -> dict[str, Any]:
        """What answers GET, by path: functions that return plain values, or a body and its type."""
        return {wire.INFO: self.server.service.info, wire.COUNTS: self.server.service.counts}

    def posts(self) -> dict[str, Any]:
        """The same of POST."""
        return {wire.PREDICT: self._predict}

    def do_GET(self) -> None:
        self._serve(self.gets())

    def do_POST(self) -> None:
        self._serve(self.posts())

    def _serve(self, known: dict[str, Any]) -> None:
        length = self.headers.get("Content-Length", "")
        self._unread = int(length) if length.isdigit() else 0
        try:
            self._check_host()
            if self.path not in known:
                raise Refused(404, f"Expected {self.command} {' or '.join(known)}, but it was {self.path[:80]}.")
            made = known[self.path]()
            self._send(200, *(made if isinstance(made, tuple) else (json.dumps(made).encode(), wire.JSON)))
        except Refused as error:
            self.close_connection = True  # a body may not have been read
            self._send(error.status, json.dumps({"error": str(error), **error.more}).encode(), wire.JSON)
            self._drain()

    def _check_host(self) -> None:
        """Refuse requests to other host names: a web page may resolve its own name to 127.0.0.1, but cannot hide the name."""
        host = self.headers.get("Host", "")
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        if self.server.local and not is_loopback(name):
            raise Refused(403, f"Expected a request to this machine, but it was to {name[:80]!r}.")

    def _predict(self) -> tuple[bytes, str]:
        body, kind = self.body(wire.NPY, wire.JSON)
        try:
            said = wire.unpack(body, kind, ("images", "keys"))
        except ValueError as error:
            raise Refused(400, str(error)) from None
        if "images" not in said:
            raise Refused(400, "Expected images, but there were none.")
        return wire.pack(self.server.service.answer(said["images"], said.get("keys")), kind), kind

    def body(self, *kinds: str) -> tuple[bytes, str]:
        """The body of the request, which must have one of these types, and its type.

        Raises:
            Refused: another type, or more bytes than the service takes.
        """
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
        if kind not in kinds:
            raise Refused(415, f"Expected Content-Type {' or '.join(kinds)}, but it was {kind[:80]!r}.")
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            raise Refused(411, "Expected Content-Length, but there was none.")
        if int(length) > self.server.service.most:
            raise Refused(413, f"Expected at most {self.server.service.most:,} bytes, but there were {int(length):,}.")
        body, self._unread = self.rfile.read(int(length)), 0
        return body, kind

    def _drain(self) -> None:
        """Read the rest of a body, within limits: a client that is still sending when the connection closes never sees why."""
        left = min(self._unread, _LEFT)
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.settimeout(_PATIENCE)
            while left > 0 and (got := len(self.rfile.read(min(left, 1 << 16)))):
                left -= got

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a run makes very many requests."""
