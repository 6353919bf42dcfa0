"""A league on a few tiny images and a linear target, in this process: what tests play, and cheat, in milliseconds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blackbox.league import signing
from blackbox.league.account import answers
from blackbox.league.book import Book
from blackbox.league.client import Over
from blackbox.league.entry import ACCOUNT, Entry
from blackbox.league.host import Host
from blackbox.league.limits import Closed
from blackbox.league.material import as_floats, load
from blackbox.league.play import Attempt, play
from blackbox.league.targets import Targets
from blackbox.league.verify import Verdict, verify
from blackbox.results import AttackResult

SHAPE, COUNT, CLASSES, BUDGET = (1, 6, 6), 5, 3, 30
TARGET = """
import torch
def answer(x):
    weights = torch.randn(36, 3, generator=torch.Generator().manual_seed(1))
    return (x.flatten(1) @ weights).softmax(1)
"""
SCENARIO = """
name = "tiny"
threat = "{threat}"
queries = "{queries}"
budget = {budget}
seeds = {seeds}
{more}
[images]
data = "npz:images.npz"
[[targets]]
name = "open"
model = "one.py:answer"
[[surrogates]]
name = "twin"
model = "one.py:answer"
[attacker]
access = "queries"
feedback = "{feedback}"
quality = "none"
quantity = 0
"""

DODGE = "verification:clean.npy;threshold=0.25;dodge"
OWN = """
import blackbox as bb
def far(answer):
    return 0.4 - float(answer.max())
unlikely = bb.goal(lambda answer: 0.4 - float(answer.max()), graded=False, name="no class is likely")
"""


class Direct:
    """A player who calls the host without a network."""

    def __init__(self, host: Host, name: str = "me") -> None:
        self.host, self.who = host, {"player": name, "token": ""}

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return lambda *given: getattr(self.host, verb)(*given, **self.who)

    def info(self) -> dict[str, Any]:
        return self.host.info()

    def enter(self, scenario: str, attack: str, source: str, parameters: str) -> None:
        self.host.enter(**self.who, scenario=scenario, attack=attack, source=source, parameters=parameters)

    def open(self, scenario: str, attack: str, target: str, seed: int) -> dict[str, Any]:
        return self.host.open(**self.who, scenario=scenario, attack=attack, target=target, seed=seed)

    def ask(self, session: int, images: np.ndarray, ids: list[int], places: list[int]) -> dict[str, Any]:
        try:
            return answers(self.host.ask(session, **self.who, images=images, ids=ids, places=places))
        except Closed as error:
            raise Over(str(error), error.over) from None

    def close(self, session: int, stopped: str | None = None) -> dict[str, Any]:
        return self.host.close(session, **self.who, stopped=stopped).model_dump()


class Ground:
    """A folder with a scenario, keys and a host. ``settings`` replace those of `SCENARIO`."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        rng = np.random.default_rng(3)
        images = (rng.integers(60, 196, (COUNT, *SHAPE)) / 255).astype(np.float32)
        (folder / "one.py").write_text(TARGET)
        labels = _labels(images)
        np.savez(folder / "images.npz", images=images, labels=labels)
        usual = {"threat": "linf:40/255", "queries": "anywhere", "budget": BUDGET, "seeds": [0], "more": "", "feedback": "scores"}
        self.scenario = folder / "tiny.toml"
        mask = np.ones(SHAPE[1:], bool)
        mask[5] = False
        np.save(folder / "mask.npy", mask)
        self.scenario.write_text(SCENARIO.format(**{**usual, **settings}))
        self.private, self.public = signing.make(folder / "keys")
        self.key = signing.public(self.public)
        self.again()

    def again(self) -> None:
        """Serve the scenario as the file has it now."""
        self.material = load(self.scenario, self.folder)
        self.targets = Targets(self.material, None, self.folder)
        self.host = self.begin()

    def only(self, seed: int) -> None:
        """Serve the same with this seed alone, as a scenario of its own."""
        one = self.folder / "one.toml"
        one.write_text(re.sub(r"(?m)^seeds = .*", f"seeds = [{seed}]", self.scenario.read_text()))
        self.scenario = one
        self.again()

    def begin(self) -> Host:
        """A host on the journal, as after a restart."""
        private = signing.private(self.private)
        self.book = Book(self.folder / "journal.sqlite", signing.key_id(private.public_key()))
        return Host({self.material.hash: self.targets}, self.book, private)

    def player(self, name: str = "me") -> Any:
        return Direct(self.host, name)

    def play(self, attack: str = "square", out: str = "entry", player: Any = None, **how: Any) -> Path:
        """Play an attack; the folder of the entry."""
        play(Attempt(attack, **how), str(self.scenario), player or self.player(), self.folder / out, str(self.folder))
        return self.folder / out

    def verify(self, entry: Path, book: bool = False) -> Verdict:
        return verify(entry, self.key, material=self.material, targets=self.targets, book=self.book if book else None)


def with_goal(folder: Path, goal: str, feedback: str, **settings: Any) -> Ground:
    """The tiny league with a goal. Beside it the answers to the clean images, as references."""
    first = Ground(folder)
    np.save(folder / "clean.npy", first.targets.answers("open", first.material.levels).values)
    (folder / "own.py").write_text(OWN)
    text = first.scenario.read_text().replace('feedback = "scores"', f'feedback = "{feedback}"')
    more = "\n".join(f"{name} = {json.dumps(value)}" for name, value in {"goal": goal, **settings}.items())
    first.scenario.write_text(text.replace("[images]", f"{more}\n[images]", 1))
    first.again()
    return first


RULES = """
label = "label"
integer = ["area"]
increasing = ["radius"]
immutable = ["texture"]
[categorical]
site = ["left", "right"]
"""
MODEL = """
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
def model():
    rows = np.genfromtxt("rows.csv", delimiter=",", skip_header=1)
    return HistGradientBoostingClassifier(max_iter=12, random_state=0).fit(rows[:, :-1], rows[:, -1].astype(int))
"""


def with_table(folder: Path, **settings: Any) -> Ground:
    """The tiny league with rows of scikit-learn's breast cancer data, and trees: whole areas, a radius that only grows, a texture that
    stays, a side that is made up."""
    from sklearn.datasets import load_breast_cancer

    first = Ground(folder, **{"threat": "l2:0.6", **settings})
    data = load_breast_cancer()
    rows = np.stack([data.data[:, 0], data.data[:, 1], data.data[:, 3].round(), data.data[:, 7]], 1)
    side = (data.data[:, 4] > np.median(data.data[:, 4])).astype(int)
    head = "radius,texture,area,points,left,right,label\n"
    lines = [",".join([*map(repr, row.tolist()), str(s), str(1 - s), str(y)]) for row, s, y in zip(rows, side, data.target, strict=True)]
    (folder / "rows.csv").write_text(head + "\n".join(lines[:160]) + "\n")
    (folder / "rules.toml").write_text(RULES)
    (folder / "model.py").write_text(MODEL)
    text = first.scenario.read_text().replace('data = "npz:images.npz"', f'data = "csv:rows.csv"\ntable = "rules.toml"\nn = {COUNT}')
    text = text.replace('model = "one.py:answer"\n[[surrogates]]\nname = "twin"\nmodel = "one.py:answer"', 'model = "model.py:model"')
    first.scenario.write_text(text)
    first.again()
    return first


def _labels(images: np.ndarray) -> np.ndarray:
    names: dict[str, Any] = {}
    exec(TARGET, names)
    found: np.ndarray = names["answer"](torch.from_numpy(images)).argmax(1).numpy()
    return found


def edit(entry: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the values of an entry.json."""
    values = json.loads((entry / "entry.json").read_text())
    change(values)
    (entry / "entry.json").write_text(json.dumps(values))


def result(entry: Path, session: int = 0, **columns: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Change columns of the saved result of a session."""
    folder = entry / Entry.read(entry).sessions[session].folder / "result"
    found = AttackResult.load(folder)
    replace(found, **{name: change(getattr(found, name).clone()) for name, change in columns.items()}).save(folder)


def wins(entry: Path, i: int, levels: np.ndarray) -> None:
    """Change the first session's result: image ``i`` was fooled, by ``levels``, an image of uint8."""
    won = torch.tensor([i])
    result(
        entry, success=lambda v: v.index_fill(0, won, True), success_float=lambda v: v.index_fill(0, won, True),
        x_adv=lambda x: x.index_copy(0, won, as_floats(levels[None])),
    )  # fmt: skip


def signed(entry: Path) -> Path:
    """The signed account of the first session."""
    return entry / Entry.read(entry).sessions[0].folder / ACCOUNT
