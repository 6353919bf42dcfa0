"""What must not change while files move: digests of everything the toolkit computes, on problems of a few pixels.

    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/e2e/record.py            compare with record.json; exit code 1 on a difference
    ... record.py --only attack/square,craft/    only keys that begin so      --jobs 2    in two processes
    ... record.py --write                        write record.json anew       --times     the slowest keys
    ... record.py --write-old                    write the files of old/ anew (only ever by the code whose files they stand for)

Only public names are used: what `blackbox`, `surrogates` and their packages export, and the command line. A digest is of
values (shapes, types, bytes), never of a repr; what cannot be run is recorded as the name of its exception. The table belongs
to one kind of processor and one torch: elsewhere write it with the old code first.
"""

# ruff: noqa: E402  (threads are counted before torch is imported)
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MKL_CBWR", "AVX2")  # products that do not depend on how a row lies in memory

import argparse
import contextlib
import csv
import enum
import hashlib
import io
import json
import logging
import runpy
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox import targets as channels
from blackbox.sweep import Plan, Store, Study, Table
from blackbox.testing import Failing, Recording, ReluNet, affine_problem

HERE = Path(__file__).resolve().parent
TABLE, OLD = HERE / "record.json", HERE / "old"
CASES: dict[str, Callable[[], Any]] = {}

# -- digests -----------------------------------------------------------------------------------------------------------


def _feed(h: Any, v: Any) -> None:
    if isinstance(v, Tensor):
        v = v.detach().cpu().numpy() if v.dtype is not torch.bfloat16 else v.detach().float().cpu().numpy()
    if isinstance(v, enum.Enum):
        h.update(f"enum {v.name};".encode())
    elif isinstance(v, (np.ndarray, np.generic)):
        v = np.asarray(v)
        if v.dtype.kind == "f":
            v = np.where(np.isnan(v), np.array(np.nan, v.dtype), v)  # one NaN is like another
        if v.dtype.kind in "OUS":
            _feed(h, v.tolist())
        else:
            h.update(f"{v.dtype.str}{v.shape};".encode() + np.ascontiguousarray(v).tobytes())
    elif v is None or isinstance(v, (bool, int, str)):
        h.update(f"{type(v).__name__} {v};".encode())
    elif isinstance(v, float):
        h.update(b"float" + struct.pack("<d", float("nan") if v != v else v))
    elif isinstance(v, (bytes, bytearray)):
        h.update(b"bytes" + bytes(v))
    elif isinstance(v, dict):
        h.update(f"dict {len(v)};".encode())
        for key in sorted(v, key=str):
            _feed(h, str(key))
            _feed(h, v[key])
    elif isinstance(v, (list, tuple)):
        h.update(f"list {len(v)};".encode())
        for one in v:
            _feed(h, one)
    else:
        raise TypeError(f"no digest of a {type(v).__name__}")


def digest(*values: Any) -> str:
    h = hashlib.sha256()
    for value in values:
        _feed(h, value)
    return h.hexdigest()[:16]


def plain(thing: Any) -> Any:
    """Public numbers of a rate, an estimate and the like, by name (never its repr)."""
    if thing is None or isinstance(thing, (bool, int, float, str, Tensor, np.ndarray, np.generic, enum.Enum)):
        return thing
    if isinstance(thing, dict):
        return {str(k): plain(v) for k, v in thing.items()}
    if hasattr(thing, "_asdict"):
        return {k: plain(v) for k, v in thing._asdict().items()}
    if isinstance(thing, (list, tuple)):
        return [plain(v) for v in thing]
    if isinstance(thing, bb.Rate):
        return [thing.k, thing.n, thing.low, thing.high]
    return {k: plain(getattr(thing, k)) for k in thing.__dataclass_fields__}


def weights(net: nn.Module) -> str:
    return digest(dict(net.state_dict()))


COLUMNS = (
    "success", "queries", "first_success_query", "x_adv", "distance", "loss", "clean_loss", "clean_label", "verified", "y", "goal",
    "ids", "success_float", "adv_label", "clean_confidence", "adv_confidence", "prints", "trace",
)  # fmt: skip
ACCOUNTS = (
    "attack", "access", "threat", "budget", "seed", "objective", "targeted", "cohort", "votes", "eight_bit", "detection", "verify_rows",
    "failed_rows", "carried", "retried_rows", "parts",
)  # fmt: skip


def outcome(r: bb.AttackResult) -> list[Any]:
    prior, book = r.config.get("prior"), r.config.get("journal")
    return [
        [getattr(r, name) for name in COLUMNS],
        [s.name for s in r.status],
        {name: r.config.get(name) for name in ACCOUNTS},
        prior and {k: prior[k] for k in ("members", "gradients", "passes", "gradients_per_image")},
        book and {k: book[k] for k in ("paid", "replayed", "cached", "in_doubt")},
    ]


def told(r: bb.AttackResult, *more: Any) -> str:
    """The digest, and what a reader may want to know of it."""
    return f"{digest(outcome(r), *more)} {int(r.success.sum())} of {len(r)}, {int(r.queries.sum())} queries"


def case(key: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def keep(f: Callable[[], Any]) -> Callable[[], Any]:
        add(key, f)
        return f

    return keep


def add(key: str, f: Callable[..., Any], *args: Any, **settings: Any) -> None:
    assert key not in CASES, key
    CASES[key] = partial(f, *args, **settings)


# -- problems ----------------------------------------------------------------------------------------------------------

NORMS: dict[str, Callable[[float], Any]] = {"Linf": bb.Linf, "L2": bb.L2, "L1": bb.L1, "L0": bb.L0}
EPS = {"grey": {"Linf": 0.03, "L2": 0.3, "L1": 1.2, "L0": 3}, "colour": {"Linf": 0.03, "L2": 0.5, "L1": 3.0, "L0": 4}}
SHAPES = {"grey": (1, 8, 8), "colour": (3, 8, 8)}
C = 4


def threat(norm: str, kind: str = "grey", factor: float = 1.0) -> bb.Threat:
    eps = EPS[kind][norm] * factor
    return NORMS[norm](int(eps) if norm == "L0" else eps)


class Residual(nn.Module):
    """A small net with what the attacks on insides look for: convolutions, batch norms, a sum, ReLUs, pooling, a last layer."""

    def __init__(self, channels: int, seed: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.inner = nn.Conv2d(6, 6, 3, padding=1)
        self.inner_norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 8, 3, padding=1)
        self.pool, self.act, self.act2, self.act3 = nn.MaxPool2d(2), nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.last = nn.Linear(8 * 16, C)
        _fill(self, seed)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.first(2 * x - 1)))
        x = self.act2(x + self.inner_norm(self.inner(x)))
        return self.last(self.pool(self.act3(self.second(x))).flatten(1))


def _fill(net: nn.Module, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.ndim > 1:
                p.copy_(torch.randn(p.shape, generator=draw) * (2.0 / p[0].numel()) ** 0.5 * (2 if name.startswith("last") else 1))
            elif name.endswith("bias"):
                p.copy_(0.1 * torch.randn(p.shape, generator=draw))
        for name, b in net.named_buffers():
            if name.endswith("running_mean"):
                b.copy_(0.2 * torch.randn(b.shape, generator=draw))
            elif name.endswith("running_var"):
                b.copy_(0.5 + torch.rand(b.shape, generator=draw))
    net.eval()


def near(target: ReluNet, blur: float, seed: int) -> nn.Module:
    """A net close to the target: what a prior is worth."""
    w, b, o = target.weight.flatten(1), target.bias, target.out
    net = nn.Sequential(nn.Flatten(), nn.Linear(w.shape[1], len(w)), nn.ReLU(), nn.Linear(len(w), len(o), bias=False))
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p, v in zip(net.parameters(), (w, b, o), strict=True):
            p.copy_(v + blur * torch.randn(v.shape, generator=draw))
    return net.eval()


@cache
def target(kind: str) -> Any:
    return ReluNet.random(SHAPES["grey"], C, 12, seed=1) if kind == "grey" else Residual(3, seed=1)


@cache
def images(kind: str = "grey", n: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images, half noise and half smooth, and the target's labels; the last one is labelled wrongly where n is 5."""
    rng = np.random.default_rng(seed)
    c, h, w = SHAPES[kind]
    rough, smooth = rng.uniform(0.1, 0.9, (n, c, h, w)), rng.uniform(0.1, 0.9, (n, c, 2, 2)).repeat(h // 2, 2).repeat(w // 2, 3)
    x = torch.tensor((rough + smooth) / 2, dtype=torch.float32)
    with torch.no_grad():
        y = target(kind)(x).argmax(1)
    if n == 5:
        y[4] = (y[4] + 1) % C
    return x, y


@cache
def prior_nets(kind: str = "grey") -> tuple[nn.Module, ...]:
    if kind == "grey":
        return near(target("grey"), 0.4, 5), sg.build("mlp", C, SHAPES["grey"], seed=3)
    return Residual(3, seed=12), sg.build("cnn", C, SHAPES["colour"], seed=3)


def prior(kind: str = "grey") -> Any:
    return sg.prior(list(prior_nets(kind)), chunk=4)


class Asked(Recording):
    """Which points were asked, whatever their order."""

    def points(self) -> str:
        return digest(sorted((hashlib.sha256(k).hexdigest(), v) for k, v in self.tally().items()))


def goal(y: Tensor) -> Tensor:
    return (y + 1) % C


def shown(kind: str, access: str, model: Any = None, **more: Any) -> bb.Oracle:
    more = {"k": 2, "returns": "logits", "rows_per_call": 16, **more}
    return bb.Oracle(target(kind) if model is None else model, access, C, **more)


def run(
    name: Any, access: str = "scores", norm: str = "Linf", targeted: bool = False, kind: str = "grey", budget: int = 100,
    needs: bool | None = None, oracle: dict[str, Any] | None = None, wrap: Callable[[Any], Any] | None = None, factor: float = 1.0,
    start: bool = False, **settings: Any,
) -> str:  # fmt: skip
    x, y = images(kind)
    if needs is None:
        needs = isinstance(name, str) and name in bb.attacks.with_prior() and name != "auto"
    asked = Asked(target(kind))
    front = shown(kind, access, asked if wrap is None else wrap(asked), **(oracle or {}))
    if targeted:
        settings["target"], factor = goal(y), factor * (1 if norm == "L0" else 1.7)
    if start:
        pool, classes = images(kind, 40, seed=7)
        settings["start"] = bb.starts(pool, classes, goal(y), seed=1)
    if needs:
        settings["prior"] = prior(kind)
    if not isinstance(name, str):
        name = name()
    r = bb.attack(front, x, y, name, threat(norm, kind, factor), budget, **settings)
    return told(r, dict(front.counts), front.rows, asked.points())


# -- attacks: every name, what the target shows, norm, goal --------------------------------------------------------------

for _a in bb.attacks.names():
    _kind = bb.attacks.get(_a)
    for _access in ("labels", "topk", "scores", "logits"):
        for _norm in NORMS:
            for _t in (False, True):
                _key = f"attack/{_a}/{_access}/{_norm.lower()}/{'targeted' if _t else 'untargeted'}"
                add(_key, run, _a, _access, _norm, _t)
    for _norm in _kind.norms:
        _access = "labels" if _kind.access == 0 and _a not in ("hybrid", "auto") else "scores"
        add(f"colour/{_a}/{_access}/{_norm.lower()}", run, _a, _access, _norm, kind="colour", budget=20 if _a == "bases" else 60)
        if _kind.access == 0:
            add(f"start/{_a}/{_norm.lower()}/targeted", run, _a, "labels", _norm, True, start=True, budget=150)
            add(f"far/{_a}/{_norm.lower()}", run, _a, "labels", _norm, False, budget=250, factor=0.5 if _norm != "L0" else 1.0)

for _access in ("labels", "scores"):
    for _norm in ("Linf", "L2", "L1", "L0"):
        for _t in (False, True):
            _key = f"auto with prior/{_access}/{_norm.lower()}/{'targeted' if _t else 'untargeted'}"
            add(_key, run, "auto", _access, _norm, _t, needs=True)
for _a in ("hybrid", "auto"):
    add(f"prior/{_a}/colour/labels", run, _a, "labels", kind="colour", needs=True, budget=60)
    add(f"prior/{_a}/colour/targeted", run, _a, "scores", targeted=True, kind="colour", needs=True, budget=60)
    add(f"prior/{_a}/smaller radius", run, _a, "scores", needs=True, factor=0.5, budget=250)
    add(f"prior/{_a}/smaller radius, labels", run, _a, "labels", needs=True, factor=0.5, budget=250)

# settings other than the papers'; each is built when it is run
_SETTINGS: dict[str, list[dict[str, Any]]] = {
    "fd-fgsm": [{"method": m, "count": 20, "size": 4} for m in ("groups", "blocks", "pca", "dct", "tiles")]
    + [{"two_sided": False}, {"gradually": True, "method": "groups"}, {"gradually": True, "method": "dct", "count": 30}]
    + [{"gradually": True, "method": "dct", "count": 30, "two_sided": False}],
    "fd-ifgsm": [{"method": "groups", "steps": 4}, {"method": "groups", "momentum": 0.9, "steps": 4}],
    "nes": [{"own": True, "samples": 10}, {"samples": 20, "momentum": 0.0}],
    "nes-partial": [{"own": True, "samples": 10}],
    "nes-labels": [{"own": True, "samples": 10}, {"samples": 10, "points": 3}],
    "spsa": [{"own": True, "samples": 10}],
    "zo-signsgd": [{"own": True, "samples": 10}],
    "simba": [{"basis": "dct"}, {"basis": "dct", "low": 0.5}],
    "square": [{"p_init": 0.1}],
    "signhunter": [{"order": "flat"}, {"order": "columns"}, {"order": "channel-tiles"}, {"start": "stripes"}],
    "bandits": [{"tiles": 4}, {"tiles": 2, "probe": 0.1, "exploration": 0.5}],
    "parsimonious": [{"block": 2}, {"block": 4, "batch": 8}],
    "sparse": [{"alpha_init": 0.1}],
    "evolution": [{"tiles": 2}, {"population": 4, "sigma": 0.5}],
    "zoo": [{"side": 4}, {"coordinates": 16}],
    "hop-skip-jump": [{"noise": "dct", "evals": 20}, {"evals": 20, "tries": 4}, {"noise": "resize", "evals": 20, "share": 0.5}],
    "geoda": [{"noise": "white", "evals": 20}],
    "qeba": [{"noise": "white", "evals": 20}],
    "tangent": [{"noise": "dct", "evals": 20}, {"ratio": 1.5, "evals": 20}],
    "rays": [{"tolerance": 0.01}],
    "sign-flip": [{"alpha": 0.02, "flip": 0.05}],
    "sign-opt": [{"probes": 20, "directions": 5}],
    "surfree": [{"noise": "white"}, {"past": 5}],
    "boundary": [{"sphere": 0.05, "inwards": 0.05}],
}
_WITH_PRIOR: dict[str, list[dict[str, Any]]] = {
    "p-rgf": [{"samples": 4, "looks": 2}],
    "simba-ods": [{"step_size": 0.05}],
    "gfcs": [{"step_size": 0.05}],
    "bases": [{"steps": 3, "rate": 0.5}],
    "transfer-start": [
        {"attack": "hop-skip-jump"}, {"attack": "hop-skip-jump", "candidates": True}, {"candidates": True}, {"attack": "rays"},
        {"attack": "sign-flip", "candidates": True}, {"attack": "boundary"}, {"attack": "surfree", "candidates": True},
    ],
    "hybrid": [{"trust": (0.0, 0.0, 0.0)}, {"trust": (1.0, 1.0, 1.0)}],
}  # fmt: skip


def settled(name: str, known: bool, **settings: Any) -> str:
    kind = bb.attacks.get(name)
    if name in ("fd-fgsm",) and settings.get("method") == "pca":
        settings["images"] = images("grey", 40, seed=7)[0]

    def made() -> Any:
        return bb.attacks.build(name, **settings, **({"prior": prior()} if known else {}))

    access = "labels" if (kind.access == 0 and not known) or settings.get("attack", "square") != "square" else "scores"
    norm = "L2" if settings.get("attack") in ("hop-skip-jump", "boundary", "surfree") else kind.norms[0]
    return run(made, access, norm, budget=150)


for _known, _table in ((False, _SETTINGS), (True, _WITH_PRIOR)):
    for _a, _grid in _table.items():
        for _i, _settings in enumerate(_grid):
            _words = ", ".join(f"{k}={v}" for k, v in _settings.items())
            add(f"settings/{_a}/{_words}", settled, _a, _known, **_settings)

add("settings/sign-opt/long", run, lambda: bb.attacks.build("sign-opt", probes=10, directions=5), "labels", "L2", budget=500, factor=0.5)
add("settings/fd-fgsm/poor", run, lambda: bb.attacks.build("fd-fgsm", method="groups", size=4), budget=10)
add("settings/fd-fgsm/poor, gradually", run, lambda: bb.attacks.build("fd-fgsm", method="groups", gradually=True), budget=21)
for _b, _make_basis in {"tiles": lambda: bb.bases.Tiles(2), "dct": lambda: bb.bases.DCT(0.5)}.items():
    for _a in ("hop-skip-jump", "qeba", "surfree"):
        add(f"settings/{_a}/noise in {_b}", run, lambda a=_a, b=_make_basis: bb.attacks.build(a, noise=b()), "labels", "L2", budget=200)
for _a, _norm in (("rays", "Linf"), ("sign-flip", "Linf"), ("hop-skip-jump", "L2")):
    _make_start = lambda a=_a: bb.attacks.build("transfer-start", prior=prior(), attack=a, candidates=True)  # noqa: E731
    add(f"settings/transfer-start/{_a}, far", run, _make_start, "labels", _norm, factor=0.2, budget=150)

# gradient estimators, in the attack that takes any
_E = bb.estimators


def guess(t: Any, x: Tensor, k: int) -> Tensor:
    """A direction for P-RGF: a fixed net's gradient of one logit."""
    with torch.enable_grad():
        given = x.detach().requires_grad_()
        return torch.autograd.grad(prior_nets()[0](given)[:, 0].sum(), given)[0]


_ESTIMATORS: dict[str, Callable[[], Any]] = {
    "coordinates": lambda: _E.Coordinates(),
    "coordinates, one-sided": lambda: _E.Coordinates(two_sided=False, block=16),
    "groups": lambda: _E.Groups(size=4),
    "groups of neighbours": lambda: _E.Groups(size=8, finest=2, neighbours=True),
    "subspace, dct": lambda: _E.Subspace(bb.bases.DCT(low=0.5)),
    "subspace, tiles": lambda: _E.Subspace(bb.bases.Tiles(2), two_sided=False),
    "subspace, pca": lambda: _E.Subspace(bb.bases.pca(images("grey", 40, seed=7)[0], 10), first=4),
    "gaussian": lambda: _E.Gaussian(samples=20),
    "gaussian, own": lambda: _E.Gaussian(samples=20, own=True, two_sided=False),
    "rademacher": lambda: _E.Rademacher(samples=20, own=True),
    "prior": lambda: _E.PriorGuided(guess, samples=10, looks=4),
}
for _e, _make in _ESTIMATORS.items():
    for _a in ("fd-fgsm", "fd-ifgsm"):
        add(f"estimator/{_a}/{_e}", run, lambda a=_a, m=_make: bb.attacks.build(a, estimator=m()), budget=150)

# -- options of a run ----------------------------------------------------------------------------------------------------

_TRY = ("square", "simba", "nes", "hop-skip-jump", "rays", "hybrid")
_LABELS = {"hop-skip-jump": "labels", "rays": "labels"}


def option(key: str, names: tuple[str, ...] = _TRY, **how: Any) -> None:
    for name in names:
        add(f"option/{key}/{name}", run, name, **{"access": _LABELS.get(name, "scores"), **how})


option("votes=3", votes=3)
option("eight_bit", eight_bit=True)
option("eight_bit, 8-bit target", eight_bit=True, wrap=channels.EightBit, oracle={"returns": "auto"})
option("decimals=2", names=("square", "nes", "simba", "fd-ifgsm", "spsa", "hybrid", "p-rgf", "bandits"), oracle={"decimals": 2})
option("probe=1/255", names=("nes", "fd-ifgsm", "zoo", "hop-skip-jump", "sign-flip", "hybrid"), oracle={"probe": 1 / 255}, norm="L2")
option("probe=1/255, linf", names=("nes", "fd-ifgsm", "sign-flip", "rays", "hybrid"), oracle={"probe": 1 / 255})
option("noise=0.01", names=("nes", "hop-skip-jump", "square"), oracle={"noise": 0.01})
option("randomised", oracle={"randomised": True})
option("rows_per_call=3", oracle={"rows_per_call": 3})
option("rows by themselves", oracle={"rows_per_call": None})
option("max_rows=2", oracle={"rows_per_call": None, "max_rows": 2})
option("cohort=2", cohort=2)
option("cohort=1", cohort=1)
option("seed=7", seed=7)
option("ids", ids=np.array([3, 141, 59, 2, 65]))
option("cross-entropy", objective="cross-entropy")
option("cross-entropy, targeted", objective="cross-entropy", targeted=True)
option("budget=1", budget=1)
option("budget=7", budget=7)
option("k=1", names=("square", "nes-partial", "hybrid", "bases"), access="topk", oracle={"k": 1})
option("k=4", names=("square", "nes-partial", "hybrid", "bases"), access="topk", oracle={"k": 4})
option("box", names=("square", "hop-skip-jump", "nes"))


def boxed(name: str) -> str:
    x, y = images()
    front = shown("grey", _LABELS.get(name, "scores"))
    return told(bb.attack(front, x.clamp(0.25, 0.75), y, name, bb.Linf(0.1, 0.25, 0.75), 60))


def unlimited(name: str, norm: str) -> str:
    x, y = images()
    return told(bb.attack(shown("grey", _LABELS.get(name, "labels")), x, y, name, NORMS[norm](float("inf")), 200))


for _a in ("square", "hop-skip-jump", "nes", "sign-flip"):
    add(f"option/narrow box/{_a}", boxed, _a)
for _a, _norm in (("hop-skip-jump", "L2"), ("tangent", "L2"), ("rays", "Linf"), ("surfree", "L2"), ("boundary", "L2"), ("sign-opt", "L2")):
    add(f"option/no limit/{_a}", unlimited, _a, _norm)

# what stands before a target
_CHANNELS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "labels only": (channels.LabelsOnly, "labels"),
    "top-k": (partial(channels.TopK, k=2), "topk"),
    "top-k as scores": (partial(channels.TopK, k=2), "scores"),
    "rounded": (partial(channels.Rounded, decimals=2), "scores"),
    "noisy": (partial(channels.Noisy, scale=0.02, seed=3), "scores"),
    "8-bit": (channels.EightBit, "scores"),
    "4 levels": (partial(channels.EightBit, levels=4), "scores"),
    "reverse sigmoid": (channels.ReverseSigmoid, "scores"),
    "jpeg": (channels.JPEG, "scores"),
    "input noise": (partial(channels.InputNoise, scale=0.02, seed=1), "scores"),
    "resize": (partial(channels.RandomResize, least=0.7, seed=1), "scores"),
    "blacklight": (partial(channels.Blacklight, window=5, kept=20, threshold=10), "scores"),
    "blacklight replay": (partial(channels.Blacklight, window=5, kept=20, threshold=10, action="replay"), "scores"),
    "stacked": (lambda m: channels.Rounded(channels.Noisy(channels.EightBit(m), 0.01, seed=2), 3), "scores"),
}
for _c, (_wrap, _access) in _CHANNELS.items():
    for _a in ("square", "nes", "hybrid", "hop-skip-jump", "sign-flip"):
        _shown = "labels" if _a in ("hop-skip-jump", "sign-flip") else _access
        add(f"channel/{_c}/{_a}", run, _a, _shown, wrap=_wrap, budget=60, oracle={"returns": "auto", "k": 2})
    add(f"channel/{_c}/answers", lambda w=_wrap: answers(w))


def answers(wrap: Callable[[Any], Any]) -> str:
    """What a channel shows of some images, asked twice, in calls of two sizes."""
    x, _ = images("colour", 12)
    made = wrap(target("colour"))
    out = []
    for part in (x[:5], x[5:], x[:5]):
        with torch.no_grad():
            got = made.predict(part)
        out.append([got.label, got.scores] if isinstance(got, channels.Answer) else got)
    flags = made.flags
    return digest(out, flags, float(made.probe), float(made.resolution), float(made.noise), bool(made.randomised))


@case("channel/retrying")
def _retrying() -> str:
    x, y = images()
    calls = [0]

    def moody(z: Tensor) -> Tensor:
        calls[0] += 1
        if calls[0] % 3 == 0:
            raise TimeoutError("not now")
        return target("grey")(z)

    front = shown("grey", "scores", channels.Retrying(moody, tries=3, sleep=lambda s: None))
    return told(bb.attack(front, x, y, "square", threat("Linf"), 60), front.retried, dict(front.counts))


@case("channel/oracle's replies")
def _replies() -> str:
    x, _ = images("colour", 12)
    out: list[Any] = []
    for access in ("labels", "topk", "scores", "logits"):
        for decimals in (None, 1):
            front = shown("colour", access, decimals=decimals)
            r = front(x)
            out.append([r.label, r.values, r.classes, r.total, r.confidence(), r.probabilities()])
            out.append([front.rows, front.calls, dict(front.counts)])
    return digest(out)


# kinds of target
def targeted_kinds(kind: str) -> str:
    x, y = images("colour", 12)
    if kind == "module":
        model: Any = target("colour")
    elif kind == "script":
        with tempfile.TemporaryDirectory() as folder:
            torch.jit.script(target("colour")).save(f"{folder}/net.pt")
            model = channels.ScriptTarget(f"{folder}/net.pt")
    elif kind == "exported":
        with tempfile.TemporaryDirectory() as folder:
            rows = torch.export.Dim("rows", min=2, max=64)
            torch.export.save(torch.export.export(target("colour"), (x,), dynamic_shapes=({0: rows},)), f"{folder}/net.pt2")
            model = channels.ExportedTarget(f"{folder}/net.pt2")
    elif kind == "function":
        model = lambda z: target("colour")(z)  # noqa: E731
    elif kind == "numpy":
        model = lambda z: target("colour")(torch.as_tensor(z)).numpy()  # noqa: E731
    elif kind == "labels":
        model = lambda z: target("colour")(z).argmax(1)  # noqa: E731
    else:
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.svm import SVC

        made = {"forest": RandomForestClassifier(5, random_state=0), "logistic": LogisticRegression(), "svc": SVC()}[kind]
        pool = images("colour", 60, seed=4)
        model = made.fit(pool[0].flatten(1).numpy(), pool[1].numpy())
        y = torch.as_tensor(model.predict(x.flatten(1).numpy()))
    front = bb.Oracle(model, "labels", C, rows_per_call=8)
    r = bb.attack(front, x[:5], y[:5], "rays", threat("Linf", "colour"), 40)
    if kind in ("labels", "svc"):
        return told(r)
    front = bb.Oracle(model, "scores", C, rows_per_call=8)
    return told(r, outcome(bb.attack(front, x[:5], y[:5], "square", threat("Linf", "colour"), 40)))


@case("target/http")
def _http() -> str:
    """A target behind `blackbox serve`, with keys and a journal, and what the server counts."""
    x, y = images()
    out: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder))
        y = ((x.flatten(1) - 0.5) @ torch.randn(4, 64, generator=torch.Generator().manual_seed(0)).T).argmax(1)
        words = ["serve", "target.py:linear", "--port", "0", "--shape", "1,8,8", "--classes", "4", "--access", "scores", "--max-rows", "8"]
        server = subprocess.Popen(
            [sys.executable, "-m", "blackbox", *words], cwd=folder, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )  # fmt: skip
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            for book in (None, f"{folder}/book", f"{folder}/book"):
                front = bb.Oracle(channels.HttpTarget(url), "scores", 4, rows_per_call=4)
                out.append(outcome(bb.attack(front, x, y, "square", bb.Linf(0.05), 30, journal=book)))
                out.append([dict(front.counts), dict(front.replayed), front.max_rows])
            with urllib.request.urlopen(f"{url}/v1/counts") as said:
                out.append(json.loads(said.read()))
            with urllib.request.urlopen(f"{url}/v1/info") as said:
                out.append({k: v for k, v in json.loads(said.read()).items() if k != "name"})
        finally:
            server.terminate()
            server.wait(20)
    return digest(out)


for _k in ("module", "script", "exported", "function", "numpy", "labels", "forest", "logistic", "svc"):
    add(f"target/{_k}", targeted_kinds, _k)


# what fails, and goes on
def failing(how: str, call: int) -> str:
    x, y = images()
    front = shown("grey", "scores", Failing(target("grey"), call, how), rows_per_call=4)
    try:
        return told(bb.attack(front, x, y, "square", threat("Linf"), 60))
    except (bb.TargetError, KeyboardInterrupt) as error:
        return f"{told(error.result, front.failed, dict(front.counts))} raises {type(error).__name__}"


for _how in ("raise", "interrupt", "nan", "inf", "shape", "drop", "flat", "object"):
    add(f"failing/{_how}", failing, _how, 9)
add("failing/first call", failing, "raise", 1)


def small(name: str) -> dict[str, Any]:
    """Settings of a run that stops and goes on."""
    kind = bb.attacks.get(name)
    needs = name in bb.attacks.with_prior() and name != "auto"
    access = "labels" if kind.access == 0 and name not in ("hybrid", "auto") else "scores"
    return {"access": access, "norm": kind.norms[0], "prior": prior() if needs else None}


def checkpointed(name: str, access: str | None = None, call: int = 20, targeted: bool = False) -> str:
    """Stopped at one call, and at another one, and gone on with the same file."""
    x, y = images()
    how = small(name)
    access = access or how["access"]
    out: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        for k in (call, call // 2, 10**9):
            front = shown("grey", access, Failing(target("grey"), k, "interrupt"), rows_per_call=4)
            try:
                r = bb.attack(
                    front, x, y, name, threat(how["norm"]), 60, prior=small(name)["prior"], checkpoint=Path(folder) / "file", cohort=3,
                    target=goal(y) if targeted else None,
                )  # fmt: skip
                out.append(outcome(r))
            except KeyboardInterrupt as error:
                out.append(outcome(error.result))  # type: ignore[attr-defined]
    alone = bb.attack(
        shown("grey", access, rows_per_call=4), x, y, name, threat(how["norm"]), 60, prior=small(name)["prior"], cohort=3,
        target=goal(y) if targeted else None,
    )  # fmt: skip
    same = torch.equal(alone.x_adv, r.x_adv) and torch.equal(alone.queries, r.queries)
    return f"{told(r, out)}, {len(out)} goes, {'as alone' if same else 'not as alone'}"


def journalled(name: str, cache: bool = False, access: str | None = None, wrap: Callable[[Any], Any] | None = None) -> str:
    """Stopped and gone on; then replayed from the file alone, which asks the target nothing but looks at examples."""
    x, y = images()
    how = small(name)
    out: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        for k in (20, 10**9, 10**9):
            asked = Asked(target("grey"))
            model: Any = Failing(asked, k, "interrupt")
            front = shown("grey", access or how["access"], model if wrap is None else wrap(model), rows_per_call=4, returns="auto")
            try:
                r = bb.attack(
                    front, x, y, name, threat(how["norm"]), 60, prior=small(name)["prior"], journal=Path(folder) / "file", cache=cache
                )
                out.append(outcome(r))
            except KeyboardInterrupt as error:
                out.append(outcome(error.result))  # type: ignore[attr-defined]
            out.append([asked.points(), dict(front.counts), dict(front.replayed), dict(front.cached)])
    return f"{told(r, out)}, {asked.count} asked in the replay"


for _a in bb.attacks.names():
    add(f"checkpoint/{_a}", checkpointed, _a)
for _a in ("hybrid", "auto"):
    add(f"checkpoint/{_a}, labels", checkpointed, _a, "labels")
    add(f"checkpoint/{_a}, targeted", checkpointed, _a, None, 20, True)
for _a in ("square", "simba", "nes", "hop-skip-jump", "rays", "hybrid", "evolution", "boundary"):
    add(f"journal/{_a}", journalled, _a)
    add(f"journal/{_a}, cache", journalled, _a, True)
add("journal/hybrid, labels", journalled, "hybrid", False, "labels")
add("journal/square, noisy", journalled, "square", False, None, partial(channels.Noisy, scale=0.02, seed=3))
add("journal/square, blacklight", journalled, "square", False, None, partial(channels.Blacklight, window=5, kept=20, threshold=10))


@case("result/derived")
def _derived() -> str:
    """What a result says of itself, and what is kept of it on disk."""
    x, y = images("grey", 20, seed=3)
    r = bb.attack(shown("grey", "scores"), x, y, "square", threat("Linf"), 80)
    with tempfile.TemporaryDirectory() as folder:
        back = bb.AttackResult.load(r.save(folder))
        with open(Path(folder) / "outcomes.csv") as file:
            rows = list(csv.DictReader(file))
        files = sorted(p.name for p in Path(folder).iterdir())
    assert digest(outcome(back)) == digest(outcome(r))
    some = r.take([3, 1, 2])
    return digest(
        plain([r.clean_accuracy, r.success_rate, r.robust_accuracy, r.curve([1, 5, 20, 80])]), r.mean_queries, r.median_queries,
        r.distance_at([1, 10, 80]), outcome(some), rows, files, json.loads(json.dumps(r.records())),
    )  # fmt: skip


add("result/summary", lambda: digest(_one_result().summary(), str(_one_result().threat)))


@cache
def _one_result() -> bb.AttackResult:
    x, y = images()
    return bb.attack(
        shown("grey", "scores", channels.Rounded(target("grey"), 3), returns="auto"), x, y, "hybrid", threat("Linf"), 60,
        prior=prior(), votes=3, eight_bit=True,
    )  # fmt: skip


@cache
def _results() -> dict[str, bb.AttackResult]:
    x, y = images("grey", 20, seed=3)
    names = {"square": "scores", "simba": "scores", "rays": "labels", "nes": "scores"}
    return {a: bb.attack(shown("grey", access), x, y, a, threat("Linf"), 80, seed=1) for a, access in names.items()}


def statistic(name: str) -> str:
    s, r = bb.statistics, _results()
    a, b = r["square"], r["simba"]
    curve = s.censored_curve(a)
    made: dict[str, Callable[[], Any]] = {
        "success_at": lambda: [s.success_at(v, (1, 10, 50, 80)) for v in r.values()],
        "censored_curve": lambda: [plain(curve), curve.read([1, 5, 50])],
        "restricted_mean": lambda: [s.restricted_mean(v) for v in r.values()] + [s.restricted_mean(a, 20, seed=3)],
        "median_distance": lambda: s.median_distance(r["rays"], [10, 40, 80]),
        "median": lambda: s.median(np.array([1.0, 2.0, np.inf, 3.0, 9.0])),
        "virtual_best": lambda: s.virtual_best(r),
        "common_success": lambda: s.common_success(r),
        "paired": lambda: [s.paired(a, b), s.paired(a, r["rays"], 30)],
        "mcnemar": lambda: s.mcnemar(a.success.numpy(), b.success.numpy()),
        "logrank": lambda: s.logrank(a, b),
        "rate": lambda: [bb.Rate(3, 10), bb.Rate(0, 0), bb.Rate(5, 5, 0.9)],
        "texts": lambda: [str(s.paired(a, b)), str(bb.Rate(3, 10)), str(s.restricted_mean(a))],
    }
    return digest(plain(made[name]()))


for _s in (
    "success_at", "censored_curve", "restricted_mean", "median_distance", "median", "virtual_best", "common_success", "paired",
    "mcnemar", "logrank", "rate", "texts",
):  # fmt: skip
    add(f"statistics/{_s}", statistic, _s)


@case("parts/threats")
def _threats() -> str:
    x, _ = images("colour", 6)
    y = torch.tensor(np.random.default_rng(5).uniform(0, 1, x.shape), dtype=torch.float32)
    out: list[Any] = []
    for norm in NORMS:
        for t in (threat(norm), threat(norm, "colour", 2.0), NORMS[norm](float("inf"))):
            out.append([str(t), t.norm, t.eps, t.tolerance, t.diameter(64), t.distance(y, x), t.project(y, x), t.clip(2 * y - 0.5)])
            with contextlib.suppress(NotImplementedError):
                out.append(t.steepest(y - 0.5))
    out += [str(bb.Linf(8 / 255)), str(bb.Linf(0.5 / 255)), str(bb.L2(0.5))]
    return digest(out)


@case("parts/bases")
def _bases() -> str:
    b = bb.bases
    made = [b.Pixels(), b.Tiles(3), b.DCT(), b.DCT(0.5), b.DCT(most=9), b.pca(images("colour", 40, seed=7)[0], 6)]
    return digest([b.tensor(one, SHAPES["colour"]) for one in made], [one.count(SHAPES["colour"]) for one in made])


@case("parts/directions")
def _directions() -> str:
    d = bb.direction
    rng = np.random.default_rng(6)
    gs = [torch.tensor(rng.standard_normal((3, 1, 8, 8)), dtype=torch.float32) for _ in range(3)]
    chains = [
        d.chain(d.identity()), d.chain(d.sign()), d.chain(d.l2()), d.chain(d.mean_abs(), d.momentum(0.9), d.sign()),
        d.chain(d.mean_abs(), d.nesterov(1.0, 0.01), d.sign()), d.chain(d.smooth(torch.ones(3, 3) / 9), d.l2()),
    ]  # fmt: skip
    out = []
    for one in chains:
        state = one.init(gs[0])
        for g in gs:
            point = one.peek(g, state)
            v, state = one.update(g, state)
            out.append([point, v])
    return digest(out)


@case("parts/starts")
def _starts() -> str:
    pool, classes = images("grey", 40, seed=7)
    _, y = images("grey", 12)
    return digest(bb.starts(pool, classes, goal(y), seed=2), bb.starts(pool, classes, goal(y), ids=np.arange(12) + 9, seed=2))


@case("parts/test targets")
def _test_targets() -> str:
    out = []
    for norm in NORMS:
        for targeted in (False, True):
            p = affine_problem(norm, targeted=targeted)
            out.append([p.target.weight, p.target.bias, p.x, p.y, p.goal, p.optimum])
    return digest(out)


@case("parts/names")
def _names() -> str:
    kinds = [bb.attacks.get(a) for a in bb.attacks.names()]
    return digest(
        bb.attacks.names(), bb.attacks.with_prior(), [[k.access.name, list(k.norms), bool(getattr(k, "minimises", False))] for k in kinds],
        sg.presets.names(), sg.acquire.names(), [n for n in sg.models.names() if not n.startswith("torchvision")],
    )  # fmt: skip


@case("parts/tune")
def _tune() -> str:
    x, y = images("grey", 6, seed=9)
    models = {"a": prior_nets()[0], "b": near(target("grey"), 0.1, 9)}
    found = bb.tune(bb.variants("square", p_init=[0.1, 0.4]), models, x, y, threat("Linf"), 40, classes=C)
    return digest({a: dict(v) for a, v in found.cost.items()}, found.chosen, found.records(), found.table())


@case("parts/evaluate")
def _evaluate() -> str:
    x, y = images("grey", 6, seed=9)
    mine = {"near": prior_nets()[0]}
    found = bb.evaluate(
        lambda access: shown("grey", access), x, y, threat("Linf"), nets=mine, white_box=near(target("grey"), 0.0, 0), budgets=[5, 20],
        levels=["labels", "topk", "scores"],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        found.save(folder)
        body = json.loads((Path(folder) / "evaluation.json").read_text())
        back = type(found).load(folder)
        files = sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*"))
    body.pop("seconds")
    rows = [[[r.sees, r.attack, r.budget, r.wrong, r.queries] for r in one.rows] for one in (found, back)]
    return digest(rows, body, files, found.table(), {str(k): outcome(v) for k, v in found.results.items()})


# -- crafting ------------------------------------------------------------------------------------------------------------


@cache
def sources(kind: str = "grey") -> tuple[nn.Module, ...]:
    c = SHAPES[kind][0]
    return Residual(c, 21), Residual(c, 22)


@cache
def craft_images(kind: str = "grey") -> tuple[Tensor, Tensor]:
    x, _ = images(kind, 4, seed=13)
    with torch.no_grad():
        return x, sources(kind)[0](x).argmax(1)


def crafted(name: Any, norm: str = "Linf", targeted: bool = False, kind: str = "grey", nets: Any = None, **settings: Any) -> str:
    x, y = craft_images(kind)
    found = list(sources(kind)) if nets is None else nets()
    if nets is None and name in ("ila", "fia", "naa", "bfa", "su"):
        found = found[0]  # they look at a layer of one net
    settings = {"chunk": 8, **settings}
    if targeted:
        settings["target"] = goal(y)
    if settings.get("steps") is None and sg.presets.get(name).steps > 1:
        settings["steps"] = 3
    out = sg.craft(found, x, y, name, threat=threat(norm, kind, 2.0), **settings)
    return digest(out)


for _p in sg.presets.names():
    for _norm, _t in (("Linf", False), ("Linf", True), ("L2", False), ("L1", True)):
        add(f"craft/{_p}/{_norm.lower()}/{'targeted' if _t else 'untargeted'}", crafted, _p, _norm, _t)
    add(f"craft/{_p}/one net", crafted, _p, nets=lambda: Residual(3, 23), kind="colour", targeted=sg.presets.get(_p).targeted, seed=5)
for _c in ("ni-di-ti-fgsm", "vmi-ssa-fgsm", "mi-admix-di-fgsm", "emi-sia-fgsm"):
    add(f"craft/{_c}/combined", crafted, _c)
for _l in ("cross-entropy", "margin", "logit", "logit-margin", "po-trip"):
    for _t in (False, True):
        add(f"craft/loss {_l}/{'targeted' if _t else 'untargeted'}", crafted, "mi-fgsm", targeted=_t, loss=_l)
_P = sg.parts
_COMPOSED: dict[str, Callable[[], Any]] = {
    "momentum, di, ti": lambda: _P.Momentum() | _P.DI() | _P.TI(),
    "probability fusion": lambda: _P.Momentum() | _P.ProbabilityFusion(),
    "loss fusion": lambda: _P.Momentum() | _P.LossFusion(),
    "random start, 8-bit": lambda: _P.RandomStart() | _P.EightBit(),
    "random order": lambda: _P.Momentum() | _P.Random(),
    "cycle": lambda: _P.Momentum() | _P.Cycle(),
    "sgm": lambda: _P.Momentum() | _P.SGM(0.3),
    "linbp": lambda: _P.LinBP(),
    "si": lambda: _P.SI() | _P.Momentum(),
}
for _c, _make in _COMPOSED.items():
    add(f"craft/parts {_c}", lambda m=_make: crafted(m()))
for _o, _more in {
    "steps=5": {"steps": 5}, "step": {"step": 0.01}, "decay": {"decay": 0.5}, "eight_bit": {"eight_bit": True}, "seed": {"seed": 9},
    "ids": {"ids": np.array([7, 5, 3, 2])}, "default chunk": {"chunk": None},
}.items():  # fmt: skip
    for _p in ("mi-fgsm", "pgd", "di-fgsm", "admix"):
        add(f"craft/{_p}/option {_o}", crafted, _p, **_more)
add("craft/admix/pool", lambda: crafted("admix", pool=images("grey", 12, seed=3)))
for _n in ("mlp", "lenet", "cnn", "vgg", "resnet20"):
    for _p in ("mi-fgsm", "sgm", "linbp", "bpa", "ila"):
        _make = lambda n=_n: sg.build(n, C, SHAPES["colour"], seed=4)  # noqa: E731
        add(f"craft/{_p}/through {_n}", crafted, _p, kind="colour", nets=_make, steps=2, chunk=4)

_M = sg.minimum_norm
_MINIMUM: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "deepfool": (_M.deepfool, {}),
    "deepfool, linf": (_M.deepfool, {"norm": "Linf", "iterations": 10}),
    "carlini-wagner": (_M.carlini_wagner, {"searches": 3, "iterations": 15}),
    "carlini-wagner, sure": (_M.carlini_wagner, {"searches": 2, "iterations": 15, "confidence": 1.0, "c": 1.0, "learning_rate": 0.05}),
    "lbfgs": (_M.lbfgs, {"bisections": 2, "iterations": 6}),
    "lbfgs, squared": (_M.lbfgs, {"bisections": 2, "iterations": 6, "squared": True, "candidates": 1}),
    "jsma": (_M.jsma, {}),
    "jsma, single": (_M.jsma, {"pairs": False, "theta": -0.5, "gamma": 0.3}),
    "jsma, probabilities": (_M.jsma, {"probabilities": True, "candidates": 1}),
}


def least(f: Callable[..., Any], settings: dict[str, Any], targeted: bool, both: bool) -> str:
    x, y = craft_images()
    nets = list(sources()) if both else sources()[0]
    more = {} if f is _M.lbfgs else {"chunk": 8}
    found = f(nets, x, y, **settings, **more, **({"target": goal(y)} if targeted else {}))
    names = ("x_adv", "success", "already", "distance", "norm", "label", "iterations", "gradients", "c")
    loud = _M.amplify(found.x_adv, x, rms=0.1)
    return f"{digest([getattr(found, n) for n in names], found.rms(x), plain(found.rate), loud)} {int(found.success.sum())} of {len(x)}"


for _m, (_f, _settings) in _MINIMUM.items():
    for _t in (False, True):
        add(f"minimum norm/{_m}/{'targeted' if _t else 'untargeted'}", least, _f, _settings, _t, _t)


@case("surrogate/hooks")
def _hooks() -> str:
    net, (x, _) = sources()[0], craft_images()
    out = []
    for make in (partial(sg.hooks.sgm, gamma=0.3), partial(sg.hooks.linbp, start=0.3), partial(sg.hooks.bpa, start=0.3)):
        given = x.clone().requires_grad_()
        with make(net), sg.hooks.tap(net, "second") as seen:
            scores = net(given)
            out.append([scores, seen.value, torch.autograd.grad(scores[:, 0].sum(), given)[0]])
    return digest(out)


@case("surrogate/prior")
def _prior() -> str:
    x, _ = images("grey", 6)
    out: list[Any] = []
    for chunk in (4, None):
        known = sg.prior(list(prior_nets()), chunk=chunk)
        known.check(SHAPES["grey"], C)
        out.append(known.logits(x))
        out.append(known.gradient(x, lambda s, at: F.one_hot(at % C, C)[:, None].expand_as(s).to(s) * s.softmax(-1)))
        part = known.view([1], few=True)
        out += [part.logits(x), known.members, part.members, known.gradients, known.passes, known.classes, known.digest]
    return digest(out)


def built(name: str) -> str:
    net = sg.build(name, 5, (3, 8, 8), seed=6)
    x = images("colour", 3)[0]
    logits = net(x).detach()
    with tempfile.TemporaryDirectory() as folder:
        sg.save_weights(net, Path(folder) / "w.safetensors")
        back = sg.from_spec(f"{folder}/w.safetensors")
        other = sg.load_weights(sg.build(name, 5, (3, 8, 8), seed=7), Path(folder) / "w.safetensors")
    assert weights(back) == weights(net)
    with torch.no_grad():
        return digest(weights(net), logits, back(x), None if other is None else weights(other), sg.predict(net, x))


for _n in (n for n in sg.models.names() if not n.startswith("torchvision")):
    add(f"surrogate/build {_n}", built, _n)
add("surrogate/build torchvision", lambda: weights(sg.build("torchvision:squeezenet1_1", 5, seed=1)))
add("surrogate/build with mean and std", lambda: weights(sg.build("cnn", 5, (3, 8, 8), mean=(0.1, 0.2, 0.3), std=0.5)))


@case("surrogate/data")
def _data() -> str:
    from PIL import Image

    digits = sg.load("digits")
    parts = sg.split(digits, {"a": 30, "b": 0.05, "c": 20}, seed=3)
    out: list[Any] = [digits.images, digits.labels, list(digits.classes), [[p.images, p.labels, p.name] for p in parts.values()]]
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/data.npz", images=digits.images[:9].numpy(), labels=digits.labels[:9].numpy())
        back = sg.load(f"npz:{folder}/data.npz")
        out += [back.images, back.labels, list(back.classes)]
        for i in range(6):
            path = Path(folder) / "tree" / f"class {i % 2}"
            path.mkdir(parents=True, exist_ok=True)
            Image.fromarray((digits.images[i, 0].numpy() * 255).astype(np.uint8)).resize((12, 10)).save(path / f"{i}.png")
        back = sg.load(f"folder:{folder}/tree", size=8)
        out += [back.images, back.labels, list(back.classes)]
    return digest(out, [sg.acquire.noise((3, 8, 8), 3, kind, 5).images for kind in ("uniform", "gaussian", "smooth")])


# -- training ------------------------------------------------------------------------------------------------------------

R = sg.Recipe


@cache
def lesson(kind: str = "grey") -> Any:
    x, y = images(kind, 64, seed=21)
    return sg.Dataset(x, y, tuple("abcd"), augment=("flip", "crop") if kind == "colour" else ())


def report(net: nn.Module) -> list[Any]:
    r = sg.report(net)
    names = (
        "images", "held_out", "queries", "budget", "soft", "seed", "batch_size", "lr", "updates", "best", "stopped", "loss", "accuracy",
        "held_out_loss", "held_out_accuracy", "notes",
    )  # fmt: skip
    return [getattr(r, n) for n in names]


def trained(arch: str = "mlp", kind: str = "grey", recipe: dict[str, Any] | None = None, data: Any = None, **more: Any) -> str:
    net = sg.build(arch, C, SHAPES[kind], seed=8)
    more = {k: v() if callable(v) else v for k, v in more.items()}
    sg.train(net, lesson(kind) if data is None else data(), R(**{"epochs": 2, **(recipe or {})}), **more)
    return digest(weights(net), report(net))


@cache
def told_answers(access: str) -> Any:
    return sg.ask(shown("grey", access), lesson(), 40, seed=4)


_RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "adam": {"optimiser": "adam"},
    "adam, decay": {"optimiser": "adam", "lr": 0.01, "weight_decay": 0.02},
    "lr": {"lr": 0.01, "momentum": 0.5},
    "step schedule": {"schedule": "step", "epochs": 4},
    "constant": {"schedule": "constant", "warmup": 0.0},
    "warmup": {"warmup": 0.5},
    "batch 16": {"batch_size": 16, "least_updates": 1},
    "least updates": {"least_updates": 3},
    "held out": {"held_out": 0.25, "epochs": 3},
    "patience": {"held_out": 0.25, "epochs": 6, "patience": 1, "lr": 0.5},
    "flip": {"augment": ("flip",)},
    "crop": {"augment": ("crop",)},
    "flip and crop": {"augment": ("flip", "crop")},
    "bfloat16": {"precision": "bfloat16", "epochs": 1},
    "full": {"precision": "full"},
    "diverges": {"lr": 1e9, "epochs": 3},
    "pgd": {"update": sg.robust.Adversarial(bb.Linf(0.05), steps=2)},
    "pgd, l2": {"update": sg.robust.Adversarial(bb.L2(0.3), steps=2, step=0.2)},
    "fgsm, half clean": {"update": sg.robust.Adversarial(bb.Linf(0.05), "fgsm", clean=0.5)},
    "pgd, held out": {"update": sg.robust.Adversarial(bb.Linf(0.05), steps=2), "held_out": 0.25},
    "free": {"update": sg.robust.Free(bb.Linf(0.05), replays=2)},
    "free, l1": {"update": sg.robust.Free(bb.L1(0.5), replays=2)},
    "sam": {"update": sg.refine.SAM(0.1)},
}
for _r, _recipe in _RECIPES.items():
    add(f"train/{_r}", trained, "mlp", recipe=_recipe)
for _r in ("plain", "flip and crop", "pgd", "free", "sam", "held out"):
    add(f"train/cnn, {_r}", trained, "cnn", "colour", recipe={**_RECIPES[_r], "epochs": 1}, seed=3)
for _n in ("lenet", "vgg", "resnet20"):
    add(f"train/{_n}", trained, _n, "colour", recipe={"epochs": 1, "least_updates": 2})
for _access in ("labels", "topk", "scores", "logits"):
    for _soft in (None, False, True):
        _data = partial(told_answers, _access)
        add(f"train/answers, {_access}, soft={_soft}", trained, data=_data, recipe={"temperature": 2.0}, soft=_soft)
    add(f"train/teacher, {_access}", trained, teacher=partial(shown, "grey", _access), queries=30)
add("train/validation", trained, validation=partial(told_answers, "scores"), recipe={"epochs": 3})
add("train/pair", trained, data=lambda: (lesson().images, lesson().labels), seed=5)


@case("train/global generators left alone")
def _generators() -> str:
    torch.manual_seed(5)
    np.random.seed(5)
    trained("vgg", "colour", {"epochs": 1, "least_updates": 1})
    return digest(torch.rand(3), np.random.rand(3))


@case("train/checkpoint and cache")
def _train_checkpoint() -> str:
    class Stop(Exception):
        pass

    def stop(epoch: int, so_far: Any) -> None:
        if epoch == 1:
            raise Stop

    out: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        for teacher in (False, True):
            more: dict[str, Any] = {"checkpoint": f"{folder}/{teacher}"}
            for progress in (stop, None, None):
                if teacher:
                    more |= {"teacher": (front := shown("grey", "scores")), "queries": 30}
                net = sg.build("mlp", C, SHAPES["grey"], seed=8)
                with contextlib.suppress(Stop):
                    sg.train(net, lesson(), R(epochs=2, held_out=0.2), progress=progress, **more)
                    out.append([weights(net), report(net)[:-1]])
                out.append(front.rows if teacher else None)
        for _ in range(2):
            net = sg.train(sg.build("mlp", C, SHAPES["grey"], seed=8), lesson(), R(epochs=1), cache=f"{folder}/cache")
            out.append(weights(net))
        out.append(len(list(Path(folder, "cache").iterdir())))
    return digest(out)


@cache
def ready(arch: str = "cnn") -> nn.Module:
    return sg.train(sg.build(arch, C, SHAPES["colour"], seed=8), lesson("colour"), R(epochs=1, least_updates=4))


_REFINERS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "swa": (sg.refine.swa, {"recipe": R(epochs=2, schedule="constant", warmup=0.0)}),
    "ema": (sg.refine.ema, {"recipe": R(epochs=2), "decay": 0.9}),
    "lgv": (sg.refine.lgv, {"recipe": R(epochs=1, schedule="constant", warmup=0.0), "per_epoch": 3}),
    "swag": (sg.refine.swag, {"recipe": R(epochs=2, schedule="constant", warmup=0.0), "count": 2}),
    "sam": (sg.refine.sam, {"recipe": R(epochs=1), "rho": 0.1}),
}


def refined(name: str, arch: str) -> str:
    f, settings = _REFINERS[name]
    settings = {**settings, "recipe": R(**{**settings["recipe"].__dict__, "least_updates": 4})}
    found = f(ready(arch), lesson("colour"), seed=2, **settings)
    many = found if isinstance(found, list) else [found]
    x, y = images("colour", 4)
    made = sg.craft(found, x, y, name if name in ("lgv", "swag") else "mi-fgsm", threat=bb.Linf(0.05), steps=2, chunk=4)
    return digest([[weights(net), report(net)] for net in many], made, weights(ready(arch)))


for _r in _REFINERS:
    for _n in ("cnn", "mlp"):
        add(f"refine/{_r}/{_n}", refined, _r, _n)
add("refine/swa/resnet20", refined, "swa", "resnet20")


# -- acquisition -----------------------------------------------------------------------------------------------------------

_A = sg.acquire
_STRATEGIES: dict[str, Callable[[], Any]] = {n: (lambda n=n: n) for n in _A.names()}
_STRATEGIES |= {
    "jacobian, 8 seeds": lambda: _A.Jacobian(seeds=8, rounds=3),
    "jacobian, reservoir": lambda: _A.Jacobian(seeds=6, rounds=4, doubling=1, reservoir=5, flip=2),
    "k-center, 2 rounds": lambda: _A.KCenter(rounds=2),
    "dfal, 2 rounds": lambda: _A.DFAL(rounds=2),
    "uncertainty, 2 rounds": lambda: _A.Uncertainty(rounds=2),
    "random, 2 rounds": lambda: _A.Random(rounds=2),
}


def learned(name: str, access: str, **more: Any) -> str:
    front = shown("grey", access)
    tests = images("grey", 12, seed=31)[0]
    got = sg.learn(
        sg.build("mlp", C, SHAPES["grey"], seed=8), front, lesson(), _STRATEGIES[name](), queries=40, recipe=R(epochs=1, least_updates=4),
        evaluation=tests, seed=3, **more,
    )  # fmt: skip
    both = [[a.images, a.labels, a.probabilities, a.index, a.classes] if a else None for a in (got.answers, got.held_out)]
    bill = [got.bill.held_out, list(got.bill.rounds), got.bill.evaluation, got.bill.budget, got.bill.total]
    curve = got.curve.plain()
    curve.pop("strategy")
    return f"{digest(weights(got.net), both, bill, curve, dict(front.counts))} {front.rows} queries"


for _s in _STRATEGIES:
    for _access in ("labels", "scores"):
        add(f"learn/{_s}/{_access}", learned, _s, _access)
add("learn/random, 2 rounds/warm", learned, "random, 2 rounds", "scores", warm=True, held_out=0)
add("learn/random, 2 rounds/top-k", learned, "random, 2 rounds", "topk", topk="renormalised")
add("learn/random, 2 rounds/soft=False", learned, "random, 2 rounds", "scores", soft=False)


@case("learn/teach")
def _teach() -> str:
    front = shown("grey", "scores")
    nets = sg.teach([sg.build("mlp", C, SHAPES["grey"], seed=s) for s in (1, 2)], lesson(), front, 30, R(epochs=1), seed=2)
    hard = sg.teach([sg.build("mlp", C, SHAPES["grey"], seed=3)], lesson(), shown("grey", "labels"), 20, seed=2)
    was = "30 answers bought for training, 0.1 an image; expected to save 1.0 queries an image"  # what sg.advise said; it is gone
    return digest([weights(n) for n in (*nets, *hard)], front.rows, 30, 1.0, 0, 0.0, was)


@case("learn/ask")
def _ask() -> str:
    out = []
    for access in ("labels", "topk", "scores", "logits"):
        for topk in ("spread", "renormalised"):
            a = sg.ask(shown("grey", access), lesson(), 20, seed=4, topk=topk)
            out.append([a.images, a.labels, a.probabilities, a.index, a.classes])
    return digest(out)


@case("learn/bagged")
def _bagged() -> str:
    bag = sg.acquire.bagged("mlp", told_answers("scores"), 2, R(epochs=1), seed=1)
    plainly = sg.acquire.bagged("mlp", told_answers("labels"), 2, R(epochs=1), seed=1, bootstrap=False)
    return digest([weights(n) for n in (*bag.nets, *plainly.nets)], plain(bag.agreement), plain(plainly.agreement))


# -- transfer --------------------------------------------------------------------------------------------------------------

ARRAYS = (
    "labels", "goals", "ids", "clean_source", "clean_target", "adv_source", "adv_target", "linf", "l2", "noise_target", "noise_linf",
    "noise_l2", "steps", "cost", "d", "seed", "queries", "sources", "targets", "attacks",
)  # fmt: skip


def matrix_parts(m: Any) -> list[Any]:
    return [[plain(getattr(m, n)) for n in ARRAYS], [str(t) for t in m.threats], [list(r) for r in m.runs]]


@cache
def matrix(targeted: bool = False) -> Any:
    x, y = images("grey", 12, seed=13)
    fronts = {"relu": shown("grey", "labels"), "residual": bb.Oracle(Residual(1, 25), "scores", C, rows_per_call=16)}
    found = {"one": sources()[0], "both": list(sources()), "again": sg.Retrained([Residual(1, 31), Residual(1, 32)])}
    return sg.transfer_matrix(
        found, fronts, x, y, ["fgsm", "mi-fgsm", "di-fgsm"], [bb.Linf(0.05), bb.Linf(0.1), bb.L2(0.5)], steps=3, seed=(0, 1), chunk=16,
        target=goal(y) if targeted else None,
    )  # fmt: skip


def rates(what: str, targeted: bool) -> str:
    m = matrix(targeted)
    cells = [(s, t, a, e) for s in m.sources for t in m.targets for a in m.attacks for e in m.threats]
    given = ("all", "target-correct", "both-correct", "source-fooled")
    if what == "outcomes":
        return digest(matrix_parts(m))
    if what == "rates":
        return digest(plain([[m.rate(*c, g) for g in given] for c in cells]), plain([m.clean_accuracy(t) for t in m.targets]))
    if what == "splits":
        return digest(plain([[m.split(*c, g) for g in given] for c in cells]))
    if what == "estimates":
        return digest(plain([m.estimate(s, t, "mi-fgsm", m.threats[0]) for s in ("one", "again") for t in m.targets]))
    if what == "noise":
        return digest(plain([[m.noise_rate(t, e, k) for k in ("linf", "rms")] for t in m.targets for e in m.threats]))
    if what == "texts":
        return digest(m.table(), m.records())
    with tempfile.TemporaryDirectory() as folder:
        m.save(folder)
        return digest(matrix_parts(type(m).load(folder)), sorted(p.name for p in Path(folder).iterdir()))


for _w in ("outcomes", "rates", "splits", "estimates", "noise", "texts", "kept"):
    for _t in (False, True):
        add(f"transfer/{_w}/{'targeted' if _t else 'untargeted'}", rates, _w, _t)


def study_of(what: str) -> str:
    m, (x, y) = matrix(), images("grey", 8, seed=13)
    one, other = sources()
    if what == "compare":
        found = [
            sg.compare(m, "mi-fgsm", "fgsm", source=s, target="relu", threat=m.threats[1], given=g)
            for s in ("one", "again") for g in ("all", "both-correct")
        ]  # fmt: skip
        return digest(plain(found), [f.p for f in found], [str(f) for f in found])
    if what == "two-level":
        rng = np.random.default_rng(3)
        v, keep = rng.integers(0, 2, (4, 20)), rng.integers(0, 4, (4, 20)) > 0
        return digest(plain([sg.two_level(v), sg.two_level(v, keep, [0, 0, 1, 1], seed=2), sg.two_level(v[0], minus=v[1])]))
    if what == "rank correlation":
        rng = np.random.default_rng(4)
        found = [sg.rank_correlation(rng.uniform(size=6), rng.integers(0, 2, (6, 30)), count=500)]
        return digest(plain([*found, sg.rank_correlation(rng.uniform(size=(6, 30)), rng.integers(0, 2, (6, 30)), count=500, seed=1)]))
    if what == "alignment":
        ways = [(n, loss) for n in ("Linf", "L2", "L1") for loss in ("cross-entropy", "margin")]
        found = [sg.alignment(one, other, x, y, threat=threat(n), loss=loss) for n, loss in ways]
        sizes = [sg.gradient_size(one, x, y), sg.loss_variability([one, other], x, y)]
        return digest(plain(found), [plain(f.mean) for f in found], sizes)
    if what == "directional probe":
        front = shown("grey", "scores", decimals=4)
        found = sg.DirectionalProbe(directions=6)({"a": one, "b": prior_nets()[0]}, front, x, y, seed=2)
        also = sg.DirectionalProbe(directions=4, loss="cross-entropy")({"a": one}, shown("grey", "logits", probe=1 / 255), x, y)
        return digest(plain([found, also]), plain(found.mean("b")), front.rows)
    if what == "same-length noise":
        return digest(sg.same_length_noise((x + 0.1).clamp(0, 1), x, seed=3), sg.same_length_noise(1 - x, x, bb.Linf(0.1), seed=3))
    if what == "accuracy":
        return digest(plain([sg.accuracy(one, (x, y)), sg.fidelity(one, shown("grey", "labels"), x)]))
    found = sg.factorial((lesson().images, lesson().labels), ["mlp", "lenet"], R(epochs=1, least_updates=2), seed=3, replicates=2)
    front = {"reference": bb.Oracle(found.reference, "labels", C, rows_per_call=16)}
    m = sg.transfer_matrix(found.nets, front, x, y, ["fgsm"], [bb.Linf(0.1)], noise=False, chunk=8)
    try:
        split = plain(sg.decompose(m, found.cells, "reference", "fgsm", m.threats[0], given="all", count=300))
    except ValueError:
        split = "ValueError"
    cells = {k: [v.data, v.architecture, v.initialisation, v.replicate] for k, v in found.cells.items()}
    return digest({k: weights(n) for k, n in found.nets.items()}, weights(found.reference), cells, matrix_parts(m), split)



for _w in (
    "compare", "two-level", "rank correlation", "alignment", "directional probe", "same-length noise", "accuracy",
    "factorial",
):  # fmt: skip
    add(f"study/{_w}", study_of, _w)

# -- sweeps and the command line ---------------------------------------------------------------------------------------------

TARGET = """import torch

W = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
V = W + 0.3 * torch.randn(4, 64, generator=torch.Generator().manual_seed(1))


def linear(x):
    return ((x.flatten(1) - 0.5)[:, None] * W.to(x)).sum(2)


def net():
    made = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4))
    with torch.no_grad():
        made[1].weight.copy_(V)
        made[1].bias.copy_(-0.5 * V.sum(1))
    return made.eval()
"""
STUDY = """
name = "old"
block = 4
classes = 4
images = { data = "npz:data.npz" }

[attack]
targets = "target.py:linear"
attacks = ["square", { name = "simba", basis = "dct" }]
threats = "linf:0.05"
budgets = [10, 30]

[transfer]
sources = "target.py:net"
targets = "target.py:linear"
presets = ["fgsm", "mi-fgsm"]
threats = ["linf:0.05", "l2:0.5"]
"""


def lay_out(folder: Path) -> None:
    """The files that the command line and a study are run on."""
    (folder / "target.py").write_text(TARGET)
    (folder / "study.toml").write_text(STUDY)
    x, y = images("grey", 8, seed=41)
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    y = ((x.flatten(1) - 0.5) @ weight.T).argmax(1)
    np.savez_compressed(folder / "data.npz", images=x.numpy(), labels=y.numpy())
    sg.save_weights(sg.build("mlp", C, SHAPES["grey"], seed=2), folder / "net.safetensors")


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def cli(*words: str) -> tuple[int, str]:
    """``python -m blackbox WORDS`` in this process: exit code and what it printed."""
    out, argv = io.StringIO(), sys.argv
    sys.argv = ["blackbox", *words]
    code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            runpy.run_module("blackbox", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = argv
    return int(code), out.getvalue()


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return [{k: v for k, v in row.items() if "second" not in k and k != "host"} for row in csv.DictReader(file)]


def table_parts(table: Table) -> list[Any]:
    """Outcomes by point, the keys of the cells, and the rates."""
    return [
        [[list(point), found] for point, found in table.outcomes.items()],
        [[cell.key, cell.start, cell.stop] for cell in table.plan.cells()],
        table.records(), table.done, table.total, str(table),
    ]  # fmt: skip


@case("sweep/outcomes")
def _sweep() -> str:
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder))
        with inside(Path(folder)):
            study = Study.load("study.toml")
            table = study.run("store.sqlite")
            again = study.run("store.sqlite")
            with Store("store.sqlite", look=True) as store:
                keys = sorted(store.done())
                raw = store.columns(keys)
            plan = Plan.of(study)
        return digest(table_parts(table), table_parts(again), [raw[k] for k in keys], [plan.worst(c) for c in plan.cells()], plan.prints)


COMMANDS: dict[str, list[str]] = {
    "attack": ["attack", "-t", "target.py:linear", "-a", "square", "-b", "30"],
    "attack, labels, targeted": [
        "attack", "-t", "target.py:linear", "-a", "rays", "-b", "40", "--access", "labels", "--targeted", "random",
    ],
    "attack, auto with a surrogate": ["attack", "-t", "target.py:linear", "-b", "20", "--surrogate", "mlp:net.safetensors"],
    "attack, several, channels": [
        "attack", "-t", "target.py:linear", "-a", "square,simba", "-b", "20", "--channel", "round:2", "--channel", "noise:0.01", "--set",
        "square.p_init=0.2", "--eight-bit",
    ],
    "attack, journal": ["attack", "-t", "target.py:linear", "-a", "simba", "-b", "20", "--journal", "book", "--cache", "--votes", "3"],
    "attack, own nets": [
        "attack", "-t", "target.py:linear", "-b", "10", "--own", "npz:data.npz", "--epochs", "1", "--arch", "mlp", "--answers", "4",
    ],
    "attack, top-k, l2": ["attack", "-t", "target.py:linear", "-a", "simba", "-b", "40", "--access", "topk:2", "--norm", "l2"],
    "attack, pool": [
        "attack", "-t", "target.py:linear", "-a", "sign-flip", "-b", "60", "--access", "labels", "--targeted", "random", "--pool",
        "npz:data.npz", "--channel", "eight-bit",
    ],
    "attack, checkpoint, images": [
        "attack", "-t", "target.py:linear", "-a", "square", "-b", "20", "--checkpoint", "file", "-n", "3", "--pick", "random",
    ],
    "evaluate": ["evaluate", "-t", "target.py:linear", "--budgets", "5,20", "--surrogate", "mlp:net.safetensors"],
    "tune": ["tune", "--model", "mlp:net.safetensors", "--set", "p_init=0.1,0.4", "-b", "20"],
    "surrogate": ["surrogate", "-t", "target.py:linear", "--queries", "6", "--arch", "mlp", "--holdout", "2", "--epochs", "2"],
    "transfer": ["transfer", "--from", "mlp:net.safetensors", "--to", "target.py:linear", "--attacks", "fgsm,mi-fgsm", "--steps", "2"],
}  # fmt: skip


def commanded(name: str) -> str:
    words = COMMANDS[name]
    common = ["-d", "npz:data.npz", "--classes", "4", "-o", "out"]
    radius = [] if words[0] == "surrogate" else ["--eps", "0.05"]
    out: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder))
        with inside(Path(folder)):
            code, said = cli(*words, *common, *radius)
            out.append(code)
            where = Path("out")
            out.append(files(where))
            for path in sorted(where.rglob("*")):
                if path.name == "examples.safetensors":
                    out.append(outcome(bb.AttackResult.load(path.parent)))
                elif path.name == "transfer.json":
                    out.append(matrix_parts(sg.TransferMatrix.load(path.parent)))
                elif path.suffix == ".csv":
                    out.append(read_csv(path))
                elif path.name == "shown.safetensors":
                    out.append(load_file(path))
                elif path.suffix == ".safetensors":
                    out.append(weights(sg.from_spec(str(path))))
                elif path.name in ("evaluation.json", "tuned.json", "curve.json"):
                    out.append({k: v for k, v in json.loads(path.read_text()).items() if k != "seconds"})
            report = cli("report", "out", "-o", "page")
            out += [report[0], files(Path("page")), [read_csv(p) for p in sorted(Path("page").rglob("*.csv"))]]
    if os.environ.get("RECORD_SAY"):
        print(said, report[1])
    return f"{digest(out)} exit {code}, report {report[0]}, {len(out[1])} files"


for _c in COMMANDS:
    add(f"cli/{_c}", commanded, _c)


@case("cli/sweep")
def _cli_sweep() -> str:
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder))
        with inside(Path(folder)):
            code, _ = cli("sweep", "study.toml", "-o", "out")
            report = cli("report", "out", "-o", "page")
            out = [code, files(Path("out")), read_csv(Path("out/rates.csv")), report[0], files(Path("page"))]
            out.append([read_csv(p) for p in sorted(Path("page").rglob("*.csv"))])
    return f"{digest(out)} exit {code}, report {report[0]}"


@case("cli/wrong words")
def _cli_wrong() -> str:
    words = ("attack", "attack -t nothing.py:x", "attack -t digits:svm-rbf -a sqare", "nonsense", "list nonsense")
    return digest([cli(*w.split())[0] for w in words])


@case("cli/list")
def _cli_list() -> str:
    out = []
    for what in ("attacks", "presets", "channels", "models", "data"):
        code, said = cli("list", what)
        out.append([code, sorted({line.split()[0] for line in said.splitlines() if line.strip() and not line.startswith(" ")})])
    return digest(out)


# -- files that the code of before wrote -----------------------------------------------------------------------------------------


def old_target(x: Tensor) -> Tensor:
    """Linear, row by row; kept apart from all that may move."""
    weight = torch.tensor(np.random.default_rng(77).standard_normal((C, 16)), dtype=torch.float32)
    return ((x.flatten(1) - 0.5)[:, None] * weight).sum(2)


def old_images() -> tuple[Tensor, Tensor]:
    x = torch.tensor(np.random.default_rng(78).uniform(0.2, 0.8, (4, 1, 4, 4)), dtype=torch.float32)
    return x, old_target(x).argmax(1)


def old_net(seed: int, noise: float = 0.5) -> nn.Module:
    weight = np.random.default_rng(77).standard_normal((C, 16)) + noise * np.random.default_rng(seed).standard_normal((C, 16))
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, C))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor(weight, dtype=torch.float32))
        net[1].bias.copy_(-0.5 * net[1].weight.sum(1))
    return net.eval()


OLD_JOURNALS = ("square", "hybrid", "hybrid-labels", "hop-skip-jump", "bandits")
OLD_RUNS: dict[str, dict[str, Any]] = {
    "square": {"attack": "square"},
    "hybrid": {"attack": "hybrid", "prior": True},
    "hybrid-labels": {"attack": "hybrid", "prior": True, "access": "labels"},
    "hop-skip-jump": {"attack": "hop-skip-jump", "access": "labels", "norm": "L2"},
    "sign-flip": {"attack": "sign-flip", "access": "labels"},
    "bandits": {"attack": "bandits"},
    "fd-ifgsm": {"attack": "fd-ifgsm"},
    "sparse": {"attack": "sparse", "norm": "L0"},
    "auto": {"attack": "auto"},
}


def old_run(name: str, model: Any, **more: Any) -> bb.AttackResult:
    how = OLD_RUNS[name]
    x, y = old_images()
    eps = {"Linf": 0.02, "L2": 0.08, "L0": 1}[how.get("norm", "Linf")]
    known = sg.prior([old_net(1), old_net(2)], chunk=4) if how.get("prior") else None
    front = bb.Oracle(model, how.get("access", "scores"), C, returns="logits", rows_per_call=2)
    return bb.attack(front, x, y, how["attack"], NORMS[how.get("norm", "Linf")](eps), 60, prior=known, seed=3, **more)


def old_paid(dies: int) -> Callable[[Tensor], Tensor]:
    """The journal's target: `old_target`, by a name that the file remembers, which dies at one call."""
    calls = [0]

    def paid(x: Tensor) -> Tensor:
        calls[0] += 1
        if calls[0] >= dies:
            raise KeyboardInterrupt
        return old_target(x)

    return paid


def write_old() -> None:
    """Files as they are written now, a few KB each."""
    shutil.rmtree(OLD, ignore_errors=True)
    OLD.mkdir()
    for name in OLD_RUNS:
        for kind, calls in (("checkpoint", 15), ("journal", 15)):
            if kind == "journal" and name not in OLD_JOURNALS:
                continue
            with contextlib.suppress(KeyboardInterrupt):
                old_run(name, old_paid(calls), **{kind: OLD / f"{name}.{kind}"})
                raise SystemExit(f"{name} was over before call {calls}: nothing is left to go on with")
    for name in ("square", "hybrid", "hop-skip-jump"):
        old_run(name, old_target, eight_bit=True, votes=3).save(OLD / f"result-{name}")
    x, y = old_images()
    front = {"hidden": bb.Oracle(old_target, "labels", C, rows_per_call=4)}
    sg.transfer_matrix(
        {"a": old_net(1), "b": sg.Retrained([old_net(2), old_net(3)])}, front, x, y, ["fgsm", "mi-fgsm"], [bb.Linf(0.05), bb.L2(0.2)],
        seed=(0, 1), chunk=4,
    ).save(OLD / "transfer")  # fmt: skip
    where = OLD / "sweep"
    where.mkdir()
    lay_out(where)
    (where / "net.safetensors").unlink()
    with inside(where):
        cli("sweep", "study.toml", "-o", "out")
    sg.train(old_net(4), (x, y), R(epochs=1), checkpoint=OLD / "train.checkpoint")
    net = sg.build("lenet", C, (1, 4, 4), mean=0.25, std=2.0)
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.fill_(i / 8)  # numbers that git packs well
    sg.save_weights(net, OLD / "lenet.safetensors")
    found = bb.evaluate(lambda access: bb.Oracle(old_target, access, C, rows_per_call=4), x, y, bb.Linf(0.02), budgets=[5, 10])
    found.save(OLD / "evaluation")
    pool = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    got = sg.learn(
        sg.build("mlp", C, (1, 4, 4)), bb.Oracle(old_target, "labels", C), pool, "random", queries=12, recipe=R(epochs=1), seed=1,
    )  # fmt: skip
    got.curve.save(OLD / "curve.json")
    for path in OLD.rglob("*"):
        if path.name.endswith(("-wal", "-shm")):
            raise SystemExit(f"{path} is left open")


@contextlib.contextmanager
def copy_of_old() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(OLD, Path(folder) / "old"))


def old_goes_on(name: str, kind: str) -> str:
    with copy_of_old() as folder:
        r = old_run(name, old_paid(10**9), **{kind: folder / f"{name}.{kind}"})
    return f"{told(r)}, {r.config['carried']} of them carried"


for _o in OLD_RUNS:
    add(f"old/checkpoint/{_o}", old_goes_on, _o, "checkpoint")
    if _o in OLD_JOURNALS:
        add(f"old/journal/{_o}", old_goes_on, _o, "journal")


def old_result(name: str) -> str:
    r = bb.AttackResult.load(OLD / f"result-{name}")
    return told(r, r.summary())


for _o in ("square", "hybrid", "hop-skip-jump"):
    add(f"old/result/{_o}", old_result, _o)


@case("old/transfer")
def _old_transfer() -> str:
    m = sg.TransferMatrix.load(OLD / "transfer")
    return digest(matrix_parts(m), m.table())


add("old/weights", lambda: weights(sg.from_spec(str(OLD / "lenet.safetensors"))))


@case("old/sweep")
def _old_sweep() -> str:
    """Every cell of the old store is known by its key, and none is done again."""
    with copy_of_old() as folder, inside(folder / "sweep"):
        plan = Plan.of(Study.load("study.toml"))
        with Store("out/store.sqlite", look=True) as store:
            found, done = Table.read(plan, store), len(store.done())
            pictures = store.images(sorted(store.pictured()))
        (folder / "sweep" / "target.py").touch()
        again = Study.load("study.toml").run("out/store.sqlite")
        with Store("out/store.sqlite", look=True) as store:
            more = len(store.done()) - done
        said = f"{found.done} of {found.total} cells, {more} done anew"
        return f"{digest(table_parts(found), table_parts(again), sorted(pictures.items()))} {said}"


@case("old/training")
def _old_training() -> str:
    with copy_of_old() as folder:
        net = old_net(4)
        epochs: list[int] = []
        sg.train(net, old_images(), R(epochs=1), checkpoint=folder / "train.checkpoint", progress=lambda n, r: epochs.append(n))
        return f"{digest(weights(net), report(net)[:-1])} {len(epochs)} epochs anew"


@case("old/evaluation and curve")
def _old_evaluation() -> str:
    x, y = old_images()
    kind = type(bb.evaluate(lambda access: bb.Oracle(old_target, access, C), x[:1], y[:1], bb.Linf(0.02), budgets=[2], levels=["labels"]))
    found, curve = kind.load(OLD / "evaluation"), sg.acquire.AgreementCurve.load(OLD / "curve.json")
    return digest([[r.sees, r.attack, r.budget, r.wrong, r.queries] for r in found.rows], str(found.threat), found.ids, curve.plain())


def old_report(what: str) -> str:
    with copy_of_old() as folder, inside(folder / "sweep" if what == "sweep" else folder):
        what = "out" if what == "sweep" else what  # a study's paths are seen from where it was run
        code, said = cli("report", what, "-o", "page")
        if os.environ.get("RECORD_SAY"):
            print(said)
        out = [code, files(Path("page")) if Path("page").exists() else [], [read_csv(p) for p in sorted(Path("page").rglob("*.csv"))]]
    return f"{digest(out)} exit {code}, {len(out[1])} files"


for _o in ("result-square", "result-hybrid", "transfer", "sweep", "evaluation"):
    add(f"old/report/{_o}", old_report, _o)

# -- the table ---------------------------------------------------------------------------------------------------------------


def value(key: str) -> tuple[str, str, float]:
    torch.set_num_threads(1)
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = str(CASES[key]())
    except BaseException as error:
        if os.environ.get("RECORD_RAISE") or isinstance(error, KeyboardInterrupt):
            raise
        said = f"raises {type(error).__name__}"
    return key, said, time.perf_counter() - begin


def compute(keys: list[str], jobs: int) -> dict[str, tuple[str, float]]:
    found: dict[str, tuple[str, float]] = {}
    if jobs == 1:
        for key in keys:
            _, said, spent = value(key)
            found[key] = said, spent
        return found
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for key, said, spent in pool.imap_unordered(value, keys, chunksize=8):
            found[key] = said, spent
    return {key: found[key] for key in keys}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table (with --only: these keys of it)")
    parser.add_argument("--write-old", action="store_true", help="write the files of old/ anew")
    parser.add_argument("--only", default="", help="keys that begin so; several with commas")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--times", action="store_true", help="print the slowest keys")
    parser.add_argument("--list", action="store_true", help="print the keys, and stop")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    if given.write_old:
        write_old()
    prefixes = tuple(filter(None, given.only.split(","))) or ("",)
    keys = [key for key in CASES if key.startswith(prefixes)]
    if given.list:
        print("\n".join(keys))
        return 0
    found = compute(keys, given.jobs)
    if given.times:
        groups: dict[str, list[float]] = {}
        for key, (_, spent) in found.items():
            groups.setdefault(key.partition("/")[0], []).append(spent)
        for name, spent in sorted(groups.items(), key=lambda g: -sum(g[1])):
            print(f"{sum(spent):7.1f} s  {len(spent):4}  {name}")
        for key, (_, one) in sorted(found.items(), key=lambda f: -f[1][1])[:25]:
            print(f"{one:7.2f} s  {key}")
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    now = {key: said for key, (said, _) in found.items()}
    if given.write:
        kept = {} if prefixes == ("",) else {k: v for k, v in table.items() if k in CASES and not k.startswith(prefixes)}
        merged = {**kept, **now}
        TABLE.write_text(json.dumps({key: merged[key] for key in CASES if key in merged}, indent=0, ensure_ascii=False) + "\n")
        print(f"{len(now)} digests written, {sum(v.startswith('raises') for v in now.values())} of them names of exceptions")
        return 0
    expected = {key: said for key, said in table.items() if key.startswith(prefixes)}
    bad = 0
    for key in dict.fromkeys([*expected, *now]):
        if key not in now or key not in expected:
            print(f"{'not run' if key not in now else 'not in the table'}: {key}")
        elif now[key] != expected[key]:
            print(f"differs: {key}\n    was {expected[key]}\n    now {now[key]}")
        else:
            continue
        bad += 1
    total = len({*expected, *now})
    print(f"{total - bad} of {total} digests agree")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
