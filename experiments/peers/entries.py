"""Other toolkits' query attacks as attacks of ours: torchattacks, foolbox, adversarial-robustness-toolbox.

Each is named where an attack is: ``bb.attack(oracle, x, y, TorchattacksSquare())`` in Python,
``blackbox attack --attack experiments/peers/entries.py:TorchattacksSquare`` and
``blackbox league run experiments/peers/entries.py:TorchattacksSquare`` on the command line. The engine counts, projects and stops
(`blackbox.PerImage`); the toolkit's own code searches. With which settings stands in ``peers.toml`` beside this file, with the reason for
each; that which did best on choosing ground is taken where it is known, and ``--set setting=1`` takes another.

The extra ``[peers]`` installs the toolkits. This file needs nothing else of this folder, so that its hash covers what is played.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import math
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

import blackbox as bb
from blackbox.per_image import Job, PerImage
from blackbox.turns import seed_all

SERVES = {  # part -> norm, what it needs to see, whether it walks outside the ball
    "linf": ("Linf", bb.Access.SCORES, False), "l2": ("L2", bb.Access.SCORES, False), "pixels": ("L0", bb.Access.SCORES, False),
    "labels": ("Linf", bb.Access.LABELS, True), "near": ("L2", bb.Access.LABELS, True),
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One way to run a peer. options: of its attack; ``"$eps"``, ``"$pixels"``, ``"$budget"``, ``"$seed"`` and ``"$third"`` (of
    the budget) stand for those of the run. hold: rows are moved into the threat. remember: a row that was asked before is answered from
    memory. probabilities: what the peer is shown, instead of logits."""

    label: str
    why: str
    source: str
    options: dict[str, Any] = field(default_factory=dict)
    hold: bool = False
    remember: bool = False
    probabilities: bool = False


@dataclass(frozen=True)
class Peer:
    """A toolkit's attack, at most three settings of it, and the attack of ours that it is held against.

    batch: images in a call, of a peer that takes several at once and draws the same for all of them.
    """

    part: str
    name: str
    toolkit: str
    kind: str
    ours: str
    tried: tuple[Setting, ...]
    batch: int = 1

    def attack(
        self, model: nn.Module, x: Tensor, y: Tensor, threat: bb.Threat, budget: int, seed: int, how: Setting, classes: int = 10
    ) -> None:  # fmt: skip
        """Let it loose on a model that gives logits."""
        pixels = int(threat.eps) if threat.eps < math.inf else 1
        known = {"$eps": threat.eps, "$pixels": pixels, "$budget": budget, "$seed": seed, "$third": budget // 3}
        given = {k: known.get(v, v) if isinstance(v, str) else v for k, v in how.options.items()}
        seed_all(seed)
        if self.toolkit == "torchattacks":
            getattr(importlib.import_module("torchattacks"), self.kind)(model, **given)(x, y)
        elif self.toolkit == "foolbox":
            fb = importlib.import_module("foolbox")
            getattr(fb.attacks, self.kind)(**given)(fb.PyTorchModel(model, bounds=(0, 1), device="cpu"), x, y, epsilons=None)
        else:
            if not hasattr(np, "mat"):
                np.mat = np.asmatrix  # gone from numpy 2; ART's GeoDA still asks for it
            kind = getattr(importlib.import_module("art.attacks.evasion"), self.kind)
            shown = nn.Sequential(model, nn.Softmax(1)) if how.probabilities else model
            found = kind(art_classifier(shown, x, classes), verbose=False, **given)
            found.generate(x.numpy(), np.eye(classes, dtype=np.float32)[y.numpy()])


def art_classifier(net: nn.Module, x: Tensor, classes: int = 10) -> Any:
    """A net as ART takes it."""
    from art.estimators.classification import PyTorchClassifier

    loss, shape = nn.CrossEntropyLoss(), tuple(x.shape[1:])
    return PyTorchClassifier(net, loss, shape, classes, clip_values=(0.0, 1.0), device_type="cpu")


def load(path: Path | None = None) -> list[Peer]:
    """All peers of ``peers.toml``.

    Raises:
        ValueError: a peer has none or more than three settings, or a setting has no reason or no source.
    """
    path = path or Path(__file__).with_name("peers.toml")
    out = []
    for p in tomllib.loads(path.read_text("utf-8"))["peer"]:
        common = p.pop("options", {})
        tried = tuple(Setting(**{**t, "options": common | t.get("options", {})}) for t in p.pop("tried", ()))
        if not 1 <= len(tried) <= 3:
            raise ValueError(f"Expected one to three settings of {p['name']}, but there were {len(tried)}. Mend {path}.")
        for t in tried:
            if not (t.why and t.source):
                raise ValueError(f"Expected a reason and a source of {p['name']}, {t.label}, but one was empty. Mend {path}.")
        out.append(Peer(tried=tried, **p))
    return out


def by_part(part: str) -> dict[str, Peer]:
    return {p.name: p for p in load() if p.part == part}


@cache
def _peers() -> dict[tuple[str, str], Peer]:
    return {(p.part, p.name): p for p in load()}


def version(toolkit: str) -> str:
    """Its package and version."""
    package = "adversarial-robustness-toolbox" if toolkit == "art" else toolkit
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package


@dataclass(frozen=True, repr=False)
class Entry(PerImage):
    """A peer as an attack. Rows are moved into the threat before they are answered, but for those that walk from outside it.

    Args:
        setting: which of those in ``peers.toml``, from 1; 0 is the one that did best on choosing ground, the first where that was not
            measured.
    """

    setting: int = 0
    needs_images: ClassVar[bool] = True
    part: ClassVar[str]
    peer: ClassVar[str]
    best: ClassVar[int]

    def __init_subclass__(cls, part: str, peer: str, best: int = 1) -> None:
        cls.part, cls.peer, cls.best = part, peer, best
        norm, cls.access, cls.minimises = SERVES[part]
        cls.norms = (norm,)

    def __post_init__(self) -> None:
        if not 0 <= self.setting <= (most := len(self.of.tried)):
            raise ValueError(f"Expected setting to be 0 to {most} for {self.peer}, but it was {self.setting}.")

    @property
    def of(self) -> Peer:
        return _peers()[self.part, self.peer]

    @property
    def how(self) -> Setting:
        return self.of.tried[(self.setting or self.best) - 1]

    @property
    def remember(self) -> bool:  # type: ignore[override]
        return self.how.remember

    def __repr__(self) -> str:
        more = "".join(f", {name}" for name in ("remember", "probabilities") if getattr(self.how, name))
        return f"{type(self).__qualname__}({version(self.of.toolkit)} {self.of.kind}, {self.how.options}{more})"

    def search(self, model: nn.Module, x: Tensor, y: Tensor, job: Job) -> None:
        if job.targeted:
            raise ValueError(f"Expected any wrong class to be the goal for {type(self).__qualname__}, but a class was to be reached.")
        self.of.attack(model, x, y, job.threat, job.budget, job.seed, self.how, job.classes)


# ---- scores, Linf ----------------------------------------------------------------------------------------------------------------


class TorchattacksSquare(Entry, part="linf", peer="torchattacks Square", best=2):
    """torchattacks' Square."""


class ARTSquare(Entry, part="linf", peer="ART Square", best=3):
    """ART's Square, which asks three rows an iteration, two of them again."""


class ARTSquareOnce(Entry, part="linf", peer="ART Square, repeats free"):
    """ART's Square as it would be without its repeats."""


class ARTSimBA(Entry, part="linf", peer="ART SimBA px"):
    """ART's SimBA, a pixel at a time."""


class ARTSimBADCT(Entry, part="linf", peer="ART SimBA dct", best=2):
    """ART's SimBA over waves; its settings want images of 32 pixels."""


# ---- scores, L2, and pixels ------------------------------------------------------------------------------------------------------


class TorchattacksSquareL2(Entry, part="l2", peer="torchattacks Square"):
    """torchattacks' Square in L2."""


class ARTSquareL2(Entry, part="l2", peer="ART Square"):
    """ART's Square in L2."""


class ARTSimBAL2(Entry, part="l2", peer="ART SimBA px"):
    """ART's SimBA in L2, a pixel at a time."""


class ARTSimBADCTL2(Entry, part="l2", peer="ART SimBA dct"):
    """ART's SimBA in L2, over waves."""


class ARTZOO(Entry, part="l2", peer="ART ZOO"):
    """ART's ZOO."""


class TorchattacksOnePixel(Entry, part="pixels", peer="torchattacks OnePixel"):
    """torchattacks' one pixel attack, with as many as the threat allows."""


# ---- labels ----------------------------------------------------------------------------------------------------------------------


class FoolboxHopSkipJump(Entry, part="labels", peer="foolbox HopSkipJump Linf", best=3):
    """foolbox' HopSkipJump in Linf."""


class ARTHopSkipJump(Entry, part="labels", peer="ART HopSkipJump Linf", best=2):
    """ART's HopSkipJump in Linf."""


class FoolboxHopSkipJumpL2(Entry, part="near", peer="foolbox HopSkipJump", best=2):
    """foolbox' HopSkipJump in L2."""


class ARTHopSkipJumpL2(Entry, part="near", peer="ART HopSkipJump", best=2):
    """ART's HopSkipJump in L2."""


class ARTSignOPT(Entry, part="near", peer="ART SignOPT"):
    """ART's Sign-OPT."""


class ARTGeoDA(Entry, part="near", peer="ART GeoDA"):
    """ART's GeoDA, which leaves a file of its basis where it runs."""


class FoolboxBoundary(Entry, part="near", peer="foolbox Boundary"):
    """foolbox' boundary attack."""


class ARTBoundary(Entry, part="near", peer="ART Boundary"):
    """ART's boundary attack."""
