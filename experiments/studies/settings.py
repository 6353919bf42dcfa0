"""Which settings are worth choosing? Four studies of what was chosen, or can be, without the images that others report on.

p_init      Which share of the pixels should Square's first squares cover when the budget is 1,000? Restricted mean queries on
            images and a net that no other experiment reports on: the LeNet on MNIST images 3,000 to 3,399, the ResNet-32 on a
            random draw of the CIFAR test folder. The paper's 0.05 and 0.8 are among the values.
tuned       Are settings chosen on one's own nets better on a hidden target than the paper's? (--attack square, sign-flip)
            `blackbox.tune` tries them on two nets of `experiments.nets` (images of the attacker's, no query of a target); then
            the attack runs on the images of `experiments.studies.hybrid` with those so chosen, with the papers' and with this
            toolkit's own. Square: p_init; the paper has 0.05 in its table 5, its authors' later code 0.8, this toolkit 0.4.
            Sign-flip: the first squeeze and the first chance of a flip; 0.004 and 0.001 are the authors', and ours.
surrogates  Which nets are worth training for a hidden CIFAR target? Every net is trained on cifar10/train, then examples are
            crafted on it, and on pairs, as `hybrid` crafts its first query (ten plain steps of 3 eps / 10 along the
            cross-entropy, Linf 8/255), and shown to the ResNet-20: on test images that the ResNet-32, on which `hybrid` reports,
            is not attacked with there. Accuracy is on a quarter of those; of a net with snapshots, its own.
answers     What are the target's answers worth as training data, beside queries spent on attacking? Two nets are trained on with
            the target's answers to 0, 300, 1,500 and 6,000 of the attacker's own images (`surrogates.teach`; scores, asked once
            for both); then `hybrid` attacks the images of the ResNet-32 as there, failures charged at the budget. The answers
            are shared out among the images attacked: what is cheapest depends on how many these are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch

import blackbox as bb
import surrogates as sg
from blackbox.report import style
from experiments import nets
from experiments.cases import Case, chosen, cifar, digits, lenet, photos, resnet
from experiments.figures import sheet
from experiments.runner import DOCS, Book, Real, run, says, tell

STUDIES = ("p_init", "tuned", "surrogates", "answers")


@dataclass(frozen=True)
class Settings(Real):
    study: str = says("p_init", f"one of {', '.join(STUDIES)}", STUDIES)
    attack: str = says("square", "whose settings are tuned: square, sign-flip", ("square", "sign-flip"))
    images: int = says(200, "of the target; of p_init on MNIST 300, on CIFAR 150 where it is not given")
    budget: int = says(1000, "queries an image")
    own_images: int = says(100, "of the attacker, on which settings are tuned")
    answers: tuple[int, ...] = says((0, 300, 1500, 6000), "that training buys")
    seed: int = says(0, "of the attacks")


def p_init(s: Settings) -> None:
    counts = (300, 150) if s.images == Settings.images else (s.images, s.images)
    pool = photos(s.root)
    shuffled = pool.take(torch.randperm(len(pool), generator=torch.Generator().manual_seed(5)))
    book = Book("square_p_init", s, same=("budget", "images"))
    for name, net, data, count, eps in (
        ("MNIST LeNet", lenet(s.root), digits(s.root)[0].take(slice(3000, 3400)), counts[0], 0.3),
        ("CIFAR ResNet-32", resnet(s.root, 32), shuffled, counts[1], 8 / 255),
    ):
        some = data.take(chosen(net, data, count))

        def measured(value: float, some: sg.Dataset = some, net: Any = net, eps: float = eps) -> dict[str, Any]:
            square, threat = bb.attacks.Square(value), bb.Linf(eps)
            x, y = some.images, some.labels
            runs = [bb.attack(bb.Oracle(net), x, y, square, threat, s.budget, seed=seed) for seed in (0, 1)]
            return {"means": [r.mean_queries for r in runs], "success": str(runs[0].success_rate)}

        for value in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8):
            book.row(lambda value=value: measured(value), target=name, p_init=value)


# attack -> what targets show, values of each setting, settings measured on the target in any case
GRIDS: dict[str, tuple[str, dict[str, tuple[float, ...]], tuple[dict[str, float], ...]]] = {
    "square": ("scores", {"p_init": (0.05, 0.1, 0.2, 0.4, 0.8)}, ({"p_init": 0.05}, {"p_init": 0.8}, {"p_init": 0.4})),
    "sign-flip": ("labels", {"alpha": (0.002, 0.004, 0.008), "flip": (0.001, 0.004)}, ({"alpha": 0.004, "flip": 0.001},)),
}


def spent(case: Case, attack: Any, access: str, s: Settings, clean: int = 1) -> tuple[np.ndarray, int]:
    """Queries of each image, failures at the budget; how many were fooled. clean: 0 leaves the clean check out."""
    result = bb.attack(bb.Oracle(case.net, access), case.images, case.labels, attack, case.threat, s.budget, seed=s.seed)
    return np.where(result.success.numpy(), result.queries.numpy() - 1 + clean, s.budget), int(result.success.sum())


def mean_of(cost: np.ndarray) -> dict[str, float]:
    return {"mean": float(cost.mean()), "standard error": float(cost.std(ddof=1) / len(cost) ** 0.5)}


def tuned(s: Settings) -> None:
    access, grid, beside = GRIDS[s.attack]
    case, mine = cifar(s.root, s.images, 32, spread=True), nets.images(s.root)
    some = mine.take(slice(0, None, len(mine) // s.own_images))
    own = {plan.arch: nets.trained(s.root, plan) for plan in (nets.VGG, nets.CNN)}
    found = bb.tune(
        bb.variants(s.attack, **grid), own, some.images, some.labels, case.threat, s.budget, access=access, seed=s.seed,
        cache="runs/tuned",
    )  # fmt: skip
    print(found.table(), flush=True)
    rows: list[dict[str, Any]] = []
    best = {name: getattr(found.best, name) for name in grid}
    for values in [best, *(other for other in beside if other != best)]:
        cost, fooled = spent(case, bb.attacks.build(s.attack, **values), access, s)
        rows.append({**values, **mean_of(cost), "found": fooled, "queries": cost.tolist()})
        tell(rows[-1])
    name = "tuned" if s.attack == "square" else f"tuned_{s.attack}"
    Book(name, s).put(chosen=found.chosen, own=found.records(), target=case.name, rows=rows)


PLANS = (nets.Plan("cnn", 60, 1e-4), nets.CNN, nets.Plan("vgg", 45, 1e-4), nets.VGG, nets.Plan("resnet20", 15, 1e-4), nets.RESNET20)


def surrogates(s: Settings) -> None:
    data, other = photos(s.root), resnet(s.root, 32)
    reported = {i for count in (100, 200) for i in chosen(other, data, count, spread=True).tolist()}
    rest = data.take(torch.tensor([i for i in range(len(data)) if i not in reported]))
    held, case = rest.take(slice(0, None, 4)), cifar(s.root, s.images, 20, spread=True, among=rest)
    book = Book("surrogate_choice", s, same=("images",))
    book.put(target=case.name)

    def transferred(plans: tuple[nets.Plan, ...]) -> dict[str, Any]:
        own, eps = [net for plan in plans for net in nets.family(s.root, plan, s.seed)], case.threat.eps
        made = sg.craft(own, case.images, case.labels, "i-fgsm", threat=case.threat, steps=10, step=3 * eps / 10, seed=s.seed)
        fooled = int((sg.predict(case.net, made) != case.labels).sum())
        right = int((sg.predict(own[0], held.images) == held.labels).sum())
        return {"fooled": [fooled, len(made)]} | ({"accuracy": [right, len(held)]} if len(plans) == 1 else {})

    for kind, count in product((PLANS, (nets.VGGS, nets.CNNS)), (1, 2)):
        for plans in combinations(kind, count):
            book.row(lambda plans=plans: transferred(plans), nets=[str(plan) for plan in plans])


def answers(s: Settings) -> None:
    case, book = cifar(s.root, s.images, 32, spread=True), Book("query_budget_frontier", s, same=("images", "budget", "seed"))

    def taught(count: int) -> dict[str, Any]:
        oracle = bb.Oracle(case.net, "scores")
        own = sg.teach([nets.trained(s.root, plan) for plan in (nets.VGG, nets.CNN)], nets.images(s.root), oracle, count, seed=s.seed)
        return attack_with(bb.attacks.build("hybrid", prior=sg.prior(own)))

    def attack_with(attack: Any) -> dict[str, Any]:
        each, fooled = spent(case, attack, "scores", s, clean=0)
        return {**mean_of(each), "median": float(np.median(each)), "success": [fooled], "images": len(each)}

    book.row(lambda: attack_with(bb.attacks.build("square")), attack="square", answers=0)
    for count in s.answers:
        book.row(lambda count=count: taught(count), attack="hybrid", answers=count)
    frontier(book.found["rows"], DOCS / "query_budget_frontier.png")


def frontier(rows: list[dict[str, Any]], path: Path) -> None:
    """Queries an image, training included, against the number of images attacked."""
    under = f"CIFAR ResNet-32, Linf 8/255; {rows[0]['images']} images measured, 95 % normal intervals of the mean"
    at = np.array((10, 30, 100, 300, 1000, 3000, 10000))
    with sheet(path, "Answers for training, or queries for the attack?", under, 7.2, 4.2) as (_, ((axes,),)):
        for i, row in enumerate(rows):
            colour, dashes = style.line(i)
            name = "square, no surrogate" if row["attack"] == "square" else f"hybrid, {row['answers']:,} answers bought"
            total, error = row["mean"] + row["answers"] / at, 1.96 * row["standard error"]
            axes.plot(at, total, color=colour, ls=dashes, marker="o", ms=4, label=name)
            axes.fill_between(at, np.maximum(total - error, 0.1), total + error, color=colour, alpha=0.13, lw=0)
        axes.set(xscale="log", yscale="log", xlabel="images attacked", ylabel="queries an image, training included")
        axes.legend()


def measure(s: Settings) -> None:
    {"p_init": p_init, "tuned": tuned, "surrogates": surrogates, "answers": answers}[s.study](s)


if __name__ == "__main__":
    run(Settings, measure)
