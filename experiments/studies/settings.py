"""Which settings are worth choosing? What was chosen, or can be, on ground that nothing is reported on (`experiments.ground`).

p_init      Which share of the pixels should Square's first squares cover when the budget is 1,000? On all targets for choosing
            that are small; the paper's 0.05 and the 0.8 of its authors' later code are among the values.
tuned       Are settings chosen on one's own nets better on a hidden target than the authors'? (--attack square, sign-flip)
            `blackbox.tune` tries them on two nets of one's own and images for choosing; what they are worth elsewhere say the rows of
            `experiments.studies.queries`, or (--targets) this study's own. Square: p_init; the paper has 0.05 in its table 5, for
            10,000 queries; for short runs its authors' later code has 0.8; this toolkit 0.4. Sign-flip: the first squeeze and the
            first chance of a flip; 0.004 and 0.001 are the authors', and ours.
surrogates  Which nets are worth training for a hidden CIFAR target? Every net is trained on cifar10/train, then examples are
            crafted on it, and on pairs, as `hybrid` crafts its first query (ten plain steps of 3 eps / 10 along the
            cross-entropy, Linf 8/255), and shown to the targets for choosing.
share       How many low frequencies should the probes of CGBA and TtBA have? The smallest L2 change after the budget, with 1/4, 1/2
            and all of each side; the paper of CGBA has 1/4 on images of 224 pixels. (--images 24)

Queries: the clean check is charged, a failure costs the budget. Every image's are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import blackbox as bb
import surrogates as sg
from experiments import ground, nets
from experiments.cases import Case
from experiments.runner import Book, Real, count, each, run, says

STUDIES = ("p_init", "tuned", "surrogates", "share")
SMALL = ("resnet20", "own_cnn", "cnna_adv", "mnist_nat")  # of the targets for choosing


@dataclass(frozen=True)
class Settings(Real):
    study: str = says("p_init", f"one of {', '.join(STUDIES)}", STUDIES)
    attack: str = says("square", "whose settings are tuned: square, sign-flip", ("square", "sign-flip"))
    images: int = says(100, "attacked, of each target")
    own_images: int = says(60, "for choosing, on which settings are tuned")
    budget: int = says(1000, "queries an image")
    targets: tuple[str, ...] = says((), "that tuned reports on, beside the rows of `queries`, which has Square with the three settings")
    seeds: tuple[int, ...] = says((0, 1), "that tuned reports on")


def spent(s: Settings, case: Case, attack: Any, seed: int, access: str = "scores") -> dict[str, Any]:
    """Of each image the queries, and whether it was fooled."""
    oracle = bb.Oracle(case.net, access, case.classes)
    result = bb.attack(oracle, case.images, case.labels, attack, case.threat, s.budget, seed=seed, ids=case.ids)
    return {
        "among": case.among, "budget": s.budget, "mean": result.mean_queries, "ids": result.ids.tolist(),
        "queries": result.queries.tolist(), "found": result.success.int().tolist(),
    }  # fmt: skip


def p_init(s: Settings) -> None:
    book = Book("square_p_init", s, same=("budget", "images"))
    for target in SMALL:
        case = ground.case(target, s.root, use="choosing")
        case = ground.case(target, s.root, count=min(s.images, len(case.labels)), use="choosing")
        for value in (0.05, 0.2, 0.4, 0.8):
            attack, seed = bb.attacks.Square(value), ground.seeds("choosing")[0]
            book.row(lambda case=case, attack=attack, seed=seed: spent(s, case, attack, seed), target=target, p_init=value, seed=seed)


# attack -> what targets show, values of each setting, settings measured on the target in any case
GRIDS: dict[str, tuple[str, dict[str, tuple[float, ...]], tuple[dict[str, float], ...]]] = {
    "square": ("scores", {"p_init": (0.05, 0.4, 0.8)}, ({"p_init": 0.05}, {"p_init": 0.8}, {"p_init": 0.4})),
    "sign-flip": ("labels", {"alpha": (0.002, 0.004, 0.008), "flip": (0.001, 0.004)}, ({"alpha": 0.004, "flip": 0.001},)),
}


def tuned(s: Settings) -> None:
    access, grid, beside = GRIDS[s.attack]
    name = "tuned" if s.attack == "square" else f"tuned_{s.attack}"
    book = Book(name, s, same=("images", "own_images", "budget"))
    data, _ = ground.images("raw-filtered", s.root)
    some, own = data.take(slice(0, s.own_images)), {name: ground.net(name, s.root) for name in ("own_vgg", "own_cnn")}
    found = bb.tune(
        bb.variants(s.attack, **grid), own, some.images, some.labels, bb.Linf(8 / 255), s.budget, access=access,
        seed=ground.seeds("choosing")[0], cache="runs/tuned",
    )  # fmt: skip
    print(found.table(), flush=True)
    best = {name: getattr(found.best, name) for name in grid}
    book.put(chosen=best, own=found.records())
    for target in s.targets:
        case = ground.case(target, s.root, use="reporting")
        case = ground.case(target, s.root, count=min(s.images, len(case.labels)), use="reporting")
        for values, seed in product([best, *(other for other in beside if other != best)], s.seeds):
            attack = bb.attacks.build(s.attack, **values)
            book.row(lambda case=case, attack=attack, seed=seed: spent(s, case, attack, seed, access), target=target, **values, seed=seed)


PLANS = (nets.Plan("cnn", 60, 1e-4), nets.CNN, nets.Plan("vgg", 45, 1e-4), nets.VGG, nets.Plan("resnet20", 15, 1e-4), nets.RESNET20)


def surrogates(s: Settings) -> None:
    cases = {name: ground.case(name, s.root, use="choosing") for name in ("resnet20", "cnna_adv")}
    held, _ = ground.images("raw-filtered", s.root)
    book = Book("surrogate_choice", s)

    def transferred(plans: tuple[nets.Plan, ...]) -> dict[str, Any]:
        own = [net for plan in plans for net in nets.family(s.root, plan)]
        out: dict[str, Any] = {}
        for name, case in cases.items():
            made = sg.craft(own, case.images, case.labels, "i-fgsm", threat=case.threat, steps=10, step=3 * case.threat.eps / 10,
                            seed=ground.seeds("choosing")[0], ids=case.ids.numpy())  # fmt: skip
            out[name] = each(sg.predict(case.net, made) != case.labels)
        return out | ({"accuracy": count(sg.predict(own[0], held.images) == held.labels)} if len(plans) == 1 else {})

    for size in (1, 2):
        for plans in combinations(PLANS, size):
            book.row(lambda plans=plans: transferred(plans), nets=[str(plan) for plan in plans])


def share(s: Settings) -> None:
    book, seed = Book("labels_share", s, same=("budget", "images")), ground.seeds("choosing")[0]
    for target, value, name in product(("cnna_adv", "mnist_nat", "resnet20"), (0.25, 0.5, 1.0), ("cgba", "ttba")):
        case = ground.case(target, s.root, count=s.images, use="choosing")

        def nearest(case: Case = case, name: str = name, value: float = value) -> dict[str, Any]:
            oracle, attack = bb.Oracle(case.net, "labels", case.classes), bb.attacks.build(name, share=value)
            result = bb.attack(oracle, case.images, case.labels, attack, bb.L2(1e-6), s.budget, seed=seed, ids=case.ids)
            return {"ids": result.ids.tolist(), "near": [round(v, 4) for v in result.distance.tolist()]}

        book.row(nearest, attack=name, share=value, target=target, seed=seed)


def measure(s: Settings) -> None:
    {"p_init": p_init, "tuned": tuned, "surrogates": surrogates, "share": share}[s.study](s)


if __name__ == "__main__":
    run(Settings, measure)
