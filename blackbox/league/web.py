"""The league over HTTP: JSON by POST, on the machinery of `blackbox.serving`. Images travel as 8-bit entries in base64."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from blackbox.league.account import answers
from blackbox.league.host import Host
from blackbox.serving import Handler, Refused, Server
from blackbox.targets import wire
from blackbox.targets.rows import written

PREFIX = "/league/1"
_MOST = 1 << 20  # bytes of a request besides its images
_FIELDS: dict[str, dict[str, Any]] = {
    "enter": {"player": str, "token": str, "scenario": str, "attack": str, "source": str, "parameters": str},
    "open": {"player": str, "token": str, "scenario": str, "attack": str, "target": str, "seed": int},
    "images": {"session": int, "player": str, "token": str},
    "ask": {"session": int, "player": str, "token": str, "images": str, "ids": list, "places": list},
    "close": {"session": int, "player": str, "token": str, "stopped": str | None},
    "journal": {"session": int, "player": str, "token": str},
}  # fmt: skip


class Service:
    """A host as `blackbox.serving.Server` takes one. most: bytes of a request."""

    def __init__(self, host: Host) -> None:
        self.host = host
        sizes = [targets.material.levels[0].nbytes for targets in host.targets.values()]
        self.most = _MOST + 2 * host.max_rows * max(sizes)


class LeagueHandler(Handler):
    """Answers the requests of players."""

    def gets(self) -> dict[str, Any]:
        return {f"{PREFIX}/info": self.server.service.host.info}

    def posts(self) -> dict[str, Any]:
        return {f"{PREFIX}/{verb}": self._verb(verb) for verb in _FIELDS}

    def _verb(self, verb: str) -> Callable[[], Any]:
        def run() -> Any:
            given = self._given(_FIELDS[verb])
            return getattr(self, f"_{verb}", lambda host, **values: getattr(host, verb)(**values))(self.server.service.host, **given)

        return run

    def _given(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of the request's body."""
        body, _ = self.body(wire.JSON)
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            raise Refused(400, f"Expected JSON, but it was {wire.start(body)}.") from None
        if not isinstance(said, dict) or said.keys() != fields.keys():
            raise Refused(400, f"Expected the fields {', '.join(fields)}, but it was {wire.start(body)}.")
        for name, kind in fields.items():
            if not isinstance(said[name], kind) or isinstance(said[name], bool):
                raise Refused(400, f"Expected {name} as {getattr(kind, '__name__', kind)}, but it was {said[name]!r:.80}.")
            if isinstance(said[name], str) and any("\ud800" <= letter <= "\udfff" for letter in said[name]):
                raise Refused(400, f"Expected {name} as text, but it was {said[name]!a:.80}, half a pair of UTF-16.")
        return said

    def _images(self, host: Host, **who: Any) -> dict[str, Any]:
        levels = host.images(**who)
        return {"shape": list(levels.shape), "dtype": levels.dtype.str, "images": base64.b64encode(levels.tobytes()).decode()}

    def _ask(self, host: Host, images: str, ids: list[Any], places: list[Any], **who: Any) -> dict[str, Any]:
        if not all(type(v) is int and v >= 0 for v in (*ids, *places)):
            raise Refused(400, "Expected ids and places as whole numbers from 0, but there were others.")
        like = host.images(**who)
        try:
            rows = np.frombuffer(base64.b64decode(images, validate=True), like.dtype).reshape(len(ids), *like.shape[1:])
        except ValueError:
            raise Refused(400, f"Expected {len(ids)} images of {like[0].nbytes} bytes in base64, but there were others.") from None
        said = answers(host.ask(images=rows, ids=ids, places=places, **who))
        return {
            **said, "scores": None if said["scores"] is None else base64.b64encode(said["scores"].tobytes()).decode(),
            "answers": None if said["answers"] is None else [*map(written, said["answers"])],
        }  # fmt: skip

    def _close(self, host: Host, **given: Any) -> dict[str, Any]:
        return host.close(**given).model_dump()


def server(host: Host, address: str = "127.0.0.1", port: int = 0) -> Server:
    """A server for a host, on a free port where ``port`` is 0. Raises: OSError, the port is taken."""
    return Server(Service(host), address, port, LeagueHandler)
