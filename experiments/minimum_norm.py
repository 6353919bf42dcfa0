"""How near is the nearest adversarial example? Minimum-norm attacks side by side on the MNIST LeNet.

    python -m experiments.minimum_norm --data ../shared/data

The first 20 test images that the net has right, in file order. Two tables: any wrong label, and one class for all attacks (the
one that DeepFool leads to). Distances in L2, success with its 95 % Wilson interval, and for each
attack the median over the images both fooled of its distance divided by that of L-BFGS, with a 95 % bootstrap interval.
Peers take part where they can be imported: foolbox, ART, and advertorch 0.2.3, whose L-BFGS is the last one published (it
needs two names that torch has dropped since; they are put back here). Writes experiments/results/minimum_norm.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg
from experiments.real import Case, mnist
from surrogates.crafting.minimum_norm import carlini_wagner, deepfool, jsma, lbfgs

Attack = Callable[[torch.nn.Module, Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Settings:
    images: int = 20
    iterations: int = 300  # of C&W, for ours and for foolbox's (the authors' default is 1000)
    searches: int = 9
    resamples: int = 9_999


def ours(settings: Settings) -> dict[str, Attack]:
    """Our attacks as image makers."""

    def cw(net: torch.nn.Module, x: Tensor, y: Tensor, t: Tensor | None) -> Tensor:
        effort, searches = settings.iterations, settings.searches
        return carlini_wagner(net, x, y, target=t, iterations=effort, searches=searches, chunk=len(x)).x_adv

    return {
        "L-BFGS": lambda net, x, y, t: lbfgs(net, x, y, target=t).x_adv,
        "L-BFGS, squared norm": lambda net, x, y, t: lbfgs(net, x, y, target=t, squared=True).x_adv,
        "C&W": cw,
        "DeepFool": lambda net, x, y, t: deepfool(net, x, y, target=t).x_adv,
        "JSMA": lambda net, x, y, t: jsma(net, x, y, target=t).x_adv,
    }


def theirs(settings: Settings) -> dict[str, Attack]:
    """The peers' attacks, as far as they are installed."""
    found: dict[str, Attack] = {}
    try:
        found |= advertorch()
    except ImportError as error:
        print(f"advertorch is left out: {error}")
    try:
        found |= foolbox(settings)
    except ImportError as error:
        print(f"foolbox is left out: {error}")
    try:
        found |= art(settings)
    except ImportError as error:
        print(f"ART is left out: {error}")
    return found


def advertorch() -> dict[str, Attack]:
    """L-BFGS of advertorch 0.2.3, one image at a time (its best case: a batch shares step lengths), and all at once.
    Targeted only: its untargeted form negates the loss but not the gradient."""
    gradcheck: Any = sys.modules["torch.autograd.gradcheck"]  # as an attribute, the name is a function's
    gradcheck.zero_gradients = lambda x: None if x.grad is None else x.grad.zero_()
    from advertorch.attacks.lbfgs import LBFGSAttack

    def attack(net: torch.nn.Module, x: Tensor, y: Tensor, t: Tensor | None, size: int) -> Tensor:
        assert t is not None
        parts = []
        for start in range(0, len(x), size):
            at = slice(start, start + size)
            solver = LBFGSAttack(net, 10, batch_size=len(x[at]), targeted=True)
            parts.append(solver.perturb(x[at], t[at]).detach())
        return torch.cat(parts)

    return {
        "advertorch L-BFGS": lambda net, x, y, t: attack(net, x, y, t, 1),
        "advertorch L-BFGS, batch": lambda net, x, y, t: attack(net, x, y, t, len(x)),
    }


def foolbox(settings: Settings) -> dict[str, Attack]:
    """C&W and DeepFool of foolbox 3."""
    import foolbox as fb

    def attack(solver: Any, net: torch.nn.Module, x: Tensor, y: Tensor, t: Tensor | None) -> Tensor:
        model = fb.PyTorchModel(net.eval(), bounds=(0, 1))
        goal = fb.criteria.Misclassification(y) if t is None else fb.criteria.TargetedMisclassification(t)
        return solver(model, x, goal, epsilons=None)[1].detach()

    cw = fb.attacks.L2CarliniWagnerAttack(binary_search_steps=settings.searches, steps=settings.iterations)
    return {
        "foolbox C&W": lambda net, x, y, t: attack(cw, net, x, y, t),
        "foolbox DeepFool": lambda net, x, y, t: attack(fb.attacks.L2DeepFoolAttack(), net, x, y, t),
    }


def art(settings: Settings) -> dict[str, Attack]:
    """C&W and DeepFool of ART; its C&W has a line search in each iteration, so it gets a tenth of them."""
    from art.attacks.evasion import CarliniL2Method, DeepFool
    from art.estimators.classification import PyTorchClassifier

    def wrap(net: torch.nn.Module, x: Tensor) -> Any:
        loss = torch.nn.CrossEntropyLoss()
        return PyTorchClassifier(net, loss, tuple(x.shape[1:]), 10, clip_values=(0, 1), device_type="cpu")

    def cw(net: torch.nn.Module, x: Tensor, y: Tensor, t: Tensor | None) -> Tensor:
        solver = CarliniL2Method(
            wrap(net, x), binary_search_steps=settings.searches, max_iter=settings.iterations // 10, batch_size=len(x),
            targeted=t is not None, verbose=False,
        )  # fmt: skip
        return torch.from_numpy(solver.generate(x.numpy(), (y if t is None else t).numpy()))

    def fool(net: torch.nn.Module, x: Tensor, y: Tensor, t: Tensor | None) -> Tensor:
        solver = DeepFool(wrap(net, x), max_iter=50, epsilon=0.02, batch_size=len(x), verbose=False)
        return torch.from_numpy(solver.generate(x.numpy(), y.numpy()))

    return {"ART C&W": cw, "ART DeepFool": fool}


NO_TARGET = ("foolbox DeepFool", "ART DeepFool", "ART C&W")
TARGET_ONLY = ("advertorch L-BFGS", "advertorch L-BFGS, batch", "L-BFGS, squared norm")


def measure(case: Case, name: str, attack: Attack, target: Tensor | None) -> dict[str, Any]:
    """Craft, and judge by the net's own labels; what lies outside the box counts as no example."""
    begun = time.perf_counter()
    made = attack(case.net, case.images, case.labels, target).float()
    seconds = time.perf_counter() - begun
    inside = ((made >= 0) & (made <= 1)).flatten(1).all(1)
    label = sg.predict(case.net, made.clamp(0, 1))
    success = inside & ((label != case.labels) if target is None else (label == target))
    distance = (made - case.images).flatten(1).norm(dim=1)
    row = {
        "attack": name, "mode": "any" if target is None else "one class", "success": [int(success.sum()), len(success)],
        "distance": [float(d) if s else None for d, s in zip(distance, success, strict=True)], "seconds": seconds,
    }  # fmt: skip
    print(f"{row['mode']:10}{name:26}{bb.Rate.of(success.numpy())!s:26}mean L2 {float(distance[success].mean()):.4f}  "
          f"{seconds:7.1f} s", flush=True)  # fmt: skip
    return row


def against(row: dict[str, Any], base: dict[str, Any], resamples: int) -> dict[str, Any]:
    """Median ratio of distances to those of ``base``, over the images that both fooled."""
    from scipy.stats import bootstrap

    ratio = np.array(
        [a / b for a, b in zip(row["distance"], base["distance"], strict=True) if a is not None and b is not None]
    )
    found = {"n": len(ratio), "nearer": int((ratio < 1 - 1e-4).sum()), "ratio": float(np.median(ratio))}
    if row is base or len(ratio) < 3 or np.ptp(ratio) == 0:
        return found | {"low": found["ratio"], "high": found["ratio"]}
    interval = bootstrap(
        (ratio,), np.median, n_resamples=resamples, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return found | {"low": float(interval.low), "high": float(interval.high)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--images", type=int, default=Settings.images)
    given = parser.parse_args()
    settings = Settings(images=given.images)
    case = mnist(Path(given.data), settings.images)
    nearest = deepfool(case.net, case.images, case.labels).label
    out = Path("experiments/results/minimum_norm.json")
    rows = before(out, settings)
    for target in (None, nearest):
        mode, skip = ("any", TARGET_ONLY) if target is None else ("one class", NO_TARGET)
        for name, attack in (ours(settings) | theirs(settings)).items():
            if name in skip or any(r["attack"] == name and r["mode"] == mode for r in rows):
                continue
            rows.append(measure(case, name, attack, target))
            base = next(r for r in rows if r["mode"] == mode)
            rows[-1]["against"] = against(rows[-1], base, settings.resamples)
            out.parent.mkdir(parents=True, exist_ok=True)
            found = {"settings": asdict(settings), "target": case.name, "rows": rows}
            out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"wrote {out}")


def before(out: Path, settings: Settings) -> list[dict[str, Any]]:
    """The rows that an interrupted run with the same settings left; remove the file to begin again."""
    found = json.loads(out.read_text()) if out.exists() else {}
    return found["rows"] if found.get("settings") == asdict(settings) else []


if __name__ == "__main__":
    main()
