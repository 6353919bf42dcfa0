"""`Rest` against the moderation service of `blackbox.testing`, through real connections, from Python and from the command line."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.specs import digits as built_in
from blackbox.targets import EightBit, Rest, TopK
from blackbox.targets.answer import part_of
from blackbox.testing import Moderation
from blackbox.testing.moderation import DIGITS, digits
from tests.commands import Cli, said, sentence

__all__ = ["said"]

TOKEN = "tok-4f9a-e71c"
FILE = """
url = "{url}"
headers = {{ Authorization = "Bearer ${{MODERATION_TOKEN}}" }}
body = {{ image = "$image" }}
words = "predictions[*].label"
scores = "predictions[*].score"
classes = "zero, one, two, three, four, five, six, seven, eight, nine"
top = 5
wait = 0.01
key_header = "Idempotency-Key"
"""
DATA = built_in.parts()["attack"].take(np.arange(8))
X, Y = DATA.images, DATA.labels


@pytest.fixture(scope="module")
def model() -> Callable[[np.ndarray], np.ndarray]:
    return digits()


@pytest.fixture
def serve(model: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Moderation]]:
    monkeypatch.setenv("MODERATION_TOKEN", TOKEN)
    made: list[Moderation] = []

    def start(**settings: Any) -> Moderation:
        made.append(Moderation(model, token=TOKEN, **settings).start())
        return made[-1]

    yield start
    for each in made:
        each.stop()


def rest(service: Moderation, **settings: Any) -> Rest:
    listed = {"words": "predictions[*].label", "scores": "predictions[*].score", "classes": DIGITS, "top": 5, "wait": 0.01}
    return Rest(service.url, headers={"Authorization": "Bearer ${MODERATION_TOKEN}"}, **{**listed, **settings})


def direct(model: Any) -> Any:
    """The same, without a service between."""
    return TopK(EightBit(lambda x: torch.from_numpy(model(x.numpy())).float()), 5)


def test_an_attack_through_a_troubled_service_finds_the_same_and_pays_once(
    model: Any, serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service = serve(errors=0.1, cuts=0.05, lost=0.1, keys=True)
    results = []
    for target in (direct(model), rest(service, key_header="Idempotency-Key", retries=9)):
        oracle = bb.Oracle(target, "topk", 10, rows_per_call=8)
        results.append(bb.attack(oracle, X[:4], Y[:4], "square", bb.Linf(0.2), 25, seed=1))
    a, b = results
    assert torch.equal(a.x_adv, b.x_adv) and torch.equal(a.queries, b.queries) and torch.equal(a.success, b.success)
    assert service.billed.total() == int(b.queries.sum()) + b.config["verify_rows"]
    assert b.config["retried_rows"] > 0 and service.repeated > 0
    assert "POST" in caplog.text and TOKEN not in caplog.text


def test_from_the_command_line_and_the_token_is_saved_nowhere(serve: Any, said: Cli, tmp_path: Path, model: Any) -> None:
    service = serve(lost=0.05, keys=True)
    (tmp_path / "service.toml").write_text(FILE.format(url=service.url))
    words = ("attack", "--target", "rest:service.toml", "--attack", "square", "--eps", "0.2", "--budget", "10", "--n", "3")
    done = said(*words, "--journal", "run.journal", "--out", "run")
    assert done.returncode in (0, 3), done.stderr
    result = bb.AttackResult.load(tmp_path / "run")
    assert result.config["access"] == "topk", "what the service shows, without --access"
    paid = service.billed.total()
    assert paid == int(result.queries.sum()) + result.config["verify_rows"]
    assert said(*words, "--journal", "run.journal", "--out", "again").returncode == done.returncode
    assert service.billed.total() == paid, "read back from the journal"
    sentence(said(*words, "--access", "scores"), 2, "Expected access to topk at most", "--access, or --levels, topk:5")
    service.token = "another"
    failed = said(*words, "--out", "failed")
    sentence(failed, 1, "401 Unauthorized", "environment variable MODERATION_TOKEN")
    saved = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(saved) > 10
    for text in (done.stdout, done.stderr, failed.stdout, failed.stderr, *(p.read_bytes().decode("latin-1") for p in saved)):
        assert TOKEN not in text and TOKEN[:8] not in text


def test_a_file_that_does_not_fit_the_data(serve: Any, said: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(FILE.format(url="http://127.0.0.1:9/x").replace("zero, one", "1, 0"))
    ordered = said("attack", "--target", "rest:a.toml", "--eps", "0.2")
    sentence(ordered, 2, "classes of the data in the order of a.toml, but '0' is number 0")
    (tmp_path / "b.toml").write_text(FILE.format(url="https://api.example.com/x"))
    sentence(said("attack", "--target", "rest:b.toml", "--eps", "0.2"), 2, "on this machine", "--own-endpoint")
    sentence(said("attack", "--target", "rest:a.toml#rat=3", "--eps", "0.2"), 2, "Did you mean 'rate'")
    sentence(said("attack", "--target", "rest:none.toml", "--eps", "0.2"), 2, "none.toml, but there is no such file")
    (tmp_path / "c.toml").write_text("own_endpoint = true\n")
    sentence(said("attack", "--target", "rest:c.toml", "--eps", "0.2"), 2, "Expected no own_endpoint in c.toml")


@pytest.mark.parametrize("dates", [False, True])
def test_too_fast_is_waited_for_and_not_charged(serve: Any, model: Any, dates: bool) -> None:
    service = serve(rate=6.0, burst=6, dates=dates)
    out = rest(service).predict(X)
    assert torch.equal(out.label, direct(model).predict(X).label)
    assert service.statuses[429] > 0 and service.billed.total() == len(X)


def test_slow_answers_are_given_up_and_not_paid_again(serve: Any, model: Any) -> None:
    service = serve(slow=0.25, keys=True)
    with pytest.raises(TimeoutError, match=r"within 0\.05 s \(read\)") as error:
        rest(service, read=0.05, retries=0).predict(X[:2])
    part = part_of(error.value)
    assert part is not None and (part.rows, part.doubtful) == ([], [0, 1])
    target = rest(service, read=0.2, retries=5, wait=0.2, key_header="Idempotency-Key")
    service.slow = 0.3
    before = service.billed.total()
    slowly = threading.Timer(0.5, setattr, (service, "slow", 0.0))
    slowly.start()
    assert torch.equal(target.predict(X[:2]).label, direct(model).predict(X[:2]).label)
    slowly.join()
    assert target.retried >= 2 and service.billed.total() - before <= 2 + 2, "the two given up before, and these two once"


def test_ctrl_c_keeps_what_was_answered(serve: Any) -> None:
    service = serve()
    answer, count = service.answer, iter(range(99))

    def interrupt(*words: Any) -> Any:
        n = next(count)
        if n == 3:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]
        if n >= 3:
            stopped.wait(20)  # until the main thread has been interrupted, however busy the machine is
        return answer(*words)

    def on_signal(number: int, frame: Any) -> None:
        threading.Timer(0.3, stopped.set).start()  # the answers under way come after it
        raise KeyboardInterrupt

    service.answer, stopped = interrupt, threading.Event()
    before = signal.signal(signal.SIGINT, on_signal)
    try:
        with pytest.raises(KeyboardInterrupt) as error:
            rest(service, concurrency=2).predict(X)
    finally:
        signal.signal(signal.SIGINT, before)
    part = part_of(error.value)
    assert part is not None and 2 <= len(part.rows) < len(X)
    assert len(part.rows) + len(part.doubtful) >= service.billed.total(), "whatever was billed is known or in doubt"
