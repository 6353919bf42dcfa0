"""`Rest`: a JSON service as a target."""

from __future__ import annotations

import concurrent.futures
import os
import threading
import uuid
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from blackbox.protocol import Access
from blackbox.targets.answer import Answer, Part
from blackbox.targets.batches import check_shape
from blackbox.targets.info import Described, TargetInfo
from blackbox.targets.rejections import spread
from blackbox.targets.rest.body import Writer
from blackbox.targets.rest.pace import Stopped
from blackbox.targets.rest.reader import Reader, Row
from blackbox.targets.rest.sender import Failure, Sender
from blackbox.targets.rest.settings import Settings

_PATIENCE = 2.0  # seconds for answers that are under way when the user stops a run


class Rest(Described):
    """Queries a JSON service of your own, as its settings say; the example is in docs/how-to/json-service.md.

    Requests go out over several connections at once, and answers come back in the order of the images. A row that fails on
    the way is sent again by itself. Where a call fails for good, its error carries what was answered until then
    (`blackbox.targets.answer.Part`), which a journal keeps: it is not asked, nor paid, again.

    Images that are sent as PNG, JPEG or uint8 are rounded to multiples of 1/255, as behind `EightBit`; ``probe`` says so, so
    that attacks step over the grid.

    Args:
        url: of the service.
        own_endpoint: the endpoint is yours, or you were asked to test it. Without it, only this machine is allowed.
        transport: an httpx transport instead of the usual one, for tests, client certificates, a proxy of your own.
        settings: of `blackbox.targets.rest.Settings`.

    Attributes:
        settings: all of them; headers are not shown.
        retried: rows that were sent again. doubtful: those of them that the service may have charged before. told_busy: those of
            them that it was too busy for, and the requests a second at which it was not, if that was found out.

    Raises:
        ValueError: settings that cannot be, a variable of the environment that is not set, an endpoint elsewhere.
        ModuleNotFoundError: httpx or jmespath is not installed.
    """

    def __init__(self, url: str, *, own_endpoint: bool = False, transport: Any = None, **settings: Any) -> None:
        self._set_up(Settings(url=url, **settings), own_endpoint, transport)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, own_endpoint: bool = False, **settings: Any) -> Self:
        """Make a target from a TOML file; ``settings`` replace what it says.

        Raises:
            FileNotFoundError: no such file. ValueError: as above.
        """
        return cls.of(Settings.load(path, **settings), own_endpoint=own_endpoint)

    @classmethod
    def of(cls, settings: Settings, *, own_endpoint: bool = False, transport: Any = None) -> Self:
        """Make a target from its settings."""
        made = cls.__new__(cls)
        made._set_up(settings, own_endpoint, transport)
        return made

    def _set_up(self, settings: Settings, own_endpoint: bool, transport: Any) -> None:
        self.settings = s = settings
        self._writer, self._reader = Writer(s), Reader(s)
        self._sender = Sender(s, own_endpoint, self._writer.example(), transport)
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None
        self.device = torch.device("cpu")
        shows = self._reader.shows
        self.info = TargetInfo(
            name=s.name or s.url.split("://", 1)[-1],
            returns="labels" if shows is Access.LABELS else "logits" if s.returns == "logits" else "probabilities",
            classes=len(s.classes),
            shows=shows,
            k=s.top if shows is Access.TOPK else None,
            shape=s.shape,
            max_rows=s.max_rows or 8 * s.concurrency * s.rows_per_request,
            probe=1 / 255 if s.eight_bit else 0.0,
            resolution=0.0 if s.decimals is None else 10.0 ** -(s.decimals + 2 * (s.returns == "percent")),
            noise=s.noise,
            randomised=s.randomised or s.noise > 0,
            keyed=self._writer.keyed,
        )

    def __repr__(self) -> str:
        return f"Rest({self.settings.url!r}, shows={self.info.shows.name.lower() if self.info.shows else None})"

    @property
    def retried(self) -> int:
        return self._sender.again

    @property
    def told_busy(self) -> tuple[int, float | None]:
        return self._sender.busy, self._sender.pace.learned

    @property
    def doubtful(self) -> int:
        return self._sender.doubtful

    def predict(self, x: Tensor, keys: list[str] | None = None) -> Any:
        """Answer images [m, \\*shape].

        Args:
            keys: idempotency keys, one for each row; made up where the service takes some and there are none.

        Raises:
            ValueError: refused, or an answer that cannot be read. ConnectionError, TimeoutError: failed too often on the way.
                Each says the row, and has ``part``, what was answered until then.
        """
        check_shape(x, self.shape, self.name)
        if not len(x):
            return self._answer([])
        if self.keyed and keys is None:
            made = uuid.uuid4().hex[:24]
            keys = [f"{made}-{i}" for i in range(len(x))]
        images = self._writer.rows(x.to(torch.float32))
        call = _Call(images, keys if self.keyed else None, self.settings.rows_per_request)
        self._carry_out(call)
        if call.errors:
            raise self._failed(call)
        return self._answer([row for row in call.rows if row is not None])

    def _carry_out(self, call: _Call) -> None:
        """Have the threads send the call's requests until all are answered or one has failed for good."""
        threads = min(self.settings.concurrency, call.requests)
        if threads == 1:
            self._work(call)
            return
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(self.settings.concurrency, "rest")
        under_way: list[concurrent.futures.Future[None]] = []
        try:
            for _ in range(threads):  # the first may be answered, and Ctrl-C come, before the last is started
                under_way.append(self._pool.submit(self._work, call))
            concurrent.futures.wait(under_way)
        except BaseException as error:  # Ctrl-C
            call.stop.set()
            concurrent.futures.wait(under_way, _PATIENCE)
            call.errors[-1] = error

    def _work(self, call: _Call) -> None:
        """Send one request after the other."""
        for at in call.next():
            try:
                self._request(call, at)
            except Stopped:  # another request has failed
                return
            except BaseException as error:
                call.errors[at[0]] = error
                call.stop.set()

    def _request(self, call: _Call, at: range) -> None:
        """Send the images at these rows and read their answers.

        Raises:
            Failure, ValueError: no answer, or one that cannot be read; the others of the request are kept.
        """
        keys = None if call.keys is None else call.keys[at.start : at.stop]
        body = self._writer.write(call.images[at.start : at.stop], keys)
        call.doubtful.update(at)
        call.sent.update(at)
        try:
            said = self._sender.send(body, len(at), keys[0] if keys else None, call.stop.wait)
        except (Failure, Stopped) as error:
            if not error.doubtful:
                call.doubtful.difference_update(at)
            if isinstance(error, Stopped) and not error.sent:
                call.sent.difference_update(at)
            raise
        for i, answer in zip(at, self._reader.several(said, len(at)), strict=True):
            try:
                call.rows[i] = self._reader.row(answer)
                call.doubtful.discard(i)
            except ValueError as error:  # the other rows of the request are read nevertheless
                call.errors[i] = error
                call.stop.set()

    def _failed(self, call: _Call) -> BaseException:
        """The error of a call, that of its first row, with what was answered nevertheless."""
        row = min(call.errors)
        error = made = call.errors[row]
        if isinstance(error, (Failure, ValueError)):
            kind: type[Exception] = ValueError
            if isinstance(error, Failure) and error.again:
                kind = TimeoutError if error.late else ConnectionError
            made = kind(self._sender.clean(f"{error} It was row {row} of a call with {len(call.rows)} images."))
            made.row = row  # type: ignore[attr-defined]
        answered = [i for i, found in enumerate(call.rows) if found is not None]
        answer = self._answer([found for found in call.rows if found is not None]) if answered else None
        made.part = Part(answered, answer, sorted(call.doubtful), len(call.sent))  # type: ignore[attr-defined]
        return made

    def _answer(self, rows: list[Row]) -> Any:
        if self._reader.rejects:
            rejected = torch.tensor([row.rejected for row in rows], dtype=torch.bool)
            answered = [row for row in rows if not row.rejected]
            return spread(self._answered(answered) if answered else None, rejected)
        return self._answered(rows)

    def _answered(self, rows: list[Row]) -> Any:
        labels = torch.tensor([row.label for row in rows], dtype=torch.int64)
        if self._reader.shows is Access.LABELS:
            return labels
        scores = [row.scores for row in rows if row.scores is not None]
        shape = (0, len(self.settings.classes))
        return Answer(labels, torch.from_numpy(np.stack(scores) if scores else np.empty(shape, np.float32)))


class _Call:
    """One call under way, shared by the threads that carry it out.

    rows: what was answered. errors: by row; -1 for one of no row. doubtful: rows without an answer that may have been charged.
    sent: rows that were sent at least once.
    """

    def __init__(self, images: list[np.ndarray], keys: list[str] | None, size: int) -> None:
        self.images, self.keys, self.size = images, keys, size
        self.requests = -(-len(images) // size)
        self.rows: list[Row | None] = [None] * len(images)
        self.errors: dict[int, BaseException] = {}
        self.doubtful: set[int] = set()
        self.sent: set[int] = set()
        self.stop = threading.Event()
        self._at, self._lock = 0, threading.Lock()

    def next(self) -> Iterator[range]:
        """Give out the rows of a request after the other, to whichever thread is free."""
        while True:
            with self._lock:
                start = self._at
                self._at += self.size
            if start >= len(self.images) or self.stop.is_set():
                return
            yield range(start, min(start + self.size, len(self.images)))
