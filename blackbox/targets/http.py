"""An HTTP endpoint of your own as a target. The protocol is `blackbox.targets.wire`'s; ``blackbox serve`` speaks it.

Connects to this machine only, unless the user says that the endpoint is theirs. Proxies are never used, whatever the
environment says; redirects are not followed; certificates are checked.
"""

from __future__ import annotations

import http.client
import json
import select
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.protocol import Access
from blackbox.targets import wire
from blackbox.targets.address import address
from blackbox.targets.answer import Answer
from blackbox.targets.batches import check_shape
from blackbox.targets.info import RETURNS, Described, TargetInfo
from blackbox.targets.rejections import as_answer

_AGAIN = (408, 425, 429, 502, 503, 504)  # the same request may succeed later
_LONGEST = 60.0  # seconds that a server may ask a client to wait
_HEAD = 1 << 16  # bytes of an answer besides its numbers


class HttpTarget(Described):
    """Queries a server of your own.

    Keys (`blackbox.targets.TargetInfo`) are passed on where the server takes them; then a call that was in flight when this
    process was killed, or that is made again by `Retrying`, is not charged twice.

    Args:
        url: ``http://127.0.0.1:8765``; there may be a path before ``/v1/...``.
        own_endpoint: the endpoint is yours, or you were asked to test it. Without it, only this machine is allowed.
        rows: the most images of a request; never more than the server takes.
        rate: images a second at most.
        timeout: seconds for a request, from connecting to the last byte of the answer.
        form: ``"npy"`` or ``"json"``.
        headers: more headers of a request, such as Authorization. They are sent, and never shown or saved.

    Attributes:
        classes, shape, shows, k: as the server announces: classes, the shape of an image (None: any size), the `Access`
            level and, for top-k, how many classes are listed.
        max_rows: of a request.
        announced: the whole announcement.

    Raises:
        ValueError: an invalid address, one on another machine, or a server that does not speak the protocol.
            ConnectionError, TimeoutError: no answer. `Retrying` retries after these, and when the server is busy.
    """

    def __init__(
        self,
        url: str,
        *,
        own_endpoint: bool = False,
        rows: int | None = None,
        rate: float | None = None,
        timeout: float = 30.0,
        form: str = "npy",
        headers: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        if (rows is not None and rows < 1) or (rate is not None and rate <= 0) or timeout <= 0:
            raise ValueError(f"Expected rows, rate and timeout above zero, but rows={rows}, rate={rate}, timeout={timeout}.")
        if form not in ("npy", "json"):
            raise ValueError(f"Expected form to be npy or json, but it was {form!r}.")
        self.url, self.timeout, self._rate = url, timeout, rate
        self._secure, self._address, self._path = address(url, own_endpoint)
        self._kind = wire.NPY if form == "npy" else wire.JSON
        self._headers = dict(headers or {})
        self._lines, self._lock, self._free = threading.local(), threading.Lock(), 0.0
        self.device = torch.device("cpu")
        self.announced = said = self._announced()
        self._most = min(rows or said["max_rows"], said["max_rows"])
        shape = None if said.get("shape") is None else tuple(said["shape"])
        self.info = TargetInfo.announced(said, name=name or said["name"], shape=shape, max_rows=self._most)

    def predict(self, x: Tensor, keys: list[str] | None = None) -> Any:
        check_shape(x, self.shape, self.name)
        rows = x.to(torch.float32).numpy(force=True)
        parts = [
            self._call(rows[i : i + self._most], None if keys is None else keys[i : i + self._most])
            for i in range(0, len(rows), self._most)
        ]
        labels, scores, rejected = zip(*parts, strict=True)
        named = None if labels[0] is None else torch.from_numpy(np.concatenate(labels).astype(np.int64))
        values = None if scores[0] is None else torch.from_numpy(np.concatenate(scores).astype(np.float32))
        if any(mask is not None for mask in rejected):
            sizes = [min(self._most, len(rows) - i) for i in range(0, len(rows), self._most)]
            masks = [np.zeros(n, np.bool_) if mask is None else mask for n, mask in zip(sizes, rejected, strict=True)]
            return as_answer({"labels": named, "scores": values, "rejected": np.concatenate(masks)})
        if values is None:
            return named
        return values if named is None else Answer(named, values)

    def _call(self, rows: np.ndarray, keys: list[str] | None) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        """Make one request: [m] labels and [m, C] scores, as far as the server shows them, and [m] which it rejected, if it says so."""
        classes, shows = self.announced["classes"], Access.parse(self.announced["access"])
        body = wire.pack({"images": rows, "keys": keys if self.keyed else None}, self._kind)
        self._wait(len(rows))
        # a number is at most 25 letters long in JSON
        content = self._ask("POST", wire.PREDICT, body, _HEAD + 32 * len(rows) * (classes + 1))
        answer = wire.unpack(content, self._kind, ("scores", "labels", "rejected"))
        labels, scores, rejected = (answer.get(name) for name in ("labels", "scores", "rejected"))
        for found, shape in ((labels, (len(rows),)), (scores, (len(rows), classes)), (rejected, (len(rows),))):
            if found is not None and found.shape != shape:
                raise ValueError(f"Expected answers of shape {shape} from {self.url}, but they had shape {found.shape}.")
        if (scores is None) != (shows is Access.LABELS) or (scores is None and labels is None):
            raise ValueError(
                f"Expected {'labels' if shows is Access.LABELS else 'scores'} from {self.url}, which announced access to "
                f"{shows.name.lower()}, but it answered {' and '.join(answer)}."
            )
        read = np.ones(len(rows), bool) if rejected is None else ~rejected
        if labels is not None and not ((labels >= 0) & (labels < classes))[read].all():
            raise ValueError(f"Expected labels from 0 to {classes - 1} from {self.url}, but there were others.")
        return labels, scores, rejected

    def _announced(self) -> dict[str, Any]:
        """Read from the server what it serves."""
        body = self._ask("GET", wire.INFO, None, _HEAD)
        try:
            said = json.loads(body)
            known = (
                said["protocol"] == wire.VERSION
                and isinstance(said["name"], str)
                and type(said["classes"]) is int
                and said["classes"] >= 2
                and said["access"] in RETURNS
                and type(said["max_rows"]) is int
                and said["max_rows"] >= 1
                and (said.get("shape") is None or all(n is None or type(n) is int for n in said["shape"]))
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            known = False
        if not known:
            raise ValueError(
                f"Expected a server that speaks {wire.VERSION} at {self.url}, but {wire.INFO} answered {wire.start(body)}. "
                "Start one with: blackbox serve"
            )
        found: dict[str, Any] = said
        return found

    def _wait(self, rows: int) -> None:
        """Wait until the rate limit and the server's last answer allow these rows to be sent."""
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._free)
            self._free = begin + (rows / self._rate if self._rate else 0.0)
        if begin > now:
            time.sleep(begin - now)

    def _ask(self, method: str, path: str, body: bytes | None, most: int) -> bytes:
        """Send one request and return the body of the answer."""
        deadline = time.monotonic() + self.timeout
        line = self._line()
        try:
            kind = {"Content-Type": self._kind} if body is not None else {}
            line.request(method, self._path + path, body, {**self._headers, **kind})
            assert line.sock is not None
            line.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            response = line.getresponse()
            content = _read(line, response, deadline, most)
        except TimeoutError:
            self._drop()
            raise TimeoutError(f"Expected an answer from {self.url} within {self.timeout:g} s, but there was none.") from None
        except ssl.SSLError as error:
            self._drop()
            raise ValueError(f"Expected a trusted connection to {self.url}, but: {error}.") from None
        except ValueError:
            self._drop()
            raise
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            said = str(error).strip() or type(error).__name__
            raise ConnectionError(
                f"Expected an answer from {self.url}, but the connection failed: {said}. Is it running (blackbox serve)?"
            ) from None
        if response.status != 200:
            self._refused(response, content)
        return content

    def _refused(self, response: http.client.HTTPResponse, content: bytes) -> None:
        """Raise the error that the server sent instead of an answer."""
        if 300 <= response.status < 400:
            raise ValueError(
                f"Expected an answer from {self.url}, but it points elsewhere, to {response.getheader('Location')!r}. "
                "Redirects are not followed: give that address if it is yours."
            )
        try:
            said = json.loads(content)["error"]
        except (ValueError, KeyError, TypeError, RecursionError):
            said = wire.start(content)
        text = f"Expected an answer from {self.url}, but it said {response.status} {response.reason}: {said}"
        if response.status not in _AGAIN:
            raise ValueError(text)
        after = response.getheader("Retry-After", "")
        if after.isdigit():
            with self._lock:
                self._free = max(self._free, time.monotonic() + min(float(after), _LONGEST))
        raise ConnectionError(text)

    def _line(self) -> http.client.HTTPConnection:
        """This thread's connection, reopened if the server has closed it."""
        line: http.client.HTTPConnection | None = getattr(self._lines, "line", None)
        if line is not None and line.sock is not None and select.select([line.sock], [], [], 0)[0]:
            self._drop()
            line = None
        if line is None:
            host, port = self._address
            if self._secure:
                line = http.client.HTTPSConnection(host, port, timeout=self.timeout, context=ssl.create_default_context())
            else:
                line = http.client.HTTPConnection(host, port, timeout=self.timeout)
            self._lines.line = line
        if line.sock is not None:
            line.sock.settimeout(self.timeout)
        return line

    def _drop(self) -> None:
        line = getattr(self._lines, "line", None)
        if line is not None:
            line.close()
        self._lines.line = None


def _read(line: http.client.HTTPConnection, response: http.client.HTTPResponse, deadline: float, most: int) -> bytes:
    """Read the body within the limits of time and size."""
    parts, size = [], 0
    while True:
        if line.sock is not None:  # None where the server closes after this answer
            line.sock.settimeout(max(deadline - time.monotonic(), 0.001))
        part = response.read1(1 << 16)
        if not part:
            break
        parts.append(part)
        size += len(part)
        if size > most:
            line.close()
            raise ValueError(f"Expected an answer of at most {most:,} bytes, but it goes on. Is this the right server?")
        if time.monotonic() > deadline:
            raise TimeoutError
    response.close()  # frees the connection for the next request
    if response.length:  # bytes of Content-Length that did not arrive
        raise ConnectionError(f"the answer broke off {response.length:,} bytes before its end")
    return b"".join(parts)
