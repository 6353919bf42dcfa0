"""`Host`: the league's server without its network. It counts, flags, keeps the book, holds to budgets, and signs."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import blackbox
from blackbox.league import limits
from blackbox.league.account import FIRST, Account, ImageAccount, Question, chained, counted, opened
from blackbox.league.admission import check_attack, check_images, check_player
from blackbox.league.book import Book
from blackbox.league.failed import TARGET_ENDED, answered, named
from blackbox.league.judge import Judge
from blackbox.league.material import Material, print_of
from blackbox.league.signing import Signed, key_id, sign
from blackbox.league.targets import Targets
from blackbox.oracle import Oracle
from blackbox.serving import Refused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass
class Open:
    """A session that is being played. judge: of its answers. head: the journal's last hash. asked: the questions about each image, by its
    row. tally: [N, 3], as `limits.tally` counts them."""

    id: int
    account: Account
    material: Material
    oracle: Oracle
    judge: Judge
    head: str = FIRST
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.asked: list[list[Question]] = [[] for _ in self.account.images]
        self.tally = np.zeros((len(self.asked), 3), np.int64)

    def add(self, row: int, question: Question) -> None:
        """Count a question about the image in this row, which was answered."""
        self.asked[row].append(question)
        self.tally[row] += limits.tally([question])

    @property
    def rows(self) -> int:
        """How many were answered."""
        return sum(map(len, self.asked))


class Host:
    """Serves scenarios.

    Args:
        targets: of the scenarios, by their hashes. book: the journal. key: that signs. players: tokens by name; None lets anybody play
            under any name. max_rows: images of a call.
    """

    def __init__(
        self, targets: dict[str, Targets], book: Book, key: Ed25519PrivateKey, players: dict[str, str] | None = None, max_rows: int = 256
    ) -> None:
        self.targets, self.book, self.key, self.players, self.max_rows = targets, book, key, players, max_rows
        self.key_id = key_id(key.public_key())
        self._open: dict[int, Open] = {}
        self._lock = threading.Lock()  # of the book and of what is open
        self.answered = 0

    def info(self) -> dict[str, Any]:
        """What is played here."""
        return {
            "server": blackbox.__version__, "key": self.key_id, "max_rows": self.max_rows,
            "scenarios": {digest: each.material.scenario.name for digest, each in self.targets.items()},
        }  # fmt: skip

    def enter(self, player: str, token: str, scenario: str, attack: str, source: str, parameters: str) -> dict[str, Any]:
        """Take the hash of an attack's source, before any target is opened with it.

        Raises:
            Refused: another source or other settings have been entered under this name; no such scenario or player.
        """
        check_player(self.players, player, token)
        found = self._targets(scenario).material
        check_attack(attack, source, parameters)
        with self._lock:
            known = self.book.entry(player, attack, found.hash)
            if known is None:
                self.book.enter(player, attack, found.scenario.name, found.hash, source, parameters, time.time())
            elif known[1:3] != (source, parameters):
                raise Refused(
                    409,
                    f"Expected the source and settings that {player} entered as {attack}, but they are others now. A change is another "
                    "attack: give it another name (--name).",
                )
        return {"entered": True}

    def open(self, player: str, token: str, scenario: str, attack: str, target: str, seed: int) -> dict[str, Any]:
        """Open a session, or go on with it, and say what is played.

        Raises:
            Refused: the attack has not been entered, or there is no such target. (A session that was closed can be opened to read what
                was asked; new questions are refused: there is no second draw.)
        """
        check_player(self.players, player, token)
        targets = self._targets(scenario)
        with self._lock:
            entry = self.book.entry(player, attack, scenario)
            if entry is None:
                raise Refused(409, f"Expected the source of {attack} to be entered before a target is opened, but it was not.")
            if seed not in targets.material.scenario.seeds or target not in targets.names:
                raise Refused(404, f"Expected a target and seed of {targets.material.scenario.name}, but they were {target!r} and {seed}.")
            known = self.book.session(entry[0], target, seed)
            with named(target):
                if known is None:
                    game = self._begin(targets, entry, player, attack, target, seed)
                else:
                    game = self._open.get(known[0]) or self._again(targets, *known)
        return opened(game.id, self.max_rows, game.account, game.material.mask)

    def _begin(self, targets: Targets, entry: Any, player: str, attack: str, target: str, seed: int) -> Open:
        m, secret = targets.material, secrets.randbits(31)
        clean, oracle, judge = targets.clean(target), targets.oracle(target, secret), targets.judge(target)
        about = {**targets.about(oracle), **judge.words()}
        labels, unreached = clean.label.tolist(), judge.clean(clean)
        images = [
            ImageAccount(
                image=int(m.ids[i]), label=int(m.labels[i]), print=m.prints[i], clean=labels[i],
                goal=None if m.goals is None else int(m.goals[i]), unreached=None if unreached is None else unreached[i],
            )
            for i in range(len(m.ids))
        ]  # fmt: skip
        account = Account(
            server=blackbox.__version__, scenario=m.scenario.name, scenario_hash=m.hash, target=target,
            sealed=m.scenario.target(target).sealed, model=targets.model_hash(target), seed=seed, budget=m.scenario.limit, player=player,
            attack=attack, parameters=entry[2], source=entry[1], entered=entry[3], opened=time.time(),
            earlier=self.book.earlier(player, m.hash, target, seed), about=about, rows=0, journal=FIRST,
            images=images,
        )  # fmt: skip
        number = self.book.open(entry[0], secret, account)
        game = self._open[number] = Open(number, account, m, oracle, judge)
        return game

    def _again(self, targets: Targets, number: int, secret: int, account: Account) -> Open:
        """Take up a session after a restart: what was asked is read from the book, and defences that remember are shown it again."""
        m = targets.material
        if account.closed is None:
            account = account.model_copy(update={"restarts": account.restarts + 1})
        lines = self.book.lines(number)
        game = Open(number, account, m, targets.oracle(account.target, secret), targets.judge(account.target), chained(FIRST, lines))
        for question in map(Question.read, lines):
            game.add(m.rows[question.image], question)
        kept = [row for row in self.book.pixels(number) if row is not None]
        if kept:
            rows = np.frombuffer(b"".join(kept), m.levels.dtype).reshape(-1, *m.levels.shape[1:])
            for start in range(0, len(rows), self.max_rows):
                targets.submit(game.oracle, rows[start : start + self.max_rows])
        self.book.update(number, account)
        self._open[number] = game
        return game

    def images(self, session: int, player: str, token: str) -> np.ndarray:
        """The clean images of a session, [N, \\*shape] uint8, or rows of a table, [N, d] float64."""
        return self._game(session, player, token).material.levels

    def ask(
        self, session: int, player: str, token: str, images: np.ndarray, ids: list[int], places: list[int]
    ) -> list[Question]:
        """Answer images [m, \\*shape] uint8, or rows [m, d] float64, about the samples ``ids``, each the ``places``-th question about
        its sample, from 0.

        A question that was answered before, at the same place, gets the same answer and costs nothing.

        Raises:
            Refused: a place that was another question's, a question past the budget, or an image that the rules forbid. Nothing is
                charged, and no row is answered. Closed: about an image of them no more is answered; the others were, and those about it
                that came before.
        """
        game = self._game(session, player, token)
        most, rows = game.material.scenario.limit, self._rows(game.material, images, ids, places)
        with game.lock:
            prints = [print_of(each) for each in images]
            ahead = [len(asked) for asked in game.asked]
            fresh = []
            for i, (row, at) in enumerate(zip(rows, places, strict=True)):
                if at < len(game.asked[row]):
                    if game.asked[row][at].print != prints[i]:
                        raise Refused(409, f"Expected question {at} about image {ids[i]} as it was asked before, but it is another.")
                    continue
                if at != ahead[row]:
                    raise Refused(409, f"Expected question {ahead[row]} about image {ids[i]}, but it was question {at}.")
                if at >= most:
                    said = f"at most {most} queries about image {ids[i]}"
                    raise Refused(403, f"Expected {said}, but there would be more. None was answered.")
                ahead[row] += 1
                fresh.append(i)
            if fresh and game.account.closed is not None:
                raise Refused(TARGET_ENDED, "Expected no new question in a session that was closed: there is no second draw.")
            if fresh:
                self._within(game, images, rows, np.array(places), prints, fresh)
            return [game.asked[row][at] for row, at in zip(rows, places, strict=True)]

    def _within(
        self, game: Open, images: np.ndarray, rows: np.ndarray, places: np.ndarray, prints: list[str], fresh: list[int]
    ) -> None:  # fmt: skip
        """Answer questions in their order, as far as the tariff lets each image be asked about. Raises: Closed."""
        m, prices = game.material, game.material.scenario.prices
        inside = check_images(m, images[fresh], rows[fresh])
        while fresh:
            so_far = game.tally[rows[fresh]]
            now = limits.allowed(prices, so_far, places[fresh])
            if not len(now):
                raise limits.closed(prices, so_far, m.ids[rows[fresh]])
            at = np.array(fresh)[now]
            self._answer(game, images[at], rows[at], [prints[i] for i in at], inside[now])
            fresh, inside = np.delete(fresh, now).tolist(), np.delete(inside, now)

    def _answer(self, game: Open, images: np.ndarray, rows: np.ndarray, prints: list[str], inside: np.ndarray) -> None:
        """Ask the target, and write the answers into the book before anybody sees them."""
        m = game.material
        before = 0 if game.oracle.flags is None else len(game.oracle.flags)
        like = next((question.scores for asked in game.asked for question in asked), None)
        told, reached = answered(self.targets[m.hash], game.account.target, game.oracle, game.judge, images, rows, like)
        flags = np.zeros(len(images), bool)
        if game.oracle.flags is not None:
            flagged = game.oracle.flags[before:]
            flags[: len(flagged)] = flagged  # of a call that failed, perhaps those of some rows
        first = game.rows
        new = [
            Question(
                first + i, int(m.ids[row]), prints[i], told.labels[i], None if told.scores is None else told.scores[i], bool(flags[i]),
                told.rejected[i], bool(inside[i]), bool(reached[i]), None if told.answers is None else told.answers[i],
            )
            for i, row in enumerate(rows)
        ]  # fmt: skip
        lines = [question.line() for question in new]
        keeps = game.oracle.flags is not None or game.oracle.randomised  # to be shown again after a restart
        pixels = [each.tobytes() if keeps else None for each in images]
        with self._lock:
            self.book.write(game.id, [(q.n, line, kept) for q, line, kept in zip(new, lines, pixels, strict=True)])
            self.answered += len(new)
        game.head = chained(game.head, lines)
        for row, question in zip(rows, new, strict=True):
            game.add(row, question)

    def close(self, session: int, player: str, token: str, stopped: str | None) -> Signed:
        """End a session for good, and sign its account. Once more, it is signed again."""
        game = self._game(session, player, token)
        with game.lock:
            if game.account.closed is None:
                images = [counted(image, asked) for image, asked in zip(game.account.images, game.asked, strict=True)]
                game.account = game.account.model_copy(
                    update={"closed": time.time(), "stopped": stopped, "rows": game.rows, "journal": game.head, "images": images}
                )
                with self._lock:
                    self.book.update(game.id, game.account)
            return sign(game.account.model_dump_json(), self.key)

    def journal(self, session: int, player: str, token: str) -> list[str]:
        """The lines of a session."""
        game = self._game(session, player, token)
        with self._lock:
            return self.book.lines(game.id)

    # -- checks ------------------------------------------------------------------------------------------------------

    def _targets(self, scenario: str) -> Targets:
        if scenario not in self.targets:
            names = ", ".join(each.material.scenario.name for each in self.targets.values())
            raise Refused(404, f"Expected a scenario that is played here, {names}, the same to the byte, but its hash is {scenario[:12]}.")
        return self.targets[scenario]

    def _game(self, session: int, player: str, token: str) -> Open:
        check_player(self.players, player, token)
        with self._lock:
            game = self._open.get(session)
            if game is None and (known := self.book.known(session)) is not None and known[2].scenario_hash in self.targets:
                with named(known[2].target):
                    game = self._again(self.targets[known[2].scenario_hash], *known)
        if game is None or game.account.player != player:
            raise Refused(404, "Expected a session that this player has opened, but there is none.")
        return game

    def _rows(self, m: Material, images: np.ndarray, ids: list[int], places: list[int]) -> np.ndarray:
        """The row of each sample that is asked about."""
        if not len(images) == len(ids) == len(places) or not 0 < len(ids) <= self.max_rows:
            counts = f"{len(images)}, {len(ids)} and {len(places)}"
            raise Refused(400, f"Expected 1 to {self.max_rows} images, each with a sample and a place, but there were {counts}.")
        if unknown := [i for i in ids if i not in m.rows]:
            raise Refused(400, f"Expected images of {m.scenario.name}, but {unknown[0]} is none of them.")
        return np.array([m.rows[i] for i in ids])
