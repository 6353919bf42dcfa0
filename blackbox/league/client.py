"""`Player`: a player's side of the server. A call that the server did not answer is made again, and is not charged twice."""

from __future__ import annotations

import base64
import time
from typing import Any, Protocol

import numpy as np

from blackbox.league.web import PREFIX
from blackbox.targets.address import address
from blackbox.targets.rows import read

__all__ = ["Away", "Host", "LeagueError", "Over", "Player", "past"]

_AGAIN = (502, 503, 504)


class LeagueError(RuntimeError):
    """The server refused, and says why; nothing was charged."""


class Over(LeagueError):
    """The server answers no more about some images, as the tariff says. over: of each of them, by its id, how many questions it has
    answered; those of the call that came before are among them, and are answered again, uncharged, when they are asked again."""

    def __init__(self, message: str, over: dict[int, int]) -> None:
        super().__init__(message)
        self.over = over


def past(over: dict[int, int], ids: list[int], places: list[int]) -> list[int]:
    """Which questions, about the samples ``ids``, come after the last that is answered, as `Over` has it: their indices."""
    return [i for i, (sample, at) in enumerate(zip(ids, places, strict=True)) if at >= over.get(sample, at + 1)]


class Away(ConnectionError):
    """The server has gone away. What it answered is in its book, and the same command goes on."""


class Host(Protocol):
    """Who answers a player: a server, or a journal that is played again."""

    def ask(self, session: int, images: np.ndarray, ids: list[int], places: list[int]) -> dict[str, Any]:
        """Labels, scores, answers of another form, and rejections of images about the samples ``ids``. Raises: Over."""


class Player:
    """A player at a server.

    Args:
        url: of the server. name, token: of the player. own_endpoint: it is on another machine, and the player may use it.
        patience: seconds for which a server that is away is waited for. timeout: of one request.
    """

    def __init__(
        self, url: str, name: str, token: str = "", own_endpoint: bool = False, patience: float = 30.0, timeout: float = 120.0
    ) -> None:
        import httpx

        address(url, own_endpoint)
        self.url, self.who, self.patience = url.rstrip("/"), {"player": name, "token": token}, patience
        self._http = httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False)

    def info(self) -> dict[str, Any]:
        """What the server plays."""
        return self._send("GET", "info", None)

    def enter(self, scenario: str, attack: str, source: str, parameters: str) -> None:
        """Give the hash of the attack's source."""
        self._post("enter", scenario=scenario, attack=attack, source=source, parameters=parameters)

    def open(self, scenario: str, attack: str, target: str, seed: int) -> dict[str, Any]:
        """Open a session, or go on with it."""
        return self._post("open", scenario=scenario, attack=attack, target=target, seed=seed)

    def images(self, session: int) -> np.ndarray:
        """The clean images, [N, \\*shape] uint8, or rows of a table, [N, d] float64."""
        said = self._post("images", session=session)
        return np.frombuffer(base64.b64decode(said["images"]), np.dtype(said["dtype"])).reshape(said["shape"]).copy()

    def ask(self, session: int, images: np.ndarray, ids: list[int], places: list[int]) -> dict[str, Any]:
        """Ask about images [m, \\*shape] uint8, or rows [m, d] float64."""
        said = self._post(
            "ask", session=session, images=base64.b64encode(np.ascontiguousarray(images).tobytes()).decode(), ids=ids, places=places
        )
        if said["scores"] is not None:
            said["scores"] = np.frombuffer(base64.b64decode(said["scores"]), "<f4").reshape(len(ids), -1)
        said["answers"] = None if said["answers"] is None else [*map(read, said["answers"])]
        return said

    def close(self, session: int, stopped: str | None = None) -> dict[str, Any]:
        """End a session; the signed account."""
        return self._post("close", session=session, stopped=stopped)

    def journal(self, session: int) -> list[str]:
        """The lines of the session's journal."""
        lines: list[str] = self._post("journal", session=session)
        return lines

    def _post(self, verb: str, **values: Any) -> Any:
        return self._send("POST", verb, {**values, **self.who})

    def _send(self, method: str, verb: str, body: dict[str, Any] | None) -> Any:
        """Make a request, again for a while where the server is away."""
        import httpx

        until = time.monotonic() + self.patience
        while True:
            try:
                answer = self._http.request(method, f"{self.url}{PREFIX}/{verb}", json=body)
                if answer.status_code not in _AGAIN:
                    break
                said = f"it said {answer.status_code}"
            except httpx.HTTPError as error:
                said = str(error).strip() or type(error).__name__
            if time.monotonic() > until:
                raise Away(
                    f"Expected an answer of the league's server at {self.url}, but for {self.patience:g} s there was none: {said}. What it "
                    "answered before is in its book; the same command goes on from there."
                )
            time.sleep(0.2)
        try:
            found = answer.json()
            refused = None if answer.status_code == 200 else found["error"]
        except (ValueError, KeyError, TypeError):
            raise LeagueError(f"Expected {self.url} to be a league's server, but it answered {answer.text[:60]!r}.") from None
        if refused is not None and isinstance(over := found.get("over"), dict):
            raise Over(refused, {int(image): int(rows) for image, rows in over.items()})
        if refused is not None:
            raise LeagueError(refused)
        return found
