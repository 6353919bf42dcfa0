"""The ground on which every figure rests, as ``ground.toml`` names it: targets, images, nets of one's own, seeds; for *choosing*
settings, or for *reporting*, never both.

    case = ground.case("densenet", root)            # the net, and the images that it has right
    for name in ground.targets("reporting", "cifar"): ...
    ground.seeds("reporting"), ground.prior("two", root)
"""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from experiments import nets
from experiments.cases import Case, chosen

FILE = Path(__file__).with_suffix(".toml")
USES = ("choosing", "reporting")
CLASSES = {"cifar": 10, "mnist": 10, "imagenet": 1000}
SHAPES = {"cifar": (3, 32, 32), "mnist": (1, 28, 28), "imagenet": (3, 32, 32)}  # of nets of one's own
NEAR = 5.0  # the same image, once JPEG, is at most 3 away; the nearest other one more than 5


@lru_cache(maxsize=1)
def ground() -> dict[str, dict[str, Any]]:
    """The file's tables."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def entry(table: str, name: str) -> dict[str, Any]:
    """One entry of a table. Raises ValueError: it has none of this name."""
    known = ground()[table]
    if name not in known:
        raise ValueError(f"Expected one of the {table} of {FILE.name} ({', '.join(known)}), but it was {name!r}.")
    return dict(known[name])


def _is_for(use: str) -> str:
    if use not in USES:
        raise ValueError(f"Expected a use of the ground, {' or '.join(USES)}, but it was {use!r}.")
    return use


def seeds(use: str) -> tuple[int, ...]:
    return tuple(ground()["seeds"][_is_for(use)])


def targets(use: str, data: str | None = None) -> list[str]:
    """Names of the targets for choosing, or of those that are reported on; data: those of cifar, mnist or imagenet alone."""
    return [
        name for name, target in ground()["targets"].items()
        if target["use"] == _is_for(use) and data in (None, data_of(name))
    ]  # fmt: skip


def data_of(target: str) -> str:
    return str(entry("images", entry("targets", target)["images"])["data"])


def threat(text: str) -> bb.Threat:
    """``Linf 8/255`` as the file writes it."""
    norm, _, eps = text.partition(" ")
    return {"Linf": bb.Linf, "L2": bb.L2}[norm](float(Fraction(eps)))  # type: ignore[no-any-return]


class InPieces(nn.Module):
    """A net that evaluates a few rows at once; rows do not depend on each other, so that only the time changes."""

    def __init__(self, inner: nn.Module, rows: int) -> None:
        super().__init__()
        self.inner, self.rows = inner, rows

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.inner(piece) for piece in x.split(self.rows)])


def net(name: str, root: Path) -> nn.Module:
    """A target's net: images in [0, 1] -> scores."""
    made, rows = _net(name, root), entry("targets", name).get("rows_a_call")
    return InPieces(made, rows).eval() if rows else made


def _net(name: str, root: Path) -> nn.Module:
    target = entry("targets", name)
    if "own" in target:
        return members(target["own"], root)[0]
    path = root / "weights" / f"{target['weights']}.safetensors"
    if "loader" in target:
        return loader(target["loader"], root).load(str(path)).eval()  # type: ignore[no-any-return]
    data = data_of(name)
    if data == "imagenet":  # this one holds its own normalisation
        return sg.from_spec(f"{target['spec']}:{path}", classes=1000, shape=(3, target["side"], target["side"]), mean=0, std=1)
    return sg.from_spec(f"{target['spec']}:{path}", shape=SHAPES[data])


def loader(name: str, root: Path) -> ModuleType:
    """A module of the data folder's loaders."""
    folder = str((root / "loaders").resolve())
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


def images(name: str, root: Path, side: int | None = None) -> tuple[sg.Dataset, Tensor]:
    """A set of images, and their places in its file: an image's id."""
    rule = entry("images", name)
    kind, _, path = rule["file"].partition(":")
    more: dict[str, Any] = {"size": side} if side else {}
    if rule["data"] == "imagenet":
        more["classes"] = root / "imagenet" / "classes.txt"
    data = sg.load(f"{kind}:{root / path}", **more)
    kept = torch.ones(len(data), dtype=torch.bool)
    for mask, value in rule.get("marked", {}).items():
        with np.load(root / path) as file:
            kept &= torch.from_numpy(file[mask].astype(bool)) == value
    if "part" in rule:
        places = torch.arange(len(data))
        kept &= (places >= rule["part"][0]) & (places < rule["part"][1])
    for word in {"without", "within"} & set(rule):
        other, _ = images(rule[word], root)
        apart = torch.cdist(data.images.flatten(1), other.images.flatten(1)).amin(1) > NEAR
        kept &= apart if word == "without" else ~apart
    index = kept.nonzero()[:, 0]
    return data.take(index), index


def case(name: str, root: Path, among: str | None = None, count: int | None = None, use: str | None = None) -> Case:
    """A target and the images of its ground that it has right.

    Args:
        name: of the target. root: the data folder.
        among: another set of images of the same use than the target's own: ``"jpeg"``.
        count: so many of the images, spread evenly over them, and so over the classes; by default what the ground says.
        use: what the caller does with it; an error where the ground keeps the target for the other.

    Raises:
        ValueError: there is no such target or set, it is kept for another use, or it has too few images.
    """
    target = entry("targets", name)
    rule = entry("images", among or target["images"])
    for what, kept in ((f"target {name}", target["use"]), (f"set of images {among}", rule["use"])):
        if kept != (_is_for(use) if use else target["use"]):
            raise ValueError(f"Expected what is kept for {use or target['use']}, but the {what} is for {kept}; see {FILE.name}.")
    if rule["data"] != data_of(name):
        raise ValueError(f"Expected images of {data_of(name)} for {name}, but {among} are of {rule['data']}.")
    hidden = net(name, root)
    data, places = images(among or target["images"], root, target.get("side"))
    right = int((sg.predict(hidden, data.images) == data.labels).sum())
    some = chosen(hidden, data, count or min(rule.get("count", right), right), spread=True)
    return Case(
        target["title"], hidden, data.images[some], data.labels[some], threat(target["threat"]),
        own=data.images[:0], key=name, ids=places[some], among=among or target["images"], family=target["family"],
        robust=target["robust"], classes=CLASSES[rule["data"]], data=rule["data"],
    )  # fmt: skip


# ---- nets of one's own ---------------------------------------------------------------------------------------------------------


def priors(data: str) -> list[str]:
    """The priors for images of a kind, without its name before them: ``two``, ``untrained`` ..."""
    return [name.removeprefix(f"{data}-") for name, one in ground()["priors"].items() if one["data"] == data]


def _prior(name: str, data: str) -> dict[str, Any]:
    return entry("priors", name if data == "cifar" else f"{data}-{name}")


def members(name: str, root: Path, data: str = "cifar") -> list[nn.Module]:
    """The nets of a prior: trained once and kept (`experiments.nets`), or with random weights."""
    made = _prior(name, data)
    if made["kind"] == "misled":
        return members(made["of"].removeprefix(f"{data}-"), root, data)
    if made["kind"] == "untrained":
        built = [sg.build(one["arch"], CLASSES[data], SHAPES[data], seed=100 + i) for i, one in enumerate(made["nets"])]
        return [nn.Sequential(nn.AdaptiveAvgPool2d(32), net).eval() for net in built] if data == "imagenet" else built
    found = []
    for one in made["nets"]:
        more = {word: one[word] for word in ("snapshots", "adversarial") if word in one}
        plan = nets.Plan(one["arch"], one["epochs"], one["weight_decay"], made["learned"], **more)
        found += nets.family(root, plan, one.get("seed", 0))
    return found


def prior(name: str, root: Path, data: str = "cifar") -> Any:
    """What an attack is given as its ``prior``."""
    inner = sg.prior(members(name, root, data))
    return Misled(inner) if _prior(name, data)["kind"] == "misled" else inner


def learned(name: str, data: str = "cifar") -> dict[str, Any]:
    """What a prior's nets learned from: ``what``, ``of_the_targets``, ``attacked``; nothing for those that did not learn."""
    made = _prior(name, data)
    if made["kind"] == "misled":
        made = entry("priors", made["of"])
    return entry("learned", made["learned"]) if "learned" in made else {}


def holds(name: str, target: str, data: str = "cifar") -> bool:
    """Is a target for choosing that is a net of one's own among the nets of a prior?"""
    about, made = entry("targets", target), _prior(name, data)
    made = entry("priors", made["of"]) if made["kind"] == "misled" else made
    if "own" not in about or made["kind"] == "untrained":
        return False
    hidden = entry("priors", about["own"])
    return made["learned"] == hidden["learned"] and hidden["nets"][0] in made["nets"]


class Misled:
    """A prior whose gradients point the wrong way, and whose logits are honest: poisoned surrogates."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __repr__(self) -> str:
        return f"negated {self.inner!r}"

    def view(self, members: Any = None, few: bool = False) -> Misled:
        return Misled(self.inner.view(members, few))

    def gradient(self, x: Tensor, pull: Any) -> Tensor:
        return -self.inner.gradient(x, pull)


# ---- is it kept apart? ---------------------------------------------------------------------------------------------------------


def apart(one: str, other: str, tables: dict[str, dict[str, Any]] | None = None) -> bool:
    """Do the rules of two sets of images say that they share none? Told from the names and rules alone."""
    a, b = (dict((tables or ground())["images"][name]) for name in (one, other))
    if other == a.get("without") or one == b.get("without") or a["data"] != b["data"]:
        return True
    if "within" in a or "within" in b:
        return apart(a.get("within", one), b.get("within", other), tables)
    if a["file"] != b["file"]:
        return False
    if any(a["marked"][mask] != b["marked"][mask] for mask in set(a.get("marked", {})) & set(b.get("marked", {}))):
        return True
    (low, high), (start, end) = (rule.get("part", (0, float("inf"))) for rule in (a, b))
    return bool(high <= start or end <= low)


def offences(tables: dict[str, dict[str, Any]] | None = None) -> Iterable[str]:
    """What is on both sides of the ground, in words."""
    t = ground() if tables is None else tables
    if shared := set(t["seeds"]["choosing"]) & set(t["seeds"]["reporting"]):
        yield f"seeds {sorted(shared)} are for choosing and for reporting"
    for name, target in t["targets"].items():
        if target["use"] != t["images"][target["images"]]["use"]:
            yield f"the target {name} is for {target['use']}, but its images {target['images']} are not"
    for name, task in t["tasks"].items():
        if task["use"] != t["images"][task["images"]]["use"]:
            yield f"the task {name} is for {task['use']}, but its images {task['images']} are not"
    weights = [(target.get("weights"), target["use"]) for target in t["targets"].values() if "weights" in target]
    for file in {w for w, use in weights if use == "choosing"} & {w for w, use in weights if use == "reporting"}:
        yield f"the weights {file} are for choosing and for reporting"
    sets = {use: [name for name, rule in t["images"].items() if rule["use"] == use] for use in USES}
    for one in sets["choosing"]:
        yield from (f"the images {one} and {other} may share some" for other in sets["reporting"] if not apart(one, other, t))
    for what, how in t["chosen"].items():
        wrong = [name for name in how["targets"] if t["targets"].get(name, {}).get("use") != "choosing"]
        wrong += [f"seed {seed}" for seed in how.get("seeds", ()) if seed not in t["seeds"]["choosing"]]
        yield from (f"{what} was chosen on {name}, which is not for choosing" for name in wrong)
