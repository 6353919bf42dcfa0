"""`Sender`: sends a request until it is answered, refused, or was tried often enough."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import time
from typing import Any
from urllib.parse import quote, urlsplit

from blackbox.targets.address import address
from blackbox.targets.rest.body import Body
from blackbox.targets.rest.pace import Pace, Stopped, Wait, asked_to_wait
from blackbox.targets.rest.reader import REJECTED
from blackbox.targets.rest.settings import Hidden, Settings, filled

_AGAIN = (408, 425, 500, 502, 503, 504)  # the same request may succeed later
_MOST = 16 << 20  # bytes of an answer
_LEAST = 0.1  # seconds to wait after a busy answer, even if it asks for none
_MEND = {
    400: "Sent was {sent}",
    401: "Is the token right? It comes from {token}.",
    403: "Is the token allowed to do this? It comes from {token}.",
    404: "Check the path of url.",
    405: "Check method.",
    413: 'Send less at once: fewer rows_per_request, smaller images, or encode = "jpeg".',
    415: "Check encode and send.",
    422: "Sent was {sent}",
}


class Failure(Exception):
    """A request that was not answered.

    again: it may succeed later. busy: the service asks to wait, and did not charge. after: the seconds that it asks for.
    doubtful: it may have been charged. late: it took too long.
    """

    def __init__(
        self, text: str, *, again: bool = False, busy: bool = False, after: float | None = None, doubtful: bool = False,
        late: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(text)
        self.again, self.busy, self.after, self.doubtful, self.late = again, busy, after, doubtful, late


class Sender:
    """Sends requests through a pool of connections that stay open.

    No proxy of the environment is used, no redirect followed, no cookie kept; certificates are checked. What is hidden
    (values of headers) is taken out of every text that an error shows.

    Args:
        own_endpoint: the endpoint is yours, or you were asked to test it. Without it, only this machine is allowed.
        sent: what a request looks like, for error messages.
        transport: an httpx transport instead of the usual one, for tests, client certificates, a proxy of your own.

    Attributes:
        where: the url, without its query.
        again: rows sent again after a failure. doubtful: those of them that the service may have charged before.
        busy: those of them that it was too busy for, and did not charge.
    """

    def __init__(self, settings: Settings, own_endpoint: bool, sent: str = "", transport: Any = None) -> None:
        self._httpx, self._s, self._sent = _httpx(), settings, sent
        secure, (host, port), _ = address(settings.url, own_endpoint)
        headers, hidden = filled(settings.headers, "the header")
        query, more = filled(settings.query, "the query's")
        self._hidden = _forms(hidden + more)
        self._headers = Hidden({"Accept": "application/json", "User-Agent": "blackbox", **headers})
        self._url = self._httpx.URL(
            scheme="https" if secure else "http", host=host, port=port, path=urlsplit(settings.url).path or "/", params=dict(query)
        )
        self.where = settings.url
        used = re.findall(r"\$\{(\w+)\}", " ".join([*settings.headers.values(), *settings.query.values()]))
        self._token = f"the environment variable {' or '.join(dict.fromkeys(used))}" if used else "headers"
        times = self._httpx.Timeout(min(settings.read, settings.total), connect=min(settings.connect, settings.total))
        self._how = {"timeout": times.as_dict()}
        most = settings.concurrency
        self._transport = transport or self._httpx.HTTPTransport(
            trust_env=False,
            limits=self._httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=60.0),
        )
        self.pace = Pace(settings.rate)
        self.again = self.doubtful = self.busy = 0
        self._met, self._lock = False, threading.Lock()

    def send(self, body: Body, rows: int, key: str | None, wait: Wait) -> Any:
        """Send a request with so many rows, as often as it takes, and return the answer's JSON.

        Args:
            wait: waits for seconds; true where the call has ended meanwhile.

        Raises:
            Failure: refused, or failed too often. Stopped: ``wait`` said so.
        """
        tries, pause, patience, doubtful = 0, self._s.wait, self._s.patience, False
        while True:
            try:
                since = self.pace.wait(wait)
                return self._once(body, key)
            except Failure as failure:
                delay = min(pause, self._s.longest) if failure.after is None else failure.after
                if failure.busy:
                    delay = max(delay, _LEAST)
                    patience -= delay
                else:
                    tries += 1
                charged = failure.doubtful  # of this try; the row's is that of any
                failure.doubtful = doubtful = doubtful or failure.doubtful
                if not failure.again or tries > self._s.retries or patience < 0:
                    raise self._in_the_end(failure, tries) from None
                pause *= self._s.factor
                with self._lock:
                    self.again += rows
                    self.doubtful += rows if charged else 0
                    self.busy += rows if failure.busy else 0
                if failure.busy:  # for the other threads too
                    self.pace.hold(delay, since)
                elif wait(delay):
                    raise Stopped(True, doubtful) from None
            except Stopped:
                raise Stopped(patience < self._s.patience or tries > 0, doubtful) from None

    def _in_the_end(self, failure: Failure, tries: int) -> Failure:
        """The failure that is shown, with how often it was tried and what to do."""
        text = str(failure)
        if failure.busy and failure.after is not None and failure.after > self._s.patience:
            text += f" It asks to wait {failure.after:,.0f} s, more than patience = {self._s.patience:g}. Give the same command again then."
        elif failure.busy:
            text += f" It went on for {self._s.patience:g} s (patience). Send fewer requests: rate, concurrency."
        elif failure.again and tries > 1:
            text += f" It was sent {tries} times (retries = {self._s.retries})."
        failure.args = (text,)
        return failure

    def _once(self, body: Body, key: str | None) -> Any:
        """Send the request once.

        Raises:
            Failure: there was no answer, or no JSON.
        """
        headers = {**self._headers, **body.headers}
        if key is not None and self._s.key_header is not None:
            headers[self._s.key_header] = key
        deadline = time.monotonic() + self._s.total
        try:
            request = self._httpx.Request(
                self._s.method, self._url, headers=headers, content=body.content, **body.parts, extensions=self._how
            )
            response = self._transport.handle_request(request)
            try:
                content = self._read(response, deadline)
            finally:
                response.close()
        except self._httpx.TransportError as error:
            raise self._broken(error) from None
        except self._httpx.DecodingError:
            raise Failure(f"Expected an answer from {self.where}, but it could not be unpacked.", doubtful=True) from None
        self._met = True
        if response.status_code in self._s.rejected_status:
            return REJECTED
        if not 200 <= response.status_code < 300:
            raise self._refused(response, content)
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            kind = response.headers.get("Content-Type", "something else").partition(";")[0]
            raise Failure(
                f"Expected JSON from {self.where}, but it answered {kind}: {self._shown(content)}. Is this the right url?",
                doubtful=True,
            ) from None

    def _read(self, response: Any, deadline: float) -> bytes:
        """Read the answer within the limits of time and size."""
        parts, size = [], 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > _MOST:
                raise Failure(f"Expected an answer of at most {_MOST:,} bytes from {self.where}, but it goes on.", doubtful=True)
            if time.monotonic() > deadline:
                raise self._httpx.ReadTimeout("")
        return b"".join(parts)

    def _broken(self, error: Exception) -> Failure:
        """The failure behind an error of the connection."""
        x, said = self._httpx, self.clean(str(error)) or type(error).__name__
        if isinstance(error, (x.ConnectTimeout, x.PoolTimeout)):
            text = f"Expected a connection to {self.where} within {self._s.connect:g} s (connect), but there was none."
            return Failure(text, again=True, late=True)
        if isinstance(error, x.TimeoutException):
            limits = f"{self._s.read:g} s (read), {self._s.total:g} s in all (total)"
            text = f"Expected an answer from {self.where} within {limits}, but there was none."
            return Failure(text, again=True, late=True, doubtful=True)
        if _behind(error, ssl.SSLError):
            return Failure(f"Expected a trusted connection to {self.where}, but: {said}.")
        if isinstance(error, x.ConnectError):
            text = f"Expected an answer from {self.where}, but the connection failed: {said}. Is it running?"
            return Failure(text, again=self._met)  # a service that never answered is not worth waiting for
        if isinstance(error, (x.LocalProtocolError, x.UnsupportedProtocol)):
            return Failure(f"Expected a request that can be sent to {self.where}, but: {said}.")
        return Failure(f"Expected an answer from {self.where}, but the connection broke: {said}.", again=True, doubtful=True)

    def _refused(self, response: Any, content: bytes) -> Failure:
        """The failure behind an answer that is none."""
        status = response.status_code
        text = f"Expected an answer from {self.where}, but it said {status} {response.reason_phrase}: {self._shown(content)}."
        after = asked_to_wait(response.headers)
        if status == 429 or (status == 503 and after is not None):
            return Failure(text, again=True, busy=True, after=after)
        if status in _AGAIN:
            return Failure(text, again=True, after=after, doubtful=status >= 500)
        if 300 <= status < 400:
            there = self.clean(response.headers.get("Location", "elsewhere"))
            return Failure(f"{text} It points to {there}. Redirects are not followed: give that url if it is yours.")
        mend = _MEND.get(status, "").format(token=self._token, sent=f"{self._sent}.")
        return Failure(f"{text} {mend}".strip(), doubtful=status >= 500)

    def _shown(self, content: bytes) -> str:
        """The service's own words: short, without secrets."""
        text = content[: 1 << 16].decode("utf-8", "replace")
        try:
            said = json.loads(content)
            for name in ("error", "message", "detail", "title"):
                if isinstance(said, dict) and said.get(name):
                    said = said[name]
            text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
        except (ValueError, RecursionError):
            text = re.sub(r"<[^>]*>", " ", text)
        text = " ".join(self.clean(text).split())
        return repr(text if len(text) <= 200 else f"{text[:200]} …") if text else "nothing"

    def clean(self, text: str) -> str:
        """``text`` without what is hidden."""
        for each in self._hidden:
            text = text.replace(each, "***")
        return "".join(letter if letter.isprintable() else " " for letter in text)


def _forms(secrets: list[str]) -> list[str]:
    """Secrets as a service may repeat them, the longest first."""
    forms = {f for s in secrets if s for f in (s, quote(s, ""), json.dumps(s)[1:-1], base64.b64encode(s.encode()).decode())}
    return sorted(forms, key=lambda form: (-len(form), form))


def _behind(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _httpx() -> Any:
    try:
        import httpx
    except ImportError:
        raise ModuleNotFoundError(
            "Expected httpx to be installed, which sends requests, but it is not. Install it: pip install -e '.[http]'",
            name="httpx",
        ) from None
    return httpx
