"""The HTTP target against the reference server, and against servers that misbehave."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.protocol import AccessError
from blackbox.targets import HttpTarget, Retrying, wire
from tests.served_nets import CLASSES, SHAPE, Counting, images, net, running, served

X = images(11)


def direct(access: str) -> bb.Oracle:
    return bb.Oracle(net(), access, CLASSES, rows_per_call=11)


@pytest.mark.parametrize("form", ["npy", "json"])
@pytest.mark.parametrize("access", ["labels", "scores", "logits"])
def test_the_answers_are_those_of_the_net(access: str, form: str) -> None:
    model = Counting()
    with served(model, access) as server:
        target = HttpTarget(server.url, form=form)
        assert (target.classes, target.shape, target.shows.name.lower()) == (CLASSES, SHAPE, access)
        oracle = bb.Oracle(target, access, CLASSES, rows_per_call=11)
        here, there = direct(access)(X), oracle(X)
        assert torch.equal(here.label, there.label)
        if here.values is None:
            assert there.values is None
        else:
            assert torch.equal(here.values, there.values)
        assert model.seen == oracle.rows == server.service.oracle.rows == len(X)


def test_top_k_lists_what_the_server_lists() -> None:
    with served(bb.targets.TopK(net(), 2), "scores", k=2) as server:
        target = HttpTarget(server.url)
        assert (target.shows.name, target.k) == ("TOPK", 2)
        got, want = bb.Oracle(target, "topk", CLASSES, k=2)(X), bb.Oracle(net(), "topk", CLASSES, k=2)(X)
        assert torch.equal(got.classes, want.classes)
        torch.testing.assert_close(got.values, want.values)
        with pytest.raises(ValueError, match="k of at most 2"):
            bb.Oracle(target, "topk", CLASSES, k=3)


def test_an_oracle_is_held_to_what_the_server_announces() -> None:
    with served(access="labels", max_rows=3) as server:
        target = HttpTarget(server.url)
        with pytest.raises(AccessError, match="labels at most"):
            bb.Oracle(target, "scores", CLASSES)
        with pytest.raises(AccessError, match="labels at most"):
            bb.Oracle(bb.targets.EightBit(Retrying(target)), "scores", CLASSES)
        with pytest.raises(ValueError, match="classes=4"):
            bb.Oracle(target, "labels", 10)
        oracle = bb.Oracle(target, "labels", CLASSES, rows_per_call=50)
        oracle(X)
        assert dict(oracle.sizes) == {3: 3, 2: 1} or sum(n * c for n, c in oracle.sizes.items()) == 11
        assert max(oracle.sizes) == 3, "one call is one request, so that it is answered whole or not at all"
        with pytest.raises(bb.TargetError, match="1×8×8"):
            oracle(torch.rand(2, 3, 8, 8))
        assert oracle.rows == server.service.oracle.rows == 11 and oracle.failed == 2


def test_what_channels_do_is_announced() -> None:
    with served(bb.targets.Rounded(bb.targets.EightBit(net()), 2)) as server:
        oracle = bb.Oracle(HttpTarget(server.url), "scores", CLASSES)
        assert (oracle.probe, oracle.resolution, oracle.randomised) == (1 / 255, 0.01, False)


def test_an_attack_pays_the_same_and_finds_the_same() -> None:
    model = Counting()
    with served(model) as server:
        results = []
        for target in (net(), HttpTarget(server.url)):
            oracle = bb.Oracle(target, "scores", CLASSES, rows_per_call=4)
            y = oracle(X).label
            results.append(bb.attack(oracle, X, y, "square", bb.Linf(0.1), 30, seed=1))
        a, b = results
        assert torch.equal(a.x_adv, b.x_adv) and torch.equal(a.queries, b.queries)
        assert model.seen == int(b.queries.sum()) + b.config["verify_rows"] + len(X)


def test_a_key_is_answered_again_and_charged_once() -> None:
    model = Counting()
    with served(model) as server:
        target = HttpTarget(server.url)
        keys = [f"k{i}" for i in range(11)]
        first = target.predict(X, keys=keys)
        again = target.predict(X[[3, 5]], keys=["k3", "k5"])
        assert model.seen == 11 and server.service.counts()["replayed"] == 2
        assert torch.equal(again.scores, first.scores[[3, 5]])
        target.predict(X[[3, 4]], keys=["k3", "new"])
        assert model.seen == 12, "the row with a new key alone"
        target.predict(X[[0, 0]], keys=["twice", "twice"])
        assert model.seen == 13
        with pytest.raises(ValueError, match=r"409.*another image"):
            target.predict(X[:1], keys=["k3"])
        target.predict(X)
        assert model.seen == 13 + 11, "without keys every row is charged"


class Breaking(HttpTarget):
    """The line breaks after the server has answered, as often as told."""

    breaks = 0

    def _call(self, *args: Any) -> Any:
        out = super()._call(*args)
        if self.breaks:
            self.breaks -= 1
            raise ConnectionError("broken")
        return out


def test_retries_are_not_charged_twice() -> None:
    model = Counting()
    with served(model) as server:
        target = Breaking(server.url)
        target.breaks = 3
        oracle = bb.Oracle(Retrying(target, wait=0), "scores", CLASSES, rows_per_call=11)
        oracle(X)
        assert model.seen == oracle.rows == 11 and oracle.retried == 33
        target.breaks = 9
        with pytest.raises(bb.TargetError, match="broken"):
            oracle(X)
        assert oracle.rows == 11 and oracle.failed == 11


def test_a_failing_target_is_told_and_not_charged() -> None:
    model = Counting()
    with served(model) as server:
        oracle = bb.Oracle(HttpTarget(server.url), "scores", CLASSES, rows_per_call=4)
        y = net()(X).argmax(1)
        oracle(X[:4])
        model.fails = 1
        with pytest.raises(bb.TargetError, match=r"after 4 answered queries.*500.*out of memory"):
            oracle(X)
        assert (oracle.rows, oracle.failed, server.service.counts()["failed"]) == (4, 4, 4)
        model.changed = lambda out: torch.where(torch.arange(len(out))[:, None] == 1, torch.nan, out)
        with pytest.raises(bb.TargetError, match=r"finite scores.*row 1") as caught:
            bb.attack(oracle, X, y, "square", bb.Linf(0.1), 30)
        assert caught.value.result.queries.sum() == 0 and oracle.rows == model.seen - 4 == 4
        model.changed = lambda out: out[:-1]
        with pytest.raises(bb.TargetError, match="must not drop or merge"):
            oracle(X[:3])


def test_rate_and_timeout() -> None:
    with served() as server:
        target = HttpTarget(server.url, rate=100.0)
        begin = time.perf_counter()
        for _ in range(3):
            target.predict(X)
        assert time.perf_counter() - begin >= 0.22, "the third call waits until 22 rows at 100 a second are through"
    slow = Counting()
    slow.changed = lambda out: (time.sleep(0.6), out)[1]
    with served(slow) as server:
        target = HttpTarget(server.url, timeout=0.2)
        oracle = bb.Oracle(Retrying(target, tries=6, wait=0.1), "scores", CLASSES, rows_per_call=11)
        assert torch.equal(oracle(X).values, direct("scores")(X).values)
        assert slow.seen == oracle.rows == 11 and oracle.retried > 0, "the tries that gave up waiting are not paid again"
    with pytest.raises(ValueError, match="above zero"):
        HttpTarget("http://127.0.0.1:1", rate=0)


def test_only_this_machine_unless_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def connect(address: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setenv("http_proxy", "http://127.0.0.9:3128")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("names of elsewhere are not looked up"))
    for url in ("http://example.com", "http://10.0.0.1:80", "http://0.0.0.0:80", "http://localhost.example.com", "http://[::2]:80"):
        with pytest.raises(ValueError, match=r"on this machine.*own_endpoint=True"):
            HttpTarget(url)
    for url in ("ftp://127.0.0.1", "127.0.0.1:80", "http://", "http://127.0.0.1:x", "http://127.0.0.1/?a=1"):
        with pytest.raises(ValueError, match="such as http://127.0.0.1:8765"):
            HttpTarget(url)
    with pytest.raises(ValueError, match="password"):
        HttpTarget("http://a:b@127.0.0.1")
    assert not asked
    with pytest.raises(ConnectionError, match=r"no network here.*blackbox serve"):
        HttpTarget("http://example.com:81", own_endpoint=True)
    with pytest.raises(ConnectionError):
        HttpTarget("http://127.0.0.1:82")
    assert asked == [("example.com", 81), ("127.0.0.1", 82)], "the proxy of the environment was not asked"


def test_localhost_that_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(2, 1, 6, "", ("10.0.0.7", 0))])
    with pytest.raises(ValueError, match=r"localhost to be this machine, but it is 10\.0\.0\.7"):
        HttpTarget("http://localhost:80")


Said = tuple[int, dict[str, str], bytes]


class Rogue(ThreadingHTTPServer):
    """Announces a net, then answers as told."""

    daemon_threads = True

    def __init__(self) -> None:
        self.says: Callable[[], Said | None] = lambda: (200, {}, b"")
        self.info: dict[str, Any] = {
            "protocol": wire.VERSION, "name": "rogue", "classes": CLASSES, "access": "scores", "max_rows": 64, "shape": SHAPE,
        }  # fmt: skip
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None: ...


class Handler(BaseHTTPRequestHandler):
    server: Rogue
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.tell((200, {}, json.dumps(self.server.info).encode()))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.tell(self.server.says())

    def tell(self, said: Said | None) -> None:
        if said is None:
            self.close_connection = True
            self.connection.close()
            return
        status, headers, body = said
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def rogue() -> Iterator[Rogue]:
    with running(Rogue()) as server:
        yield server


def npy(*arrays: np.ndarray) -> bytes:
    return b"".join(wire.pack({"a": array}, wire.NPY) for array in arrays)


GOOD = np.full((3, CLASSES), 0.25, np.float32)
OBJECTS = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (3,), }".ljust(128) + b"x"
OTHER = {
    "html": ((200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html>hello</html>"), r"npy format.*<!DOCTYPE"),
    "nothing": ((200, {}, b""), "0 bytes"),
    "a pickle": ((200, {}, npy(np.zeros(3)) + b"\x80\x04K\x01."), "npy format"),
    "objects": ((200, {}, OBJECTS), "npy format"),
    "too few rows": ((200, {}, npy(GOOD[:2])), r"shape \(3, 4\).*\(2, 4\)"),
    "too many rows": ((200, {}, npy(np.vstack([GOOD, GOOD]))), r"\(6, 4\)"),
    "too many classes": ((200, {}, npy(np.zeros((3, 9), np.float32))), r"\(3, 9\)"),
    "one axis": ((200, {}, npy(GOOD[:, 0])), r"\(3,\)"),
    "labels where scores were announced": ((200, {}, npy(np.array([1, 2, 3]))), "announced access to scores"),
    "a label that is none": ((200, {}, npy(GOOD, np.array([1, 2, 7]))), "from 0 to 3"),
    "NaN": ((200, {}, npy(np.where(np.arange(3)[:, None] == 2, np.nan, GOOD))), r"finite scores.*row 2"),
    "words": ((200, {}, npy(np.array(["a"]))), "another array"),
    "500": ((500, {}, b"<h1>oops"), r"500 Internal Server Error.*oops"),
    "404": ((404, {}, b'{"error": "Expected something else."}'), r"404.*Expected something else"),
    "a redirect": ((302, {"Location": "http://example.com/"}, b""), r"points elsewhere.*example\.com.*not followed"),
    "busy": ((503, {"Retry-After": "0"}, b"later"), "503"),
    "a torn answer": ((200, {"Content-Length": "999", "Connection": "close"}, npy(GOOD)), "timed out|within|broke off|failed"),
    "without end": ((200, {}, npy(GOOD) + bytes(1 << 18)), "at most"),
    "hung up": (None, "connection failed"),
}  # fmt: skip


@pytest.mark.parametrize("what", OTHER)
def test_what_is_no_answer_is_told_and_not_charged(rogue: Rogue, what: str) -> None:
    said, match = OTHER[what]
    target = HttpTarget(rogue.url, timeout=0.5)
    oracle = bb.Oracle(target, "scores", CLASSES, rows_per_call=3)
    rogue.says = lambda: (200, {}, npy(GOOD))
    oracle(X[:3])
    rogue.says = lambda: said
    with pytest.raises(bb.TargetError, match=match) as caught:
        oracle(X[:3])
    assert "Expected" in str(caught.value) and ("3 answered queries" in str(caught.value) or what == "NaN")
    assert (oracle.rows, oracle.failed) == (3, 3)
    rogue.says = lambda: (200, {}, npy(GOOD))
    oracle(X[:3])  # the next call finds its way again
    assert oracle.rows == 6


def test_never_an_answer(rogue: Rogue) -> None:
    target = HttpTarget(rogue.url, timeout=0.3)
    given_up = threading.Event()
    rogue.says = lambda: (given_up.wait(60), (200, {}, npy(GOOD)))[1]
    begin = time.perf_counter()
    with pytest.raises(TimeoutError, match=r"within 0\.3 s"):
        target.predict(X[:3])
    took = time.perf_counter() - begin
    given_up.set()
    assert took < 5


def test_busy_servers_are_asked_again_when_they_say(rogue: Rogue) -> None:
    answers: list[Said] = [(429, {"Retry-After": "1"}, b""), (200, {}, npy(GOOD))]
    rogue.says = lambda: answers.pop(0)
    begin = time.perf_counter()
    Retrying(HttpTarget(rogue.url), wait=0).predict(X[:3])
    assert not answers and time.perf_counter() - begin > 0.9


def test_a_server_that_hung_up_between_two_calls_is_asked_anew(rogue: Rogue) -> None:
    """As servers do after some seconds of silence."""
    target = HttpTarget(rogue.url)
    rogue.says = lambda: (200, {"Connection": "close"}, npy(GOOD))
    for _ in range(3):
        target.predict(X[:3])
        time.sleep(0.05)


@pytest.mark.parametrize(
    "change", [{"protocol": "other/2"}, {"classes": "4"}, {"classes": 1}, {"access": "all"}, {"max_rows": 0}, {"name": None}]
)
def test_a_server_that_speaks_something_else(rogue: Rogue, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rogue, "info", {**rogue.info, **change})
    with pytest.raises(ValueError, match=r"speaks blackbox/1.*blackbox serve"):
        HttpTarget(rogue.url)


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionError, match=r"refused.*Is it running"):
            HttpTarget(f"http://127.0.0.1:{taken.getsockname()[1]}")


def ask(url: str, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    line = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    line.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    answer = line.getresponse()
    status, text = answer.status, answer.read().decode()
    line.close()
    return status, text


def test_the_server_says_what_is_wrong_with_a_request() -> None:
    model = Counting()
    with served(model, max_rows=4) as server:
        url = server.url

        def tried(body: bytes, kind: str = wire.NPY) -> tuple[int, str]:
            return ask(url, "POST", wire.PREDICT, body, Content_Type=kind)

        x = X.numpy()
        assert tried(npy(x[:5]))[0] == 413
        assert tried(bytes(1 << 20))[0] == 413
        assert tried(bytes(32 << 20))[0] == 413, "the answer is read although the whole body had to be sent first"
        assert tried(npy(2 * x[:1] + 1))[0] == 400 and "[0, 1]" in tried(npy(2 * x[:1] + 1))[1]
        assert tried(npy(x[:1, :, :4]))[0] == 400
        assert tried(npy(np.array([[np.nan]])))[0] == 400
        assert tried(b"<html>")[0] == 400
        assert tried(npy(x[:2], np.array([b"one"])))[0] == 400
        assert tried(npy(np.array([b"one"])))[0] == 400
        assert tried(b'{"images": [[1], [2, 3]]}', wire.JSON)[0] == 400
        assert tried(b'{"pictures": []}', wire.JSON)[0] == 400
        assert tried(b"[" * 100_000, wire.JSON)[0] in (400, 413)
        assert tried(npy(x[:1]), "text/plain")[0] == 415
        assert ask(url, "GET", "/etc/passwd")[0] == 404
        assert ask(url, "GET", wire.INFO, Host="evil.example")[0] == 403, "a page in a browser with a name of its own"
        assert ask(url, "GET", wire.INFO)[0] == 200
        assert model.seen == 0
        status, text = tried(json.dumps({"images": x[:2].tolist(), "keys": ["a", "b"]}).encode(), wire.JSON)
        assert status == 200 and np.shape(json.loads(text)["scores"]) == (2, CLASSES)
        assert json.loads(ask(url, "GET", wire.COUNTS)[1]) == {"rows": 2, "replayed": 0, "failed": 0, "calls": 1}
