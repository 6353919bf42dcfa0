"""A moderation service to try clients on: a token, a rate limit, and whatever goes wrong between two computers.

    python -m blackbox.testing.moderation --port 8765 --token secret --rate 50

``POST /v1/moderate`` with ``{"image": BASE64 PNG}`` and ``Authorization: Bearer secret`` answers
``{"model": "digits-1", "predictions": [{"label": "three", "score": 0.93}, …]}``, the best five. By default it knows
scikit-learn's digits. It counts what it bills, per image.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hashlib
import io
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

PATH = "/v1/moderate"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_CUT = -1  # stands for a status: the connection is closed instead of an answer


def digits() -> Callable[[np.ndarray], np.ndarray]:
    """A classifier of scikit-learn's digits: images [m, 1, 8, 8] -> probabilities [m, 10]."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    data = load_digits()
    model = LogisticRegression(max_iter=1000).fit(data.data[:900] / 16, data.target[:900])
    return lambda x: np.asarray(model.predict_proba(x.reshape(len(x), -1)))


class Moderation(ThreadingHTTPServer):
    """The service, at 127.0.0.1 on a free port unless one is given: ``Moderation().start()``, or ``with running() as service``.

    Args:
        model: images [m, C, H, W] float32 in [0, 1] -> probabilities [m, classes]; by default `digits`.
        classes: its words, in order.
        token: what ``Authorization: Bearer`` must carry.
        top: how many predictions are listed.
        rate: requests a second, after a first ``burst``; more get 429 with ``Retry-After`` (as a date where ``dates``).
        errors, cuts, lost: the shares of requests that get a 500, whose connection is cut before they are billed, or after.
        slow: seconds that an answer takes.
        keys: a request with the ``Idempotency-Key`` of an earlier one gets the same answer, and is not billed.
        seed: of what goes wrong.

    Attributes:
        billed: how often each image was billed, by the hash of its PNG. statuses: how often each status was answered.
        repeated: requests that were answered by their key. authorised: the tokens that came.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, model: Callable[[np.ndarray], Any] | None = None, classes: tuple[str, ...] = DIGITS, *, token: str = "secret",
        top: int = 5, rate: float | None = None, burst: int = 1, dates: bool = False, errors: float = 0.0, cuts: float = 0.0,
        lost: float = 0.0, slow: float = 0.0, keys: bool = False, seed: int = 0, port: int = 0,
    ) -> None:  # fmt: skip
        self.model, self.classes, self.token, self.top = model or digits(), classes, token, top
        self.rate, self.burst, self.dates, self.slow, self.keys = rate, burst, dates, slow, keys
        self.errors, self.cuts, self.lost = errors, cuts, lost
        self.billed: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.repeated = 0
        self._known: dict[str, dict[str, Any]] = {}
        self._draw, self._lock = random.Random(seed), threading.Lock()
        self._left, self._seen = float(burst), time.monotonic()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{PATH}"

    def start(self) -> Moderation:
        """Serve in a thread of this process."""
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End what `start` began."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def answer(self, token: str, key: str | None, body: bytes) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Status, JSON and headers for a request."""
        if token != f"Bearer {self.token}":
            return 401, {"error": {"message": f"Unknown token {token!r}."}}, {}
        with self._lock:
            if (wait := self._too_fast()) > 0:
                seconds = int(-(-wait // 1))
                until = email.utils.formatdate(time.time() + seconds, usegmt=True) if self.dates else str(seconds)
                return 429, {"error": {"message": "Too many requests."}}, {"Retry-After": until}
            luck = self._draw.random()
        if luck < self.errors:
            return 500, {"error": {"message": "Something went wrong."}}, {}
        if luck < self.errors + self.cuts:
            return _CUT, {}, {}
        try:
            file = base64.b64decode(json.loads(body)["image"], validate=True)
            scores = np.asarray(self.model(_read(file)[None]))[0]
        except Exception as error:  # whatever a picture is not
            return 422, {"detail": [{"loc": ["body", "image"], "msg": f"not a picture: {type(error).__name__}"}]}, {}
        if self.slow:
            time.sleep(self.slow)
        best = np.argsort(-scores, kind="stable")[: self.top]
        said = {"model": "digits-1", "predictions": [{"label": self.classes[i], "score": float(scores[i])} for i in best]}
        with self._lock:
            if self.keys and key is not None and key in self._known:
                self.repeated += 1
                return 200, self._known[key], {}
            self.bill(hashlib.sha256(file).hexdigest())
            if key is not None:
                self._known[key] = said
        return (_CUT if luck > 1 - self.lost else 200), said, {}

    def bill(self, image: str) -> None:
        """Charge for an image, named by its hash."""
        self.billed[image] += 1

    def _too_fast(self) -> float:
        """Seconds until another request is allowed, 0 where it is: a bucket of ``burst`` that fills at ``rate``."""
        if self.rate is None:
            return 0.0
        now = time.monotonic()
        self._left = min(self._left + (now - self._seen) * self.rate, float(self.burst))
        self._seen = now
        if self._left < 1:
            return (1 - self._left) / self.rate
        self._left -= 1
        return 0.0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closed the connection."""


def _read(file: bytes) -> np.ndarray:
    """The image in a file, [C, H, W] float32 in [0, 1]."""
    from PIL import Image

    array = np.asarray(Image.open(io.BytesIO(file)), np.float32) / 255
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


class _Handler(BaseHTTPRequestHandler):
    server: Moderation
    protocol_version = "HTTP/1.1"  # connections stay open between requests
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        more: dict[str, str] = {}
        if self.path != PATH:
            status, said = 404, {"error": {"message": f"No {self.path} here."}}
        else:
            key = self.headers.get("Idempotency-Key")
            status, said, more = self.server.answer(self.headers.get("Authorization", ""), key, body)
        self.server.statuses[status] += 1
        if status == _CUT:
            self.close_connection = True
            return
        content = json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a run makes very many requests."""


@contextlib.contextmanager
def running(service: Moderation | None = None, **settings: Any) -> Iterator[Moderation]:
    """Serve in a thread of this process until the context ends."""
    made = (service or Moderation(**settings)).start()
    try:
        yield made
    finally:
        made.stop()


def main() -> None:
    """Serve until Ctrl-C, and print what was billed."""
    import argparse

    words = argparse.ArgumentParser(prog="python -m blackbox.testing.moderation", description="A moderation service to try clients on.")
    words.add_argument("--port", type=int, default=8765)
    words.add_argument("--token", default="secret")
    words.add_argument("--top", type=int, default=5, help="predictions listed")
    words.add_argument("--rate", type=float, help="requests a second")
    words.add_argument("--burst", type=int, default=1, help="requests before the rate holds")
    words.add_argument("--errors", type=float, default=0.0, help="share of requests that get a 500")
    words.add_argument("--cuts", type=float, default=0.0, help="share whose connection is cut before it is billed")
    words.add_argument("--lost", type=float, default=0.0, help="share whose connection is cut after it is billed")
    words.add_argument("--slow", type=float, default=0.0, help="seconds that an answer takes")
    words.add_argument("--keys", action="store_true", help="honour Idempotency-Key")
    with Moderation(**vars(words.parse_args())) as service:
        print(f"serving {service.url}; Ctrl-C stops", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            service.serve_forever()
        print(f"billed {service.billed.total():,} images, of them {len(service.billed):,} different ones")


if __name__ == "__main__":
    main()
