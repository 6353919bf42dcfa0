"""How near is the nearest adversarial example? Minimum-norm attacks side by side on the MNIST LeNet.

Images of the ground that the net has right, spread over the file. Two tables: any wrong label, and one class for all attacks (the one
that DeepFool leads to). Distances in L2; for each attack the median over the images both fooled of its distance divided by that
of L-BFGS, with the 95 % interval of order statistics. Peers take part where they can be imported: foolbox, ART, and advertorch 0.2.3, whose
L-BFGS is the last one published (it needs a name that torch has dropped since; it is put back here).
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

import surrogates as sg
from blackbox.statistics import median
from experiments import ground
from experiments.cases import Case
from experiments.peers.adapters import art_classifier
from experiments.runner import Book, Real, run, says

Attack = Callable[[torch.nn.Module, Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Settings(Real):
    images: int = says(20, "that the net has right")
    iterations: int = says(300, "of C&W, for ours and for foolbox's (the authors' default is 1000)")
    searches: int = says(9, "of C&W")
    only: tuple[str, ...] = says((), "attacks, by name [all]")
    modes: tuple[str, ...] = says(("any", "one class"), "any wrong label, or one class for all", ("any", "one class"))


def ours(s: Settings) -> dict[str, Attack]:
    """Our attacks as image makers."""
    cw = {"iterations": s.iterations, "searches": s.searches}
    return {
        "L-BFGS": lambda net, x, y, t: sg.minimum_norm.lbfgs(net, x, y, target=t).x_adv,
        "L-BFGS, squared norm": lambda net, x, y, t: sg.minimum_norm.lbfgs(net, x, y, target=t, squared=True).x_adv,
        "C&W": lambda net, x, y, t: sg.minimum_norm.carlini_wagner(net, x, y, target=t, chunk=len(x), **cw).x_adv,
        "DeepFool": lambda net, x, y, t: sg.minimum_norm.deepfool(net, x, y, target=t).x_adv,
        "JSMA": lambda net, x, y, t: sg.minimum_norm.jsma(net, x, y, target=t).x_adv,
    }


def theirs(s: Settings) -> dict[str, Attack]:
    """The peers' attacks, as far as they are installed."""
    found: dict[str, Attack] = {}
    for name, made in (("advertorch", advertorch), ("foolbox", foolbox), ("art", art)):
        if importlib.util.find_spec(name):
            found |= made(s)
        else:
            print(f"{name} is left out: it is not installed")
    return found


def advertorch(s: Settings) -> dict[str, Attack]:
    """L-BFGS of advertorch 0.2.3, one image at a time (its best case: a batch shares step lengths), and all at once.
    Targeted only: its untargeted form negates the loss but not the gradient."""
    gradcheck: Any = sys.modules["torch.autograd.gradcheck"]  # as an attribute, the name is a function's
    gradcheck.zero_gradients = lambda x: None if x.grad is None else x.grad.zero_()
    from advertorch.attacks.lbfgs import LBFGSAttack

    def attack(net: torch.nn.Module, x: Tensor, y: Tensor, t: Tensor | None, size: int) -> Tensor:
        assert t is not None
        pairs = zip(x.split(size), t.split(size), strict=True)
        return torch.cat([LBFGSAttack(net, 10, batch_size=len(a), targeted=True).perturb(a, b).detach() for a, b in pairs])

    return {
        "advertorch L-BFGS": lambda net, x, y, t: attack(net, x, y, t, 1),
        "advertorch L-BFGS, batch": lambda net, x, y, t: attack(net, x, y, t, len(x)),
    }


def foolbox(s: Settings) -> dict[str, Attack]:
    """C&W and DeepFool of foolbox 3."""
    import foolbox as fb

    def attack(solver: Any) -> Attack:
        def made(net: torch.nn.Module, x: Tensor, y: Tensor, t: Tensor | None) -> Tensor:
            goal = fb.criteria.Misclassification(y) if t is None else fb.criteria.TargetedMisclassification(t)
            return solver(fb.PyTorchModel(net.eval(), bounds=(0, 1)), x, goal, epsilons=None)[1].detach()  # type: ignore[no-any-return]

        return made

    cw = fb.attacks.L2CarliniWagnerAttack(binary_search_steps=s.searches, steps=s.iterations)
    return {"foolbox C&W": attack(cw), "foolbox DeepFool": attack(fb.attacks.L2DeepFoolAttack())}


def art(s: Settings) -> dict[str, Attack]:
    """C&W and DeepFool of ART; its C&W has a line search in each iteration, so it gets a tenth of them."""
    from art.attacks.evasion import CarliniL2Method, DeepFool

    def attack(kind: Any, **options: Any) -> Attack:
        def made(net: torch.nn.Module, x: Tensor, y: Tensor, t: Tensor | None) -> Tensor:
            solver = kind(art_classifier(net, x), batch_size=len(x), verbose=False, **options)
            return torch.from_numpy(solver.generate(x.numpy(), y.numpy()))

        return made

    return {
        "ART C&W": attack(CarliniL2Method, binary_search_steps=s.searches, max_iter=s.iterations // 10, targeted=False),
        "ART DeepFool": attack(DeepFool, max_iter=50, epsilon=0.02),
    }


NO_TARGET = ("foolbox DeepFool", "ART DeepFool", "ART C&W")
TARGET_ONLY = ("advertorch L-BFGS", "advertorch L-BFGS, batch", "L-BFGS, squared norm")


def crafted(case: Case, attack: Attack, target: Tensor | None) -> dict[str, Any]:
    """Craft, and judge by the net's own labels; what lies outside the box counts as no example."""
    begun = time.perf_counter()
    made = attack(case.net, case.images, case.labels, target).float()
    seconds = time.perf_counter() - begun
    inside = ((made >= 0) & (made <= 1)).flatten(1).all(1)
    label = sg.predict(case.net, made.clamp(0, 1))
    success = inside & ((label != case.labels) if target is None else (label == target))
    distance = (made - case.images).flatten(1).norm(dim=1)
    return {
        "success": [int(success.sum()), len(success)], "seconds": seconds,
        "distance": [float(d) if s else None for d, s in zip(distance, success, strict=True)],
    }  # fmt: skip


def against(row: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Median ratio of distances to those of ``base``, over the images that both fooled, with the interval of order statistics."""
    pairs = zip(row["distance"], base["distance"], strict=True)
    ratio = np.array([a / b for a, b in pairs if a is not None and b is not None])
    middle = median(ratio)
    return {"n": len(ratio), "nearer": int((ratio < 1 - 1e-4).sum()), "ratio": middle.value, "low": middle.low, "high": middle.high}


def measure(s: Settings) -> None:
    case = ground.case("lenet", s.root, count=s.images, use="reporting")
    nearest = sg.minimum_norm.deepfool(case.net, case.images, case.labels).label
    book, makers = Book("minimum_norm", s, same=("images", "iterations", "searches")), ours(s) | theirs(s)
    book.put(target=case.name)
    for mode, target, skip in (("any", None, TARGET_ONLY), ("one class", nearest, NO_TARGET)):
        if mode not in s.modes:
            continue
        base: list[dict[str, Any]] = []  # the first row, L-BFGS's

        def row(maker: Attack, target: Tensor | None = target, base: Any = base) -> dict[str, Any]:
            made = crafted(case, maker, target)
            return {**made, "against": against(made, (base or [made])[0])}

        for name, maker in makers.items():
            if name not in skip and (not s.only or name in s.only):
                base.append(book.row(lambda maker=maker, row=row: row(maker), attack=name, mode=mode))


if __name__ == "__main__":
    run(Settings, measure)
