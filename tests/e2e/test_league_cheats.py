"""Planted cheats: each lies in one way, and is refused for its own reason. Honest entries are never refused."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blackbox.league import again, signing
from blackbox.league.account import FIRST, Account, Question, chained
from blackbox.league.client import LeagueError, Over
from blackbox.league.entry import Entry
from blackbox.league.material import as_floats
from blackbox.league.verify import verify
from blackbox.results import AttackResult
from blackbox.serving import Refused
from blackbox.tariff import Tariff
from tests.league_ground import BUDGET, DODGE, Direct, Ground, edit, result, signed, wins, with_goal

HONEST = int(os.environ.get("LEAGUE_HONEST", "24"))
"""How many honest entries are played."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground(tmp_path_factory.mktemp("league"), seeds=[0, 1], more='mask = "mask.npy"')
    made.play("square", "honest")
    made.play("noise", "noise", made.player("you"))
    return made


@pytest.fixture
def entry(ground: Ground, tmp_path: Path) -> Path:
    shutil.copytree(ground.folder / "honest", tmp_path / "entry")
    assert ground.verify(tmp_path / "entry").refusals == []
    return tmp_path / "entry"


def image(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[Ground, Path], None]:
    """A cheat that edits the images of the first session in entry.json."""
    return lambda ground, entry: edit(entry, lambda values: change(values["sessions"][0]["images"]))


def head(name: str, value: Any) -> Callable[[Ground, Path], None]:
    """A cheat that edits a field of entry.json."""
    return lambda ground, entry: edit(entry, lambda values: values.update({name: value}))


def won(entry: Path, yes: bool = True) -> int:
    """The first image that was attacked with this outcome."""
    images = Entry.read(entry).sessions[0].images
    return next(i for i, each in enumerate(images) if each.success == yes and each.attacked)


def example(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Ground, Path], None]:
    """A cheat that changes the first example that was found."""

    def cheat(ground: Ground, entry: Path) -> None:
        i = won(entry)

        def one(x: torch.Tensor) -> torch.Tensor:
            x[i] = change(x[i])
            return x

        result(entry, x_adv=one)

    return cheat


def claims_a_failure(ground: Ground, entry: Path) -> None:
    """Says that an image was fooled which was not, with the last image that was asked about."""
    i = won(entry, False)
    wins(entry, i, ground.material.levels[i])
    image(lambda images: images[i].update(success=True, distance=0.0, first_success_query=3))(ground, entry)


def swaps_examples(ground: Ground, entry: Path) -> None:
    result(entry, x_adv=lambda x: x.roll(1, 0))


def examples(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Ground, Path], None]:
    """A cheat that changes the array of all examples."""
    return lambda ground, entry: result(entry, x_adv=change)


def another_session(name: str, own: str) -> Callable[[Ground, Path], None]:
    """Puts another session's account and journal in the place of the first."""

    def cheat(ground: Ground, entry: Path) -> None:
        for file in ("account.json", "journal.jsonl"):
            shutil.copyfile(ground.folder / name / own / file, entry / "open-0" / file)

    return cheat


def edits_account(ground: Ground, entry: Path) -> None:
    path = signed(entry)
    path.write_text(path.read_text().replace(r"\"rows\":", r"\"rows\": ", 1))


def own_key(ground: Ground, entry: Path) -> None:
    """Signs a better account, with a key of its own."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    body = json.loads(signed(entry).read_text())["body"]
    made = signing.sign(body, Ed25519PrivateKey.generate())
    signed(entry).write_text(made.model_dump_json())


def own_key_named_as_the_servers(ground: Ground, entry: Path) -> None:
    own_key(ground, entry)
    values = json.loads(signed(entry).read_text())
    signed(entry).write_text(json.dumps({**values, "key": signing.key_id(ground.key)}))


def bent(change: Callable[[Account, list[Question]], tuple[Account, list[Question]]]) -> Callable[[Ground, Path], None]:
    """A server that signs, with its own key, what it should not."""

    def cheat(ground: Ground, entry: Path) -> None:
        folder = signed(entry).parent
        account = Account.of(json.loads(signed(entry).read_text())["body"])
        asked = [Question.read(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
        account, asked = change(account, asked)
        lines = [question.line() for question in asked]
        account = account.model_copy(update={"journal": chained(FIRST, lines)})
        (folder / "journal.jsonl").write_text("".join(f"{line}\n" for line in lines))
        signed(entry).write_text(signing.sign(account.model_dump_json(), signing.private(ground.private)).model_dump_json())

    return cheat


def longer(account: Account, asked: list[Question]) -> tuple[Account, list[Question]]:
    """One query too many about an image that had spent its budget."""
    at = next(i for i, image in enumerate(account.images) if image.rows == account.budget)
    last = next(q for q in reversed(asked) if q.image == account.images[at].image)
    more = account.images[at].model_copy(update={"rows": account.budget + 1, "bad": account.images[at].bad + (not last.adversarial)})
    images = [more if i == at else image for i, image in enumerate(account.images)]
    return account.model_copy(update={"images": images, "rows": account.rows + 1}), [*asked, last._replace(n=len(asked))]


def friendly(ground: Ground, entry: Path) -> None:
    """A server that calls a friend's failure a success."""
    i = won(entry, False)
    found = AttackResult.load(signed(entry).parent / "result")

    def change(account: Account, asked: list[Question]) -> tuple[Account, list[Question]]:
        first = next(n for n, q in enumerate(asked) if q.image == account.images[i].image)
        asked[first] = asked[first]._replace(adversarial=True, label=(asked[first].label + 1) % 3)
        images = [a.model_copy(update={"bad": a.bad - 1}) if at == i else a for at, a in enumerate(account.images)]
        return account.model_copy(update={"images": images}), asked

    bent(change)(ground, entry)
    wins(entry, i, ground.material.levels[i])
    image(
        lambda images: images[i].update(success=True, distance=0.0, first_success_query=1, bad=images[i]["bad"] - 1)
    )(ground, entry)  # fmt: skip
    assert not found.success[i]


def lenient(ground: Ground, entry: Path) -> None:
    """A server that counts a friend's bad queries for less than its journal has."""

    def change(account: Account, asked: list[Question]) -> tuple[Account, list[Question]]:
        first = account.images[0].model_copy(update={"bad": 0})
        return account.model_copy(update={"images": [first, *account.images[1:]]}), asked

    bent(change)(ground, entry)
    image(lambda images: images[0].update(bad=0))(ground, entry)


def file(name: str, change: Callable[[bytes], bytes]) -> Callable[[Ground, Path], None]:
    """A cheat that changes a file of the entry, or an accident."""

    def cheat(ground: Ground, entry: Path) -> None:
        (path,) = entry.glob(name)
        path.write_bytes(change(path.read_bytes()))

    return cheat


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


CHEATS: dict[str, tuple[Callable[[Ground, Path], None], str]] = {
    "gradients that it may not have": (image(lambda images: images[0].update(gradients=64.0)), "no gradients without a surrogate"),
    "a surrogate outside the pool": (head("surrogates", ["stolen"]), "a surrogate of the pool"),
    "asks 2 rows and reports 1": (image(lambda images: images[1].update(queries=2)), "queries of image 1, which the server counted"),
    "an example changed outside the mask": (example(lambda x: x.index_fill(1, torch.tensor([5]), 0.0)), "in no row of the journal"),
    "edits its result: a failure called success": (claims_a_failure, "the server did not answer so"),
    "another's journal": (another_session("noise", "open-0"), "the player that the server signed"),
    "another seed's journal": (another_session("honest", "open-1"), "the seed that the server signed"),
    "breaks the ball by 1e-3": (example(lambda x: x + 1e-3), "no multiples of 1/255"),
    "leaves the box": (example(lambda x: x + 1.0), r"to lie in \[0, 1\]"),
    "a query past the budget, signed": (bent(longer), "at most 30 queries about image"),
    "edits counts: flags": (image(lambda images: images[0].update(flagged=3)), "0 flagged queries of image 0"),
    "edits counts: bad queries": (image(lambda images: images[0].update(bad=0)), "bad queries of image 0"),
    "edits the signed account": (edits_account, "the signature does not fit"),
    "signs with its own key": (own_key, "signed with another"),
    "signs with its own key under the server's name": (own_key_named_as_the_servers, "the signature does not fit"),
    "drops images": (image(lambda images: images.pop(2)), r"leaves out \[2\]"),
    "drops a session": (lambda g, e: edit(e, lambda v: v["sessions"].pop()), "one session on open with seed 1, but there were 0"),
    "shows a session twice": (lambda g, e: edit(e, lambda v: v["sessions"].append(v["sessions"][0])), "seed 0, but there were 2"),
    "swaps images between ids": (swaps_examples, "in no row of the journal about that image"),
    "examples of float64": (examples(lambda x: x.double()), "examples of type float32, but they are float64"),
    "examples of 3 channels": (examples(lambda x: x.repeat(1, 3, 1, 1)), r"examples of shape \(5, 1, 6, 6\), but they have \(5, 3, 6, 6\)"),
    "examples of fewer rows": (examples(lambda x: x[:, :, :5].contiguous()), r"of shape \(5, 1, 6, 6\), but they have \(5, 1, 5, 6\)"),
    "examples that are flat": (examples(lambda x: x.flatten(1)), r"examples of shape \(5, 1, 6, 6\), but they have \(5, 36\)"),
    "another attack's hash": (head("source", "c" * 64), "the hash of the source that the server signed"),
    "another attack's name": (head("attack", "ripples"), "the attack that the server signed"),
    "other settings": (head("parameters", "Square(p_init=0.1)"), "the settings that the server signed"),
    "changes its source afterwards": (file("source/*square.py", lambda text: text + b"# better\n"), "the source whose hash was entered"),
    "another version of the scenario": (file("scenario.toml", lambda text: text.replace(b"40/255", b"48/255")), "another version"),
    "names another scenario": (head("scenario_hash", "d" * 64), "another version"),
    "an example that is no 8-bit image": (example(lambda x: x * 0.999), "no multiples of 1/255"),
    "a success before it came": (image(lambda images: images[1].update(first_success_query=1)), "query 1 of image 1 to be a success"),
    "a smaller distance": (image(lambda images: images[1].update(distance=0.01)), "the distance of the example of image 1"),
    "calls a failure clean": (image(lambda images: images[0].update(attacked=False)), "clean answer of image 0"),
    "quicker than it was": (image(lambda images: images[0].update(seconds=0.0)), "seconds of image 0"),
    "an answer edited": (file("open-0/journal.jsonl", lambda text: text.replace(b",0,1,0]", b",0,1,1]", 1)), "edited, cut, or"),
    "a journal cut": (file("open-0/journal.jsonl", cut), "edited, cut, or belongs"),
    "an account cut": (file("open-0/account.json", cut), "breaks off"),
    "a result cut": (file("open-0/result/examples.safetensors", cut), "cannot be read"),
    "an entry cut": (file("entry.json", cut), "breaks off"),
    "other clean images": (file("images.safetensors", lambda content: content[:-40] + bytes(40)), "whose hash was signed"),
    "calls itself a floor": (lambda g, e: edit(e, lambda v: v.update(attack="mine", floor=True)), "alone to be called floors"),
    "no environment": (head("environment", {}), "the environment with the versions"),
    "a server that calls a failure success": (friendly, "to be adversarial again"),
    "a server that counts less than it answered": (lenient, "to count what its journal holds"),
    "a folder outside the entry": (lambda g, e: edit(e, lambda v: v["sessions"][0].update(folder="../x")), "inside the entry"),
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_refused_for_its_reason(ground: Ground, entry: Path, name: str) -> None:
    cheat, reason = CHEATS[name]
    cheat(ground, entry)
    refusals = ground.verify(entry).refusals
    assert refusals and any(re.search(reason, said) for said in refusals), refusals
    assert all("Expected" in said and "\n" not in said for said in refusals)


# -- cheats while playing --------------------------------------------------------------------------------------------------


class Cheat(Direct):
    """A player that changes what is asked: ``before`` changes rows, ``skips`` answers from memory, ``more`` asks more."""

    skips = more = 0
    before: Any = None

    def __init__(self, host: Any, name: str) -> None:
        super().__init__(host, name)
        self.at: dict[int, int] = {}
        self.calls, self.last = 0, None
        self.seen: list[tuple[int, np.ndarray, int]] = []

    def ask(self, session: int, images: np.ndarray, ids: list[int], places: list[int]) -> dict[str, Any]:
        self.calls += 1
        if self.calls == 1:  # of the next session
            self.at = {}
        if self.last is not None and len(self.last["labels"]) == len(ids) and self.calls < self.skips:
            return self.last
        if self.before is not None:
            images = self.before(images, ids)
        for _ in range(1 + self.more):
            own = []
            for sample in ids:
                own.append(self.at.get(sample, 0))
                self.at[sample] = own[-1] + 1
            self.last = super().ask(session, images, ids, own)
        self.seen += list(zip(ids, images, self.last["labels"], strict=True))
        return self.last


def play(ground: Ground, out: str, **how: Any) -> tuple[Path, Cheat]:
    player = Cheat(ground.host, out)
    for name, value in how.items():
        setattr(player, name, value)
    return ground.play("square", out, player), player


def test_cached_answers_that_pass_as_fresh(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    entry, _ = play(ground, "cached", skips=9)
    assert "in the result too" in " ".join(ground.verify(entry).refusals)


def test_more_rows_than_it_reports(tmp_path: Path) -> None:
    ground = Ground(tmp_path, budget=2 * BUDGET)
    entry, _ = play(ground, "more", more=1)
    refusals = " ".join(ground.verify(entry).refusals)
    assert "in the result too" in refusals or "at most" in str(Entry.read(entry).sessions[0].stopped)


def test_outside_the_ball_by_less_than_a_thousandth(tmp_path: Path) -> None:
    """39.8 levels are allowed, and 40 asked about."""
    ground = Ground(tmp_path, threat="linf:0.1560")

    def outside(images: np.ndarray, ids: list[int]) -> np.ndarray:
        clean = ground.material.levels[ids].astype(int)
        return np.clip(clean + 40 * np.sign(images.astype(int) - clean), 0, 255).astype(np.uint8)

    entry, player = play(ground, "outside", before=outside)
    i, levels = next((i, x) for i, x, label in player.seen if label != ground.material.labels[i])
    assert 0 < float(ground.material.threat.distance(as_floats(levels[None]), as_floats(ground.material.levels[i : i + 1]))) - 0.156 < 1e-3
    wins(entry, i, levels)
    image(lambda images: images[i].update(success=True, distance=40 / 255, first_success_query=images[i]["queries"]))(ground, entry)
    refusals = " ".join(ground.verify(entry).refusals)
    assert "inside linf:0.1560, but its distance is 0.156863" in refusals and "found it outside the threat" in refusals


def test_pixels_outside_the_mask_are_not_answered(ground: Ground) -> None:
    def everywhere(images: np.ndarray, ids: list[int]) -> np.ndarray:
        return np.where(images == ground.material.levels[ids], 255 - images, images)

    entry, _ = play(ground, "everywhere", before=everywhere)
    assert "changed only where the mask lets it" in str(Entry.read(entry).sessions[0].stopped)


def test_questions_under_another_images_name(tmp_path: Path) -> None:
    """An example of one image that was asked about in the name of another, which had queries left."""
    ground = Ground(tmp_path)
    m = ground.material

    def shifted(images: np.ndarray, ids: list[int]) -> np.ndarray:
        return np.where(len(ids) == len(m.ids), np.roll(images, 1, 0), images)

    entry, player = play(ground, "shifted", before=shifted)
    i, levels = next((i, x) for i, x, label in player.seen if label != m.labels[(i - 1) % 5])
    j = (i - 1) % 5
    wins(entry, j, levels)
    image(lambda images: images[j].update(success=True, distance=0.1, first_success_query=2))(ground, entry)
    assert f"example of image {j} to be one that the server was asked about" in " ".join(ground.verify(entry).refusals)


def test_a_goal_that_is_claimed_and_not_reached(tmp_path: Path) -> None:
    """The player goes by references of its own, from which it is easier to get away."""
    ground = with_goal(tmp_path, DODGE, "answers")
    clean = np.load(tmp_path / "clean.npy")
    np.save(tmp_path / "clean.npy", clean + 0.14)
    entry = ground.play("square")
    assert any(image.success for image in Entry.read(entry).sessions[0].images)
    refusals = " ".join(ground.verify(entry).refusals)
    assert "to be adversarial, but the server did not answer so" in refusals and "to reach the goal (no longer taken for" in refusals


@pytest.mark.parametrize("said", ["goal", "answers"])
def test_a_server_whose_journal_says_that_an_answer_reaches_the_goal(tmp_path: Path, said: str) -> None:
    """It signs another goal than that of the scenario's files, or what its own answers do not show; no target is needed to see it."""
    ground = with_goal(tmp_path, DODGE, "answers")
    entry = ground.play("noise")

    def change(account: Account, asked: list[Question]) -> tuple[Account, list[Question]]:
        if said == "goal":
            return account.model_copy(update={"about": {**account.about, "goal": "anything"}}), asked
        first = next(n for n, q in enumerate(asked) if not q.adversarial)
        asked[first] = asked[first]._replace(adversarial=True)
        images = [
            a.model_copy(update={"bad": a.bad - 1}) if a.image == asked[first].image else a for a in account.images
        ]  # fmt: skip
        return account.model_copy(update={"images": images}), asked

    bent(change)(ground, entry)
    reason = {"goal": "Expected the goal of the scenario's own files, no longer taken", "answers": "but the journal errs"}[said]
    assert reason in " ".join(verify(entry, ground.key, material=ground.material).refusals)


def test_a_second_draw(ground: Ground) -> None:
    """Neither in the same session, nor from another account."""
    me, m = ground.player(), ground.material
    images = Entry.read(ground.folder / "honest").sessions[0].images
    i = next(i for i, each in enumerate(images) if each.queries < BUDGET)
    with pytest.raises(Refused, match="no second draw"):
        me.ask(me.open(m.hash, "square", "open", 0)["session"], m.levels[i : i + 1], [images[i].image], [images[i].queries])
    mine = ground.folder / "lucky.py"
    mine.write_text("from blackbox.attacks.square import Square\nclass Lucky(Square):\n    pass\n")
    first = ground.play(f"{mine}:Lucky", "first", ground.player("one"))
    assert ground.verify(first, book=True).refusals == []
    second = ground.play(f"{mine}:Lucky", "second", ground.player("two"))
    assert ground.verify(second, book=True).refusals == [
        "Expected one draw of a source with its settings, but the host's journal has it also by one as Lucky."
    ]


def test_sessions_of_two_accounts_in_one_entry(ground: Ground, entry: Path) -> None:
    third = ground.play("square", "third", ground.player("third"))
    shutil.rmtree(entry / "open-1")
    shutil.copytree(third / "open-1", entry / "open-1")
    edit(entry, lambda v: v["sessions"].__setitem__(1, json.loads((third / "entry.json").read_text())["sessions"][1]))
    assert "one player in an entry" in " ".join(ground.verify(entry).refusals)


def test_a_source_that_asks_something_else(tmp_path: Path) -> None:
    """It enters the source of square, and asks what another attack would."""
    ground = Ground(tmp_path)
    rng = np.random.default_rng(0)

    def other(images: np.ndarray, ids: list[int]) -> np.ndarray:
        clean = ground.material.levels[ids].astype(int)
        return np.where((images == clean).reshape(len(ids), -1).all(1)[:, None, None, None], images,
                        np.clip(clean + rng.choice([-40, 40], clean.shape), 0, 255)).astype(np.uint8)  # fmt: skip

    entry, _ = play(ground, "other", before=other)
    assert any("but the source asks another" in said for said in again.again(entry, ground.key, ground.material))


@pytest.mark.parametrize(
    ("tariff", "reason"),
    [
        ("query = 1, lock_out = 4", r"more queries about image \d, which is locked out after 4 flagged queries, but there were \d+ more"),
        ("query = 1, bad = 1, flagged = 1, most = 31", r"image \d, of whose money, 31, (29|30|31) is spent, and a query may cost 3, but"),
    ],
)
def test_going_on_after_the_lock_out_or_beyond_the_money(tmp_path: Path, tariff: str, reason: str) -> None:
    """Asked, it is refused; signed nevertheless by a lenient server, the entry is refused, and the source would not have asked it."""
    ground = Ground(tmp_path, more=f'tariff = {{{tariff}}}\ndefences = ["blacklight:window=3"]', budget=15)
    me, m = ground.player(), ground.material
    me.enter(m.hash, "cheat", "a" * 64, "Cheat()")
    number = me.open(m.hash, "cheat", "open", 0)["session"]
    with pytest.raises(Over, match=reason.split("image")[1].split(", but")[0]):
        for place in range(15):
            me.ask(number, m.levels[:1], [0], [place])
    with pytest.MonkeyPatch.context() as lenient:
        lenient.setattr(Tariff, "left", lambda self, queries, flagged, bad: np.full(np.shape(queries), BUDGET))
        entry = ground.play("nes")
        assert again.again(entry, ground.key, m) == []
    assert any(re.search(reason, said) for said in ground.verify(entry).refusals)
    assert "Expected question" in (said := " ".join(again.again(entry, ground.key, m))) or "the source to ask" in said


def test_a_source_of_its_own_under_our_name(tmp_path: Path) -> None:
    """Refused before anything is paid, by the player's side and by the host; and by whom it is verified, whatever version it claims."""
    ground = Ground(tmp_path)
    mine = tmp_path / "mine.py"
    mine.write_text("from blackbox.attacks.square import Square\nclass Mine(Square):\n    pass\n")
    reason = "the source of square as this package has it"
    with pytest.raises(ValueError, match=reason):
        ground.play(f"{mine}:Mine", "mine", name="square")
    with pytest.raises(Refused, match=reason):
        ground.player().enter(ground.material.hash, "square", "a" * 64, "Square()")
    with pytest.raises(ValueError, match="the floor square with the settings that it has by default"):
        ground.play("square", "other", settings=["p_init=0.3"], name="square")
    assert ground.verify(ground.play("square", "set", settings=["p_init=0.3"])).refusals == []
    assert ground.book.sessions("nobody") == [] and len(ground.book.sessions()) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blackbox.league.source.misnamed", lambda *given: [])
        entry = ground.play(f"{mine}:Mine", "mine", name="square", player=ground.player("you"))
    edit(entry, lambda values: values["environment"]["versions"].update(blackbox="0.1"))
    assert reason in " ".join(ground.verify(entry).refusals)
    assert ground.verify(ground.play(f"{mine}:Mine", "fair", name="mine")).refusals == []


def test_another_servers_journal(ground: Ground, entry: Path, tmp_path: Path) -> None:
    from blackbox.league.book import Book

    other = Book(tmp_path / "other.sqlite", signing.key_id(ground.key))
    refusals = verify(entry, ground.key, book=other).refusals
    assert len(refusals) == 2 and "in the host's journal, but it is not there" in refusals[0]


def test_a_player_whom_the_host_does_not_know(ground: Ground) -> None:
    ground.host.players = {"me": "secret"}
    try:
        with pytest.raises(Refused, match="registered, with their token"):
            ground.player().open(ground.material.hash, "square", "open", 0)
    finally:
        ground.host.players = None
    assert issubclass(LeagueError, RuntimeError)


def test_no_honest_entry_is_refused(tmp_path: Path) -> None:
    draw, refused = random.Random(0), []
    attacks = {
        "labels": {"linf": ("rays", "noise", "sign-flip"), "l2": ("noise", "boundary", "hop-skip-jump")},
        "scores": {"linf": ("square", "noise", "simba", "nes", "signhunter"), "l2": ("square", "noise", "simba", "nes")},
    }
    grounds: dict[tuple[str, str], Ground] = {}
    for number in range(HONEST):
        feedback = draw.choice(list(attacks))
        threat = draw.choice(["linf:40/255", "linf:0.1560", "l2:0.9"])
        key = (feedback, threat)
        if key not in grounds:
            (folder := tmp_path / f"{len(grounds)}").mkdir()
            grounds[key] = Ground(folder, feedback=feedback, threat=threat, budget=12)
        ground, attack = grounds[key], draw.choice(attacks[feedback][threat.partition(":")[0]])
        ground.only(number)
        verdict = ground.verify(ground.play(attack, f"e{number}", ground.player(f"p{number}")), book=True)
        refused += verdict.refusals
    assert refused == []
