"""The league's server over HTTP: killed at random it loses nothing that it answered; eight attackers play at once; faults are sentences."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blackbox.league.client import Away, Player
from blackbox.league.entry import Entry
from blackbox.league.play import Attempt, play
from blackbox.league.web import server
from tests.league_ground import Ground
from tests.served_nets import running

KILLS = int(os.environ.get("LEAGUE_KILLS", "12"))
"""How often the server is killed."""
ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Killed:
    """A server in a process of its own that is killed and begun again until the context ends."""

    def __init__(self, ground: Ground, port: int) -> None:
        self.ground, self.port, self.kills, self.stop = ground, port, 0, threading.Event()

    def begin(self) -> int:
        child = os.fork()
        if child == 0:
            try:
                torch.set_num_threads(1)
                server(self.ground.begin(), port=self.port).serve_forever(poll_interval=0.01)
            finally:
                os._exit(1)
        return child

    def listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    @contextlib.contextmanager
    def running(self, seed: int) -> Iterator[None]:
        """Kill it a random time after it began to listen, again and again."""
        draw = random.Random(seed)

        def loop() -> None:
            child = self.begin()
            while not self.stop.wait(draw.uniform(0.0, 0.4)):
                if self.kills < KILLS and self.listens():
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    self.kills += 1
                    child = self.begin()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield
        finally:
            self.stop.set()
            thread.join()


class Heard(Player):
    """A player that keeps what it was answered."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(url, name, patience=120)
        self.heard: dict[tuple[int, int, int], tuple[int, bytes]] = {}

    def ask(self, session: int, images: np.ndarray, ids: list[int], places: list[int]) -> dict[str, Any]:
        time.sleep(0.02)  # that there is time to be killed in
        said = super().ask(session, images, ids, places)
        for i, key in enumerate(zip([session] * len(ids), ids, places, strict=True)):
            answer = said["labels"][i], said["scores"][i].tobytes()
            assert self.heard.setdefault(key, answer) == answer
        return said


def test_accounts_agree_with_what_was_answered_however_often_the_server_is_killed(tmp_path: Path) -> None:
    ground = Ground(tmp_path, budget=60, more='defences = ["blacklight:window=3,threshold=3,kept=6"]')
    refused, rounds = [], 0
    port = free_port()
    kills = 0
    while kills < KILLS:
        ground.only(rounds)
        killed, player = Killed(ground, port), Heard(f"http://127.0.0.1:{port}", f"p{rounds}")
        with killed.running(rounds):
            play(Attempt("square"), str(ground.scenario), player, tmp_path / f"e{rounds}", str(tmp_path))  # type: ignore[arg-type]
        kills += killed.kills
        ground.host = ground.begin()
        verdict = ground.verify(tmp_path / f"e{rounds}", book=True)
        refused += verdict.refusals
        (session,) = Entry.read(tmp_path / f"e{rounds}").sessions
        assert len(player.heard) == sum(image.queries for image in session.images)  # no more, no fewer
        rounds += 1
        assert killed.kills > 0
    assert refused == []


def test_eight_attackers_at_once(tmp_path: Path) -> None:
    ground = Ground(tmp_path, more='defences = ["blacklight:window=3,threshold=3,kept=6"]')
    names = ("square", "noise", "simba", "nes", "signhunter", "square", "spsa", "rays")
    faults: list[BaseException] = []

    def go(number: int, name: str, url: str) -> None:
        try:
            play(Attempt(name), str(ground.scenario), Player(url, f"p{number}"), tmp_path / f"e{number}", str(tmp_path))
        except BaseException as error:
            faults.append(error)

    with running(server(ground.host)) as serving:
        threads = [threading.Thread(target=go, args=(i, name, serving.url)) for i, name in enumerate(names)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert faults == []
    assert [ground.verify(tmp_path / f"e{i}", book=True).refusals for i in range(8)] == [[]] * 8
    asked = [sum(row.image.queries for row in Entry.read(tmp_path / f"e{i}").rows()) for i in range(8)]
    assert sum(asked) == ground.host.answered


def test_a_server_that_goes_away_loses_nothing(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    with running(server(ground.host)) as serving:
        player = Player(serving.url, "me", patience=0.1)
        calls: list[int] = []
        ask = player.ask

        def leaving(*given: Any) -> Any:
            calls.append(1)
            if len(calls) == 4:
                serving.shutdown()
                serving.server_close()
                player._http.close()
                import httpx

                player._http = httpx.Client(trust_env=False)
            return ask(*given)

        player.ask = leaving  # type: ignore[method-assign]
        with pytest.raises(Away, match="What it answered before is in its book"):
            play(Attempt("square"), str(ground.scenario), player, tmp_path / "entry", str(tmp_path))
    paid = ground.host.answered
    assert paid > 0 and (tmp_path / "entry" / "open-0" / "partial" / "outcomes.csv").is_file()
    ground.host = ground.begin()
    with running(server(ground.host)) as serving:
        play(Attempt("square"), str(ground.scenario), Player(serving.url, "me"), tmp_path / "entry", str(tmp_path))
    assert ground.verify(tmp_path / "entry", book=True).refusals == []
    entry = Entry.read(tmp_path / "entry")
    assert paid + ground.host.answered == sum(row.image.queries for row in entry.rows())


def test_faults_are_sentences(tmp_path: Path) -> None:
    import httpx

    ground = Ground(tmp_path)
    with running(server(ground.host)) as serving:
        url = f"{serving.url}/league/1"
        for verb, body, status in (
            ("nothing", {}, 404), ("enter", {"player": "me"}, 400),
            ("close", {"session": "1", "player": "a", "token": "", "stopped": None}, 400),
            ("images", {"session": 5, "player": "a", "token": ""}, 404),
            ("ask", {"session": 1, "player": "a", "token": "", "images": "!", "ids": [-1], "places": [0]}, 400),
        ):  # fmt: skip
            answer = httpx.post(f"{url}/{verb}", json=body)
            assert answer.status_code == status and answer.json()["error"].startswith("Expected"), answer.text
        for content in (b"{", rb'{"session": 1, "player": "a", "token": "\ud800"}'):
            answer = httpx.post(f"{url}/images", content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == 400 and answer.json()["error"].startswith("Expected"), answer.text
    with running(server(ground.host)) as serving, pytest.raises(ValueError, match="Expected a server that plays tiny as"):
        (tmp_path / "other.toml").write_text(ground.scenario.read_text() + "\n")
        play(Attempt("square"), str(tmp_path / "other.toml"), Player(serving.url, "me"), tmp_path / "x", str(tmp_path))


def test_from_the_command_line(tmp_path: Path) -> None:
    """Keys, serve, run, verify: as the how-to has it, in processes of their own."""
    Ground(tmp_path)

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    verb = [sys.executable, "-m", "blackbox", "league"]

    def go(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*verb, *words], capture_output=True, text=True, cwd=tmp_path, env=environment)

    command = [*verb, "serve", "--scenario", "tiny.toml", "--key", "keys/league.key", "--port", "0"]
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment)
    try:
        assert serving.stdout is not None
        url = serving.stdout.readline().split()[-1]
        played = go("run", "square", "--scenario", "tiny.toml", "--server", url, "--out", "entry")
        assert played.returncode == 0 and "open, seed 0:" in played.stdout, played.stderr
        shutil.copytree(tmp_path / "entry", tmp_path / "edited")
        (tmp_path / "edited" / "open-0" / "journal.jsonl").write_text("")
        verified = go("verify", "entry", "edited", "--key", "keys/league.pub", "--server-journal", "league.sqlite", "--again")
        assert verified.stdout.startswith("taken            entry"), verified.stderr
        assert verified.returncode == 4 and "edited is refused:" in verified.stderr and "Traceback" not in verified.stderr
    finally:
        serving.send_signal(signal.SIGINT)
        serving.wait()
