"""`Rest` against a service that answers in this process: what is sent, how answers are read, what errors say."""

from __future__ import annotations

import base64
import email.message
import email.parser
import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import blackbox as bb
from blackbox import specs
from blackbox.channels.retrying import Retrying
from blackbox.protocol import Access, AccessError
from blackbox.specs import Model
from blackbox.targets import Rest
from blackbox.targets.answer import part_of
from blackbox.targets.rest.pace import Pace, asked_to_wait

X = torch.rand(7, 1, 4, 4, generator=torch.Generator().manual_seed(0))
COLOURS = torch.rand(3, 3, 5, 4, generator=torch.Generator().manual_seed(1))
NAMES = ("cat", "dog", "owl")
TOKEN = "tok-4f9a!e"
URL = "http://127.0.0.1:1/v1/classify"
LISTED = {"words": "predictions[*].label", "scores": "predictions[*].score"}
Answers = Callable[[httpx.Request], httpx.Response]


def known(image: np.ndarray) -> list[float]:
    """The scores of an image of bytes: its first three entries, as shares."""
    p = image.reshape(-1)[:3].astype(float) + 1
    return list(p / p.sum())


def shares(x: Tensor) -> Tensor:
    return torch.tensor([known((255 * row).round().byte().numpy()) for row in x])


def read(request: httpx.Request) -> np.ndarray:
    return opened(base64.b64decode(json.loads(request.content)["image"]))


def opened(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)))


def listed(scores: list[float], top: int = 3) -> dict[str, Any]:
    best = sorted(range(3), key=lambda i: -scores[i])[:top]
    return {"predictions": [{"label": NAMES[i], "score": scores[i]} for i in best]}


def rest(answers: Answers | Any, **settings: Any) -> Rest:
    if not callable(answers):
        said, answers = answers, lambda request: httpx.Response(200, json=said)
    if "scores" not in settings and "label" not in settings:
        settings = {**LISTED, **settings}
    return Rest(URL, transport=httpx.MockTransport(answers), **{"classes": NAMES, "wait": 0, **settings})


def good(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=listed(known(read(request))))


# -- what is sent ------------------------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_the_images() -> None:
    out = rest(good, concurrency=3).predict(X)
    torch.testing.assert_close(out.scores, shares(X).float())
    assert torch.equal(out.label, shares(X).argmax(1))


def caught(x: Tensor, **settings: Any) -> httpx.Request:
    """The request of one call."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return httpx.Response(200, json={"all": [listed([0.5, 0.3, 0.2])] * len(x)})

    rest(answer, **{"each": "all", "rows_per_request": len(x), **settings}).predict(x)
    assert len(seen) == 1
    return seen[0]


BYTES = (255 * COLOURS).round().byte().permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_files_in_a_template(kind: str) -> None:
    body = {"model": "m", "instances": [{"id": "$key", "url": f"data:image/{kind};base64,$image"}]}
    request = caught(COLOURS, encode=kind, body=body)
    said = json.loads(request.content)
    assert (request.method, str(request.url), said["model"], len(said["instances"])) == ("POST", URL, "m", 3)
    assert len({each["id"] for each in said["instances"]}) == 3
    for each, want in zip(said["instances"], BYTES, strict=True):
        file = base64.b64decode(each["url"].removeprefix(f"data:image/{kind};base64,"))
        assert file[:2] == {"png": b"\x89P", "jpeg": b"\xff\xd8"}[kind]
        close = np.abs(opened(file).astype(int) - want).mean()
        assert close == 0 if kind == "png" else close < 30


@pytest.mark.parametrize("layout", ["chw", "hwc"])
@pytest.mark.parametrize(("dtype", "top"), [("float", 1), ("float", 255), ("uint8", 1)])
def test_numbers(layout: str, dtype: str, top: int) -> None:
    body = {"inputs": ["$image"], "text": 'a "quoted" $ë'}
    said = json.loads(caught(COLOURS, encode="array", layout=layout, dtype=dtype, top_value=top, body=body).content)
    want = COLOURS.numpy() if dtype == "float" else (255 * COLOURS).round().numpy()
    want = want * (top if dtype == "float" else 1)
    assert said["text"] == body["text"]
    np.testing.assert_allclose(said["inputs"], want.transpose(0, 2, 3, 1) if layout == "hwc" else want, rtol=1e-6)
    assert dtype == "float" or isinstance(said["inputs"][0][0][0][0], int)


def test_multipart_and_raw() -> None:
    request = caught(COLOURS[:2], send="multipart", field="photo", body={"lang": "en"})
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    parts: list[email.message.Message] = email.parser.BytesParser().parsebytes(head + request.content).get_payload()  # type: ignore[assignment]
    names = [part.get_param("name", header="content-disposition") for part in parts]
    assert sorted(map(str, names)) == ["lang", "photo", "photo"]
    files = [part.get_payload(decode=True) for part, name in zip(parts, names, strict=True) if name == "photo"]
    assert all(np.array_equal(opened(f), want) for f, want in zip(files, BYTES, strict=False))  # type: ignore[arg-type]
    request = caught(COLOURS[:1], send="raw", method="PUT", query={"v": "2"})
    assert (request.method, request.url.query, request.headers["content-type"]) == ("PUT", b"v=2", "image/png")
    assert np.array_equal(opened(request.content), BYTES[0])


def test_eight_bit_input_is_announced_and_numbers_are_not() -> None:
    assert rest(good).probe == rest(good, encode="array", dtype="uint8").probe == 1 / 255
    assert rest(good, encode="array").probe == 0


# -- how answers are read ----------------------------------------------------------------------------------------

P = [0.2, 0.7, 0.1]
READ = {
    "words and scores": (listed(P), {}, "SCORES", P),
    "the best two": (listed(P, 2), {"top": 2}, "TOPK", P),
    "up to two": (listed(P, 1), {"top": 2, "fewer": True}, "TOPK", [0.15, 0.7, 0.15]),
    "scores in order": ({"p": P}, {"scores": "p"}, "SCORES", P),
    "word: score": ({"r": [dict(zip(NAMES, P, strict=True))]}, {"scores": "r[0]"}, "SCORES", P),
    "percent": ({"p": ["20 %", "70", 10]}, {"scores": "p", "returns": "percent"}, "SCORES", P),
    "logits": ({"p": [1, -2, 3.5]}, {"scores": "p", "returns": "logits"}, "LOGITS", [1, -2, 3.5]),
    "a label beside": ({"p": P, "top": "owl"}, {"scores": "p", "label": "top"}, "SCORES", P),
    "other words": ({"a": {"kitty": 0.2, "dog": 0.7, "owl": 0.1, "elk": 0.9}},
                    {"scores": "a", "aliases": {"kitty": "cat"}, "ignore_unknown": True}, "SCORES", P),
    "one number": ({"nsfw": 0.3}, {"scores": "nsfw", "classes": ["safe", "nsfw"], "positive": "nsfw"}, "SCORES", [0.7, 0.3]),
    "independent, as said": ({"p": [0.9, 0.8, 0.7]}, {"scores": "p", "returns": "probabilities"}, "SCORES", [0.9, 0.8, 0.7]),
    "the best one in percent": (listed([2, 70, 1], 1), {"top": 1, "returns": "percent"}, "TOPK", [0.15, 0.7, 0.15]),
    "one number of the first": ({"s": 0.3}, {"scores": "s", "classes": "a, b", "positive": "a"}, "SCORES", [0.3, 0.7]),
}  # fmt: skip


@pytest.mark.parametrize("what", READ)
def test_scores_are_read(what: str) -> None:
    said, settings, shows, want = READ[what]
    target = rest(said, **settings)
    out = target.predict(X[:2])
    np.testing.assert_allclose(out.scores, [want, want], rtol=1e-6)
    assert out.label.tolist() == [2 if what == "a label beside" else int(np.argmax(want))] * 2
    assert (target.shows, target.k) == (Access[shows], settings.get("top"))
    oracle = bb.Oracle(target, shows.lower(), target.classes, k=target.k)
    assert torch.equal(oracle(X[:2]).label, out.label)
    if shows == "TOPK":
        with pytest.raises(AccessError, match="topk at most"):
            bb.Oracle(target, "scores", 3)


def test_labels_alone() -> None:
    target = rest({"class": 2}, label="class", classes=["0", "1", "2"])
    assert (target.shows, target.returns) == (Access.LABELS, "labels")
    assert bb.Oracle(target, "labels", 3)(X[:2]).label.tolist() == [2, 2]


def test_decimals_noise_and_chance_are_announced() -> None:
    target = rest(good, decimals=1, returns="percent", noise=0.02)
    assert (target.resolution, target.noise, target.randomised) == (0.001, 0.02, True)


UNREAD = {
    "nothing there": ({"result": {"a": 1}}, {}, r"scores at 'predictions\[\*\]\.score', but there was nothing; the answer has result: "),
    "an empty list": ({"predictions": []}, {}, "an empty list; the answer has predictions"),
    "an unknown word": ({"predictions": [{"label": "dogg", "score": 1}]}, {},
                        r"3 words in classes .*said \"dogg\".*Perhaps 'dog' is meant: aliases = \{\"dogg\" = \"dog\"\}"),
    "too few": (listed(P, 2), {}, "predictions for 3 of 3 classes, but the answer lists 2.*top = 2"),
    "fewer than the best": (listed(P, 1), {"top": 2}, "2 of 3 classes, but the answer lists 1.*fewer = true"),
    "twice the same": ({"predictions": [{"label": "cat", "score": 0.5}] * 3}, {}, "lists 'cat' twice"),
    "a score that is none": ({"p": [0.2, None, 0.1]}, {"scores": "p"}, "finite numbers at 'p', but there was null"),
    "percent taken for shares": ({"p": [20, 70, 10]}, {"scores": "p"}, "probabilities from 0 to 1 at 'p', but there was 20.*percent"),
    "shares taken for percent": ({"p": P}, {"scores": "p", "returns": "percent"}, "which sum to 100, at 'p', .* to 1.*probabilities"),
    "the best of them": (listed([0.02, 0.88, 0.1], 1), {"top": 1, "returns": "percent"}, r"which sum to 100, at .*sum to 0.88.*prob"),
    "several labels": ({"p": [0.9, 0.8, 0.7]}, {"scores": "p"}, r"sum to 2.4, as independent.*returns = \"probabilities\""),
    "two of several labels": (listed([0.9, 0.9, 0.1], 2), {"top": 2}, r"sum to [12][.\d]*, as independent"),
    "zeros": ({"p": [0, 0, 0]}, {"scores": "p"}, "a score above zero at 'p', but all were zero"),
    "the best are zero": (listed([0, 0, 0], 2), {"top": 2}, "all were zero, so that no class is shown"),
    "one number of an unknown": ({"p": 0.4}, {"scores": "p", "classes": "a, b"}, r'which of the two classes .*positive = "b", or "a"'),
    "another number": ({"p": P[:2]}, {"scores": "p"}, "3 scores at 'p', one for each of classes in their order, but there were 2"),
    "one number for three": ({"p": 0.4}, {"scores": "p"}, "One stands for two classes only"),
    "no label": ({"a": 1}, {"label": "class"}, "a word at 'class', but there was nothing; the answer has a"),
    "one answer too few": ({"all": [listed(P)]}, {"each": "all", "rows_per_request": 2, "body": ["$image"]}, "list of 2 answers"),
    "no JSON": (lambda r: httpx.Response(200, text="<html><h1>Welcome!</h1>"), {}, "Expected JSON .* text/plain: 'Welcome!'"),
}  # fmt: skip


@pytest.mark.parametrize("what", UNREAD)
def test_answers_that_cannot_be_read(what: str) -> None:
    said, settings, match = UNREAD[what]
    with pytest.raises(ValueError, match=match) as error:
        rest(said, **settings).predict(X[:2])
    assert "It was row 0 of a call with 2 images." in str(error.value)
    part = part_of(error.value)
    assert part is not None and 0 in part.doubtful, "an answer that cannot be read was paid for"


# -- what goes wrong on the way ----------------------------------------------------------------------------------

REFUSED = {
    401: ({"error": {"message": f"bad token {TOKEN}"}}, r"401 Unauthorized: 'bad token \*\*\*'.*environment variable MODERATION"),
    403: ({"message": "not yours"}, "403 Forbidden: 'not yours'.*allowed to do this"),
    404: ({"detail": "Not Found"}, "404 Not Found.*Check the path"),
    413: ({}, "413 .*rows_per_request"),
    422: ({"detail": [{"msg": "x" * 999}]}, r"422 .*x{100} …'.*Sent was \{\"image\": \"\$image\"\}"),
    302: ({}, "302 .*points to http://elsewhere/.*not followed"),
}  # fmt: skip


@pytest.mark.parametrize("status", REFUSED)
def test_refusals_say_why_and_are_not_repeated(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_TOKEN", TOKEN)
    seen: list[str] = []
    said, match = REFUSED[status]

    def refuse(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(status, json=said, headers={"Location": "http://elsewhere/"})

    target = rest(refuse, headers={"Authorization": "Bearer ${MODERATION_TOKEN}"}, concurrency=1)
    oracle = bb.Oracle(target, "scores", 3)
    with pytest.raises(bb.TargetError, match=match) as error:
        oracle(X)
    assert seen == [f"Bearer {TOKEN}"]
    shown = f"{error.value} {error.value.__cause__!r} {target!r} {target.settings!r} {target.settings.public()} {vars(target)}"
    assert TOKEN not in shown and TOKEN[:6] not in shown
    assert part_of(error.value) == ([], None, [], 1) and oracle.failed == 1, "the others were never sent"


class Moody:
    """Answers each image as told, the n-th time that it comes: a status, or an error of the connection."""

    def __init__(self, *moods: Any, only: int | None = None) -> None:
        self.moods, self.only, self.count, self.seen = moods, only, {}, []  # type: ignore[var-annotated]
        self.lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        which = int(read(request).reshape(-1)[0])
        with self.lock:
            n = self.count[which] = self.count.get(which, -1) + 1
            self.seen.append(which)
        mood = self.moods[n] if n < len(self.moods) and self.only in (None, which) else 200
        if isinstance(mood, type):
            raise mood("of course")
        return httpx.Response(mood, headers={"Retry-After": "0"}) if mood != 200 else good(request)


def test_each_row_is_sent_again_by_itself() -> None:
    moody = Moody(500, httpx.ReadError, 429, httpx.ReadTimeout, 503)
    target = rest(moody)
    torch.testing.assert_close(target.predict(X[:3]).scores, shares(X[:3]).float())
    assert list(moody.count.values()) == [5] * 3
    assert target.retried == 15 and target.doubtful == 9, "500, the cut and the timeout may have been charged; 429 and 503 were not"


@pytest.mark.parametrize(
    ("mood", "kind", "match"),
    [
        (500, ConnectionError, r"500 .*sent 3 times \(retries = 2\)"),
        (httpx.ReadError, ConnectionError, "connection broke: of course.*3 times"),
        (httpx.ReadTimeout, TimeoutError, r"within 30 s \(read\), 60 s in all"),
        (429, ConnectionError, r"429 .*went on for 0\.2 s \(patience\).*rate, concurrency"),
        (400, ValueError, "400 Bad Request"),
    ],
)
def test_the_rows_answered_before_a_failure_come_with_it(mood: Any, kind: type[Exception], match: str) -> None:
    bad = int((255 * X[4]).round().reshape(-1)[0])
    moody = Moody(*[mood] * 99, only=bad)
    target = rest(moody, retries=2, patience=0.2, concurrency=1)
    with pytest.raises(kind, match=match) as error:
        target.predict(X)
    part = part_of(error.value)
    assert part is not None and part.rows == [0, 1, 2, 3] and "row 4 of a call with 7" in str(error.value)
    torch.testing.assert_close(part.answer.scores, shares(X[:4]).float())
    assert part.doubtful == ([] if mood in (400, 429) else [4]), "the rows after it were not sent"


def test_one_bad_answer_of_a_request_costs_the_others_nothing() -> None:
    said = {"all": [listed(P), {"error": "unreadable"}, listed(P)]}
    with pytest.raises(ValueError, match="row 1 of a call with 3") as error:
        rest(said, each="all", rows_per_request=3, body=["$image"]).predict(X[:3])
    part = part_of(error.value)
    assert part is not None and (part.rows, part.doubtful) == ([0, 2], [1])


def test_retrying_asks_again_only_what_was_not_answered() -> None:
    bad = int((255 * X[4]).round().reshape(-1)[0])
    moody = Moody(500, 500, 500, only=bad)
    target = Retrying(rest(moody, retries=0, concurrency=2), tries=5, wait=0)
    torch.testing.assert_close(target.predict(X).scores, shares(X).float())
    assert len(moody.seen) == len(X) + 3 == len(X) + target.retried
    with pytest.raises(ConnectionError) as error:
        Retrying(rest(Moody(500, 500, 500, only=bad), retries=0, concurrency=1), tries=3, wait=0).predict(X)
    part = part_of(error.value)
    assert part is not None and (part.rows, part.doubtful, part.sent) == ([0, 1, 2, 3], [4], 5)


def test_a_service_that_asks_for_an_hour_is_not_waited_for() -> None:
    target = rest(lambda r: httpx.Response(429, headers={"Retry-After": "3600"}))
    with pytest.raises(ConnectionError, match="asks to wait 3,600 s, more than patience = 300"):
        target.predict(X)


def test_a_service_that_never_answered_is_not_tried_for_long() -> None:
    tries: list[int] = []

    def nobody(request: httpx.Request) -> httpx.Response:
        tries.append(1)
        raise httpx.ConnectError("refused")

    with pytest.raises(ValueError, match=r"connection failed: refused\. Is it running"):
        rest(nobody, concurrency=1).predict(X)
    assert len(tries) == 1


def test_keys_go_with_each_row_and_stay_the_same() -> None:
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        return httpx.Response(500) if keys.count(keys[-1]) == 1 else good(request)

    target = rest(answer, key_header="Idempotency-Key", concurrency=1)
    assert target.keyed and not rest(good).keyed
    target.predict(X[:2], keys=["a", "b"])
    assert keys == ["a", "a", "b", "b"]
    target.predict(X[:2])
    assert len(set(keys)) == 4


# -- how fast ----------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


def test_requests_are_spaced_and_held_back() -> None:
    clock, sent = Clock(), []
    pace = Pace(10.0, clock)
    for i in range(5):
        if i == 3:
            pace.hold(2.0)
        pace.wait(clock.wait)
        sent.append(round(clock.now - 100, 6))
    assert sent == [0, 0.1, 0.2, 2.2, 2.3]
    assert rest(good, rate="600/min")._sender.pace._gap == pytest.approx(0.1)


@pytest.mark.parametrize("rate", [None, 250.0, 18.0])
def test_a_pace_is_learned_from_refusals(rate: float | None) -> None:
    """A service of 20 requests a second, asked over four connections, answers most of them; where all came back together after
    each refusal, one a second was answered."""
    clock, refused, answered, token = Clock(), 0, 0, 0.0
    pace, begin = Pace(rate, clock), clock.now
    due = [clock.now] * 4  # when each connection is ready
    while answered < 200:
        which = min(range(4), key=lambda i: due[i])
        clock.now = max(clock.now, due[which])
        since = pace.wait(clock.wait)
        due[which] = clock.now + 0.005
        if clock.now >= token:
            token, answered = max(token, clock.now - 1e-6) + 1 / 20, answered + 1
        else:
            refused += 1
            pace.hold(1.0, since)
    assert answered / (clock.now - begin) > 9
    if rate == 18.0:
        assert refused == 0 and pace.learned is None
    else:
        assert refused < 10 and pace.learned is not None and 9 < pace.learned < 20


def test_a_busy_service_is_told_apart_from_calls_that_failed() -> None:
    target = rest(Moody(500, 429))
    oracle = bb.Oracle(Retrying(target), classes=3)
    result = bb.attack(oracle, X[:2], torch.tensor([1, 1]), "square", bb.Linf(0.1), 4)
    assert oracle.told_busy[0] == target.retried // 2 == (n := len(target._sender._transport.handler.count)) > 1
    text = result.summary()
    assert f"retried          {n} images were sent again after a call failed, and charged once" in text
    assert f"busy             the service said so {n} times (429 or 503): waited, and not charged; to ask no" in text
    assert result.config["busy"]["rows"] == n and f"+ {n} sent again after the service was busy" in text


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT", "Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT"}, 0),
        ({"Retry-After": "-3"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_to_wait(headers) == seconds


# -- settings ----------------------------------------------------------------------------------------------------

WRONG = {
    "a typo": ({"concurency": 3}, "concurency: no such setting. Did you mean 'concurrency'"),
    "no path": ({"words": None, "scores": None, "label": None}, r"path to the answer.*predictions\[\*\]\.label"),
    "words alone": ({"scores": None, "label": "top"}, "Expected scores with words"),
    "a path that is none": ({"scores": "a[*"}, r"scores to be a JMESPath"),
    "two classes of a name": ({"classes": ["a", "b", "a"]}, "'a' is there twice"),
    "no image": ({"body": {"a": 1}}, r"\$image somewhere in body"),
    "no list": ({"body": {"a": "$image"}, "rows_per_request": 2, "each": "r"}, r"list around \$image"),
    "no each": ({"body": ["$image"], "rows_per_request": 2}, "Expected each"),
    "a key for two": ({"body": ["$image"], "rows_per_request": 2, "each": "r", "key_header": "K"}, "a key stands for one image"),
    "a rate": ({"rate": "ten"}, "rate such as 10/s"),
    "top of logits": ({"top": 2, "returns": "logits"}, "a missing logit"),
    "a variable that is not set": ({"headers": {"X": "${NO_SUCH_1}"}}, "environment variable NO_SUCH_1.*export NO_SUCH_1"),
    "a value that no header has": ({"headers": {"X": f"{TOKEN}\n"}}, "printable ASCII"),
    "a header that is no text": ({"headers": {"X": [TOKEN]}}, "valid string"),
    "raw numbers": ({"encode": "array", "send": "raw"}, 'send = "json" with encode = "array"'),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_settings_that_cannot_be(what: str) -> None:
    settings, match = WRONG[what]
    with pytest.raises(ValueError, match=match) as error:
        Rest(URL, **{"classes": NAMES, **LISTED, **settings})
    assert TOKEN not in f"{error.value!r}"


@pytest.mark.parametrize("text", ['classes = "a, b, a"', 'classes = "a, b"\nrate = "ten"', "classes = ["])
def test_a_file_that_cannot_be_is_the_users_to_mend(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A single fault was reported as unexpected, as if the machine had failed."""
    from blackbox.cli import explain

    path = tmp_path / "my.toml"
    path.write_text(f'url = "{URL}"\nlabel = "class"\n{text}\n')
    with pytest.raises(ValueError, match="my.toml") as error:
        Rest.load(path)
    assert explain(error.value) == 2 and capsys.readouterr().err.startswith("Expected")


def test_only_this_machine_unless_it_is_said() -> None:
    with pytest.raises(ValueError, match=r"on this machine.*own_endpoint=True"):
        Rest("https://api.example.com/v1", classes=NAMES, **LISTED)
    Rest("https://api.example.com/v1", own_endpoint=True, classes=NAMES, **LISTED)
    with pytest.raises(ValueError, match="query"):
        Rest(URL + "?v=2", classes=NAMES, **LISTED)


def test_images_that_are_no_pictures() -> None:
    with pytest.raises(ValueError, match=r'1 or 3 channels.*5×4×4.*encode = "array"'):
        rest(good).predict(torch.rand(1, 5, 4, 4))
    with pytest.raises(ValueError, match="takes, but they were 1×4×4"):
        rest(good, shape=(1, 8, 8)).predict(X)


def test_by_default_an_attack_sees_what_the_service_shows() -> None:
    from blackbox.specs.channels import shown

    best, words = rest(good, top=2), rest(good, label="class")
    assert [shown(each, "scores") for each in (best, Retrying(best), words, rest(good), len)] == [
        "topk:2", "topk:2", "labels", "scores", "scores",
    ]  # fmt: skip
    assert shown(best, "labels") == "labels"


def test_a_service_that_shows_less_is_not_asked_for_its_words() -> None:
    model = Model("m", "rest:m.toml", rest(good, top=2), words=NAMES)
    with pytest.raises(bb.AccessError, match=r"but it was scores\. \(On the command line: --access, or --levels, topk:2\.\)"):
        specs.oracle(model, "scores", 3)


def test_a_study_knows_when_the_file_changes(tmp_path: Path) -> None:
    from blackbox.specs.model import file_print

    file = tmp_path / "service.toml"
    file.write_text(f'url = "{URL}"')
    spec = f"rest:{file}"
    first = file_print(spec)
    assert first == file_print(spec) != file_print(f"{spec}#rate=3")
    file.write_text(f'url = "{URL}/2"')
    assert file_print(spec) != first
    with pytest.raises(FileNotFoundError, match=r"no file .*none\.toml"):
        file_print("rest:none.toml")


class TestRejected:
    """A service that refuses single images an answer."""

    def test_by_a_path_or_by_the_status_of_the_request(self) -> None:
        def answers(request: httpx.Request) -> httpx.Response:
            p = known(read(request))
            return httpx.Response(403 if p[0] > 0.4 else 200, json={"blocked": bool(p[0] < 0.3), **listed(p)})

        target = rest(answers, rejected="blocked", rejected_status=[403], **LISTED)
        reply = bb.Oracle(target, "scores", 3)(X)
        first = shares(X)[:, 0]
        assert reply.rejected is not None and torch.equal(reply.rejected, (first > 0.4) | (first < 0.3)) and reply.rejected.any()
        assert torch.allclose(reply.probabilities()[~reply.rejected], shares(X)[~reply.rejected].float(), atol=1e-5)
        with pytest.raises(ValueError, match="Expected rejected_status with one image a request"):
            rest(answers, rejected_status=[403], rows_per_request=2, **LISTED)
